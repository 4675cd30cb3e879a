"""What push needs others to fit."""

from typing import Any, Protocol

from watchword.edge.fetch import Outgoing
from watchword.server.rooms.ephemeral import Ephemeral
from watchword.server.rooms.reader import RoomReader


class Gateways(Protocol):
    """The way out to push gateways. Fitted by `edge.fetch.Fetcher`."""

    async def fetch_json(self, outgoing: Outgoing) -> dict[str, Any]:
        """The JSON object that the gateway answers with. Raises PeerError."""
        ...


class RoomParts(Protocol):
    """The parts of rooms that push reads. Fitted by `rooms.assembly.Rooms`."""

    @property
    def reader(self) -> RoomReader: ...

    @property
    def ephemeral(self) -> Ephemeral: ...
