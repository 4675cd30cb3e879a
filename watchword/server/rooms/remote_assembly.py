"""The parts of rooms that deal with other servers, put together."""

from dataclasses import dataclass
from typing import Protocol

from watchword.protocol.ids import ServerName
from watchword.server.accounts.reader import AccountReader
from watchword.server.changes import Change
from watchword.server.rooms.backfill import Backfiller
from watchword.server.rooms.directory import Directory
from watchword.server.rooms.ephemeral import Ephemeral
from watchword.server.rooms.fetching import Fetching
from watchword.server.rooms.for_servers import RoomsForServers
from watchword.server.rooms.forks import Forks
from watchword.server.rooms.incoming import IncomingChecks
from watchword.server.rooms.intake import Intake
from watchword.server.rooms.join_answers import JoinAnswers
from watchword.server.rooms.joining import Joining
from watchword.server.rooms.memberships import Memberships
from watchword.server.rooms.out_of_band import OutOfBand
from watchword.server.rooms.ports import EventSignatures, RemoteServers, StandingBans
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.receiver import Receiver
from watchword.server.rooms.remote import RemoteMemberships
from watchword.server.rooms.served_events import ServedEvents
from watchword.server.rooms.served_memberships import ServedMemberships
from watchword.server.rooms.servers_acl import RoomAcls
from watchword.server.rooms.writer import RoomWriter
from watchword.storage import Log


class RemotePorts(Protocol):
    """What others fit. `assembly.RoomPorts` fits it."""

    @property
    def accounts(self) -> AccountReader: ...
    @property
    def servers(self) -> RemoteServers: ...
    @property
    def signatures(self) -> EventSignatures: ...
    @property
    def bans(self) -> StandingBans: ...


@dataclass(frozen=True, slots=True)
class RemoteGround:
    """What these parts stand on."""

    writer: RoomWriter
    reader: RoomReader
    ephemeral: Ephemeral
    log: Log[Change]
    ports: RemotePorts
    memberships: Memberships
    directory: Directory

    @property
    def server_name(self) -> ServerName:
        """Who this server is."""
        return self.writer.identity.server_name


@dataclass(frozen=True, slots=True)
class RemoteParts:
    """memberships and backfill are for this feature; the others fit the ports of federation."""

    memberships: RemoteMemberships
    backfill: Backfiller
    receiver: Receiver
    for_servers: RoomsForServers
    served_events: ServedEvents
    edus: Ephemeral
    acls: RoomAcls


def assemble_remote(ground: RemoteGround) -> RemoteParts:
    """Build them."""
    writer, servers, clock = ground.writer, ground.ports.servers, ground.writer.clock
    forks = Forks(writer.events)
    intake = Intake(writer, forks)
    writer.policy.places = intake
    checks = IncomingChecks(ground.ports.signatures, clock)
    fetching = Fetching(writer.database, writer.events, writer.appender, checks, servers)
    acls = RoomAcls(writer.registry)
    out_of_band = OutOfBand(writer, ground.memberships, ground.log, ground.server_name)
    receiver = Receiver(intake, checks, fetching, acls, out_of_band, clock)
    joining = Joining(writer, servers, checks, fetching, receiver, out_of_band)
    answers = JoinAnswers(writer.database, writer.events, ground.server_name)
    accounts, bans = ground.ports.accounts, ground.ports.bans
    served_memberships = ServedMemberships(writer, intake, checks, acls, out_of_band, answers, accounts, bans)
    sticky, erased = writer.appender.sticky, accounts.erased
    served_events = ServedEvents(writer.database, writer.registry, writer.events, writer.names, acls, answers, sticky, erased)
    return RemoteParts(
        memberships=RemoteMemberships(writer, servers, intake, joining, out_of_band),
        backfill=Backfiller(intake, fetching, ground.server_name, clock),
        receiver=receiver,
        for_servers=RoomsForServers(served_memberships, served_events, ground.directory, ground.reader),
        served_events=served_events,
        edus=ground.ephemeral,
        acls=acls,
    )
