"""Which rooms and users concern an application service.

A room's answer is kept as long as nothing of its state changes: a busy room costs one comparison an event.

Spec: application-service-api#registration
"""

from watchword.base import limits
from watchword.protocol import event_types
from watchword.protocol.ids import RoomId, ServerName, UserId, domain_of
from watchword.server.appservices.registration import Registration
from watchword.server.changes import EventAppended
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room


class Interest:
    """What concerns one service."""

    def __init__(self, registration: Registration, rooms: RoomReader, server_name: ServerName) -> None:
        self._registration = registration
        self._rooms = rooms
        self._server_name = server_name
        self._in_room: dict[RoomId, tuple[int, bool]] = {}

    def owns(self, user_id: str) -> bool:
        """Whether this is a local user of the service."""
        return domain_of(UserId(user_id)) == self._server_name and self._registration.owns_user(user_id)

    async def in_event(self, change: EventAppended) -> bool:
        """Whether an event concerns it: by its sender, by whom it is about, or by its room."""
        if self.owns(change.sender):
            return True
        if change.type == event_types.MEMBER and change.state_key and ":" in change.state_key and self.owns(change.state_key):
            return True
        return await self.in_room(change.room_id)

    async def in_room(self, room_id: RoomId) -> bool:
        """Whether all of a room concerns it: by the room's ID, its aliases, or a member."""
        if self._registration.wants_room(room_id):
            return True
        room = await self._rooms.room(room_id)
        if room is None:
            return False
        return self._has_member(room) or await self._has_alias(room_id)

    def _has_member(self, room: Room) -> bool:
        known = self._in_room.get(room.room_id)
        if known is not None and known[0] == room.last_state_position:
            return known[1]
        found = any(self._registration.owns_user(user_id) for user_id in room.members.joined_local)
        if len(self._in_room) >= limits.rooms_in_memory_max:
            self._in_room.clear()
        self._in_room[room.room_id] = (room.last_state_position, found)
        return found

    async def _has_alias(self, room_id: RoomId) -> bool:
        if not self._registration.aliases:
            return False
        return any(self._registration.wants_alias(alias) for alias in await self._rooms.aliases_of(room_id))

    async def meets(self, user_id: UserId) -> bool:
        """Whether a user is one of its own, or shares a room with one."""
        if self.owns(user_id):
            return True
        return any(self.owns(other) for other in await self._rooms.users_sharing_room_with(user_id))
