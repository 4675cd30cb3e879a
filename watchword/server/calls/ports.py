"""What calls need others to fit."""

from collections.abc import Mapping
from typing import Any, Protocol

from watchword.protocol.ids import RoomId, ServerName
from watchword.server.rooms.room import Room


class CallRooms(Protocol):
    """Who is in a room. Fitted by `rooms.reader.RoomReader`."""

    async def room(self, room_id: RoomId) -> Room | None:
        """A room that this server knows."""
        ...


class RemoteCalls(Protocol):
    """Media servers of other servers. Fitted by `federation.client.FederationClient`."""

    async def livekit_token(self, server: ServerName, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for a token for a LiveKit server; the answer is as it came. Raises PeerError."""
        ...


class MediaRooms(Protocol):
    """The rooms of a media server. Fitted by `livekit.LiveKitServer`."""

    async def ensure(self, name: str) -> None:
        """Have a room there. Raises PeerError."""
        ...
