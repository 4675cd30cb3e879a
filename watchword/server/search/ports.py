"""What search needs others to fit."""

from typing import Protocol

from watchword.server.rooms.catalogue import RoomCatalogue
from watchword.server.rooms.reader import RoomReader


class RoomParts(Protocol):
    """The parts of rooms that search reads. Fitted by `rooms.assembly.Rooms`."""

    @property
    def reader(self) -> RoomReader: ...

    @property
    def catalogue(self) -> RoomCatalogue: ...
