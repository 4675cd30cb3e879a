"""Whose devices a client must ask for again, and whom it may forget: `device_lists` of /sync, and /keys/changes.

Spec: client-server-api#e2e-extensions-to-sync
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from watchword.protocol.ids import UserId
from watchword.server.e2ee.reader import E2eeReader
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room
from watchword.storage import Position


@dataclass(slots=True)
class MemberChanges:
    """What the rooms of a response say: with whom an encrypted room is newly shared, and with whom perhaps none is left."""

    newly_shared: set[UserId] = field(default_factory=set)
    maybe_left: set[UserId] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.newly_shared or self.maybe_left)


@dataclass(frozen=True)
class DeviceLists:
    """Works the lists out."""

    rooms: RoomReader
    e2ee: E2eeReader

    async def joined_at(self, room: Room, position: Position) -> set[UserId]:
        """Who was in a room at a position: whoever left then is not told who came later."""
        joined, until = frozenset(room.members.joined), Position(room.last_state_position)
        async with self.rooms.database.read() as tx:
            changed = await self.rooms.member_changes(tx, room, position, until)
        there = {user_id for user_id, (was, _) in changed.items() if was == "join"}
        return there | (joined - changed.keys())

    async def changes(
        self, user_id: UserId, span: tuple[Position, Position], members: MemberChanges
    ) -> dict[str, Sequence[UserId]] | None:
        """`changed` and `left`; None if both are empty."""
        after, until = span
        changed = set(members.newly_shared)
        # Somebody whom the user verified: his other devices find the signature with the keys.
        changed.update(await self.e2ee.users_signed(user_id, after, until))
        for other, _ in await self.e2ee.device_list_changes(after, until):
            # Oneself belongs here too: cross-signing on one's other devices depends on it.
            if other not in changed and (other == user_id or await self.rooms.share_room(user_id, other)):
                changed.add(other)
        left = [other for other in members.maybe_left if other != user_id and not await self.rooms.share_room(user_id, other)]
        if not changed and not left:
            return None
        return {"changed": sorted(changed), "left": sorted(left)}
