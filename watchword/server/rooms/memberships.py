"""In which rooms a user is, as what: kept in memory for users who ask, bounded, taken over after each commit."""

from collections.abc import Mapping

import cachebox

from watchword.protocol.ids import RoomId, UserId
from watchword.server.rooms import member_tables
from watchword.server.rooms.records import MembershipRow
from watchword.storage import Database
from watchword.storage.names import Names

_USERS_MAX = 20_000
_NOTHING: Mapping[RoomId, MembershipRow] = {}


class Memberships:
    """Looks up all rooms of a user."""

    def __init__(self, database: Database, names: Names) -> None:
        self._database = database
        self._names = names
        self._of: cachebox.LRUCache[UserId, dict[RoomId, MembershipRow] | None] = cachebox.LRUCache(_USERS_MAX)

    async def of(self, user_id: UserId) -> Mapping[RoomId, MembershipRow]:
        """room → membership, all rooms that the user ever had one in (forgotten ones too)."""
        known = self._of.get(user_id, None)
        if known is not None:
            return known
        async with self._database.read() as tx:
            user_nid = await self._names.find(tx, user_id)
            if user_nid is None:
                return _NOTHING
            rows = await member_tables.memberships_of(tx, user_nid)
        known = {row.room_id: row for row in rows}
        self._of[user_id] = known
        return known

    def note(self, row: MembershipRow) -> None:
        """A membership became durable."""
        known = self._of.get(row.user_id, None)
        if known is not None:
            known[row.room_id] = row

    def forget(self, user_id: UserId) -> None:
        """Read this user's rooms anew next time."""
        self._of.pop(user_id, None)
