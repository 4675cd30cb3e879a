"""How sharing rooms changed between two positions: for whoever keeps keys of the people that one talks with.

Spec: client-server-api#get_matrixclientv3keyschanges
"""

from dataclasses import dataclass

from watchword.protocol.ids import UserId
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room
from watchword.storage import Position


@dataclass(frozen=True)
class SharingHistory:
    """Fits the port of the same name of `e2ee`. Cost: the rooms of the user, and the members that changed in them."""

    reader: RoomReader

    async def sharing_changes(self, user_id: UserId, after: Position, until: Position) -> tuple[set[UserId], set[UserId]]:
        """Users who began to share a room with this one, and users who share none any more."""
        begun: set[UserId] = set()
        doubtful: set[UserId] = set()
        for row in list((await self.reader.memberships.of(user_id)).values()):
            room = await self.reader.room(row.room_id)
            if room is None:
                continue
            if row.membership == "join":
                came, went = await self._in_room(room, user_id, after, until)
                begun |= came
                doubtful |= went
            elif row.membership in ("leave", "ban") and after < row.position <= until:
                doubtful |= room.members.joined
        doubtful.discard(user_id)
        return begun, {other for other in doubtful if not await self.reader.share_room(user_id, other)}

    async def _in_room(self, room: Room, user_id: UserId, after: Position, until: Position) -> tuple[set[UserId], set[UserId]]:
        """Who came and who went in a room that the user is in; everybody came if he came himself."""
        came: set[UserId] = set()
        went: set[UserId] = set()
        async with self.reader.database.read() as tx:
            if await self.reader.sights.joined_since(tx, room, user_id) > after:
                return set(room.members.joined), went
            changes = await self.reader.member_changes(tx, room, after, until)
        for other, (was, now) in changes.items():
            if now == "join" != was:
                came.add(other)
            elif was == "join" != now:
                went.add(other)
        return came, went
