"""Rooms of this server as they are shown to users and to other servers, and who of them may see what."""

from collections.abc import Collection
from dataclasses import dataclass

from watchword.protocol.ids import RoomId, ServerName, UserId, domain_of
from watchword.server.rooms.room import Room
from watchword.server.rooms.summaries import RoomSummaries
from watchword.server.spaces.commands import Described, Looker
from watchword.server.spaces.decide import children_of, may_see
from watchword.server.spaces.ports import RoomParts


@dataclass(frozen=True)
class Sight:
    """Describes rooms that this server is in."""

    rooms: RoomParts
    summaries: RoomSummaries

    async def local(self, room_id: RoomId, *, suggested_only: bool = False) -> Described | None:
        """A room that this server is in; None for any other."""
        room = await self.rooms.registry.find(room_id)
        if room is None or not room.is_alive:
            return None
        children = await self.summaries.children(room)
        events = [{**pdu.json, "origin_server_ts": pdu.origin_server_ts} for pdu in children]
        return Described(await self.summaries.summary(room), children_of(events, suggested_only=suggested_only))

    async def user_sees(self, user_id: UserId | None, described: Described) -> bool:
        """Whether a user may be shown a room; None is who does not say who he is."""
        looker = Looker()
        if user_id is not None:
            memberships = await self.rooms.reader.memberships.of(user_id)
            row = memberships.get(RoomId(described.entry["room_id"]))
            allowed = (memberships.get(room_id) for room_id in described.allowed_rooms)
            met = any(each is not None and each.membership == "join" for each in allowed)
            looker = Looker(None if row is None else row.membership, met)
        return may_see(described.entry, looker)

    async def server_sees(self, server: ServerName, described: Described) -> bool:
        """Whether another server may be told of a room: if any of its users might be shown it."""
        room = await self.rooms.registry.find(RoomId(described.entry["room_id"]))
        if room is None:
            return False
        membership = None
        if server in room.members.servers:
            membership = "join"
        elif _is_of(server, room.members.invited):
            membership = "invite"
        met = [await self._is_in(server, room_id) for room_id in described.allowed_rooms]
        return may_see(described.entry, Looker(membership, any(met)))

    async def _is_in(self, server: ServerName, room_id: RoomId) -> bool:
        room: Room | None = await self.rooms.registry.find(room_id)
        return room is not None and server in room.members.servers


def _is_of(server: ServerName, users: Collection[UserId]) -> bool:
    return any(domain_of(user_id) == server for user_id in users)
