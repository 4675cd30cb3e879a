"""What is about relations, put together. Deliberately absent: the index (`append` keeps it) and bundles (`reader` has them)."""

from dataclasses import dataclass

from watchword.server.changes import Change
from watchword.server.rooms.mass_redactions import MassRedactions
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.relations import RelatedEvents
from watchword.server.rooms.thread_subscriptions import ThreadSubscriptions
from watchword.server.rooms.threads import Threads
from watchword.server.rooms.writer import RoomWriter
from watchword.storage import Log


@dataclass(frozen=True, slots=True)
class Relations:
    """The parts. mass_redactions.run() is for the server's task group."""

    related: RelatedEvents
    threads: Threads
    subscriptions: ThreadSubscriptions
    mass_redactions: MassRedactions

    @staticmethod
    def build(writer: RoomWriter, reader: RoomReader, log: Log[Change]) -> "Relations":
        """Build them; what the index finds due is carried out by `mass_redactions` from now on."""
        return Relations(
            RelatedEvents(reader, reader.clock),
            Threads(reader, reader.clock),
            ThreadSubscriptions(reader, log, writer.names),
            MassRedactions(writer),
        )
