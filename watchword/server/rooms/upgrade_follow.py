"""What members take along when they join a room that replaces one they know: tags, the direct flag, push rules and the rest of
what they keep about the room.

A room may claim any predecessor. It is believed only if the old room, as it is known here, names it as its replacement.

Spec: client-server-api#room-upgrades
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from watchword.protocol import event_types
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.accounts.reader import AccountReader
from watchword.server.accounts.user_data import UserData
from watchword.server.changes import EventAppended
from watchword.server.rooms.ports import RoomPushRules
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room
from watchword.storage import Position

DIRECT = "m.direct"
_ABOUT_READING = frozenset({"m.fully_read", "m.marked_unread", "com.famedly.marked_unread"})


def with_replacement(direct: Mapping[str, Any], old: RoomId, new: RoomId) -> dict[str, Any] | None:
    """The content of m.direct with the new room wherever the old one stands; None if nothing changes."""
    changed = dict(direct)
    for user, rooms in direct.items():
        if isinstance(rooms, list) and old in rooms and new not in rooms:
            changed[user] = [*rooms, new]
    return changed if changed != dict(direct) else None


@dataclass(frozen=True)
class RoomTransfer:
    """Copies what a user keeps about a room to the room that replaces it. Doing it twice changes nothing."""

    reader: RoomReader
    accounts: AccountReader
    user_data: UserData
    push_rules: RoomPushRules

    def may_replace(self, room_id: RoomId) -> bool:
        """Whether a room may be one that replaces another. Costs nothing: most do not."""
        room = self.reader.registry.at_hand(room_id)
        create = None if room is None else room.current(event_types.CREATE)
        return create is None or "predecessor" in create.content

    async def joined(self, change: EventAppended) -> bool:
        """A local user joined a room, or renewed his member event there. Whether there was anything to copy."""
        room = await self.reader.room(change.room_id)
        old = None if room is None else await self._predecessor(room)
        if old is None or change.state_key is None or await self._was_joined(change.event_id):
            return False
        user_id = UserId(change.state_key)
        row = await self.reader.membership_of(user_id, old)
        if row is None or row.forgotten or row.membership not in ("join", "leave"):
            return False
        await self._copy_account_data(user_id, old, change.room_id)
        await self._copy_direct(user_id, old, change.room_id)
        await self.push_rules.copy_room_rules(user_id, old, change.room_id)
        return True

    async def _predecessor(self, room: Room) -> RoomId | None:
        create = room.current(event_types.CREATE)
        named = None if create is None else create.content.get("predecessor")
        old_id = named.get("room_id") if isinstance(named, Mapping) else None
        old = await self.reader.room(RoomId(old_id)) if isinstance(old_id, str) else None
        tombstone = None if old is None else old.state.get((event_types.TOMBSTONE, ""))
        if old is None or tombstone is None:
            return None
        found = (await self.reader.found((tombstone,))).get(tombstone)
        return old.room_id if found is not None and found.pdu.content.get("replacement_room") == room.room_id else None

    async def _was_joined(self, event_id: EventId) -> bool:
        event = (await self.reader.found((event_id,))).get(event_id)
        replaced = None if event is None else event.replaced
        return replaced is not None and replaced.pdu.content.get("membership") == "join"

    async def _copy_account_data(self, user_id: UserId, old: RoomId, new: RoomId) -> None:
        contents: dict[str, bytes] = {}
        known = set()
        for row in await self.accounts.account_data_since(user_id, Position(0)):
            if row.room_id == old and row.type not in _ABOUT_READING:
                contents[row.type] = row.content
            elif row.room_id == new:
                known.add(row.type)
        wanted = {kind: orjson.loads(content) for kind, content in contents.items() if kind not in known}
        if wanted:
            async with self.user_data.database.write() as tx:
                for kind, content in wanted.items():
                    await self.user_data.put_account_data(tx, user_id, new, kind, content)

    async def _copy_direct(self, user_id: UserId, old: RoomId, new: RoomId) -> None:
        stored = await self.accounts.account_data(user_id, None, DIRECT)
        changed = None if stored is None else with_replacement(orjson.loads(stored), old, new)
        if changed is not None:
            async with self.user_data.database.write() as tx:
                await self.user_data.put_account_data(tx, user_id, None, DIRECT, changed)
