"""What spaces need others to fit."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from watchword.protocol.ids import RoomId, ServerName
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.registry import RoomRegistry


class RemoteSpaces(Protocol):
    """Rooms that other servers know. Fitted by `federation.client.FederationClient`."""

    async def hierarchy(self, server: ServerName, room_id: RoomId, suggested_only: bool) -> Mapping[str, Any]:
        """A room and its children as another server describes them, unchecked. Raises PeerError."""
        ...


class Resolver(Protocol):
    """What aliases stand for. Fitted by `rooms.membership.Membership`."""

    async def resolve(self, room_id_or_alias: str) -> tuple[RoomId, Sequence[ServerName]]:
        """A room ID, or what an alias stands for, with servers to go through. Raises NotFound, PeerError."""
        ...


class RoomParts(Protocol):
    """The parts of rooms that spaces read. Fitted by `rooms.assembly.Rooms`."""

    @property
    def registry(self) -> RoomRegistry: ...

    @property
    def reader(self) -> RoomReader: ...
