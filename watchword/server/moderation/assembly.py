"""Moderation put together: the one object that the doors are mounted with, and from which `app` takes its parts."""

from dataclasses import dataclass

from watchword.base.clock import Clock
from watchword.server.moderation.reports import Reports
from watchword.server.rooms.reader import RoomReader
from watchword.storage import Database


@dataclass(frozen=True, slots=True)
class Moderation:
    """The parts."""

    reports: Reports


def assemble_moderation(database: Database, rooms: RoomReader, clock: Clock) -> Moderation:
    """Build everything of this feature."""
    return Moderation(Reports(database, rooms, clock))
