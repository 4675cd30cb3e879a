"""Which servers a room's m.room.server_acl lets in. Fits `federation.ports.RoomAcls`.

Spec: server-server-api#server-access-control-lists-acls
"""

from watchword.base import limits
from watchword.base.errors import Forbidden
from watchword.protocol import event_types
from watchword.protocol.ids import EventId, RoomId, ServerName
from watchword.protocol.server_acl import ServerAcl
from watchword.server.rooms.registry import RoomRegistry
from watchword.server.rooms.room import Room

_KEY = (event_types.SERVER_ACL, "")
_EVERYBODY = ServerAcl.from_content(None)


class RoomAcls:
    """Asks the current ACLs of rooms, each compiled once."""

    def __init__(self, registry: RoomRegistry) -> None:
        self._registry = registry
        self._compiled: dict[EventId, ServerAcl] = {}

    async def may_take_part(self, room_id: RoomId, server_name: ServerName) -> bool:
        """Whether the room's ACL lets that server in; False for rooms that are not here."""
        room = await self._registry.find(room_id)
        return room is not None and await self.allows(room, server_name)

    async def allows(self, room: Room, server_name: ServerName) -> bool:
        """Whether a room's ACL lets a server in."""
        return (await self._acl(room)).allows(server_name)

    async def check(self, room: Room, server_name: ServerName) -> None:
        """Raise Forbidden if a room's ACL does not let a server in."""
        if not await self.allows(room, server_name):
            raise Forbidden("Your server is denied access to this room.")

    async def _acl(self, room: Room) -> ServerAcl:
        event_id = room.state.get(_KEY)
        if event_id is None:
            return _EVERYBODY
        acl = self._compiled.get(event_id)
        if acl is None:
            await self._registry.load_state(room, [_KEY])
            event = room.pdus.get(event_id)
            if event is None:
                # It changed meanwhile, or is not durable yet: ask again with what is current now.
                return _EVERYBODY if room.state.get(_KEY) == event_id else await self._acl(room)
            acl = ServerAcl.from_content(event.content)
            self._compiled[event_id] = acl
            if len(self._compiled) > limits.server_acls_compiled_max:
                del self._compiled[next(iter(self._compiled))]
        return acl
