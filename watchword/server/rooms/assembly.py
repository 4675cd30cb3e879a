"""Rooms put together: the one object from which `app.py` takes its parts."""

from dataclasses import dataclass

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.edge.auditing import NO_AUDIT, Audit
from watchword.protocol.ids import UserId
from watchword.server.accounts.reader import AccountReader
from watchword.server.accounts.user_data import UserData
from watchword.server.changes import Change
from watchword.server.rooms import tables
from watchword.server.rooms.append import Appender
from watchword.server.rooms.catalogue import RoomCatalogue
from watchword.server.rooms.creation import RoomMaker
from watchword.server.rooms.directory import Directory
from watchword.server.rooms.doors import RoomDoors
from watchword.server.rooms.ephemeral import Ephemeral, Typing
from watchword.server.rooms.estate import Estate
from watchword.server.rooms.follower import RoomFollower
from watchword.server.rooms.guests import RoomGuests
from watchword.server.rooms.membership import Membership
from watchword.server.rooms.memberships import Memberships
from watchword.server.rooms.pages import Pages
from watchword.server.rooms.policy_server import PolicyGate
from watchword.server.rooms.ports import (
    NO_BANS,
    NO_INVITATION_SERVERS,
    NO_PUSH_RULES,
    NOBODY_OWNS_ALIASES,
    AliasOwners,
    EventSignatures,
    InvitationServers,
    RemoteServers,
    RoomPushRules,
    StandingBans,
)
from watchword.server.rooms.published import RemoteDirectories
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.registry import RoomRegistry
from watchword.server.rooms.relations_assembly import Relations
from watchword.server.rooms.relations_bundling import Bundles
from watchword.server.rooms.remote_assembly import RemoteGround, RemoteParts, assemble_remote
from watchword.server.rooms.retention import Horizon, Retention
from watchword.server.rooms.retention_policy import KEEPS_EVERYTHING, RetentionSettings
from watchword.server.rooms.sent import REMEMBERED_MS, SentTransactions
from watchword.server.rooms.sticky import StickyEvents
from watchword.server.rooms.stored import EventStore
from watchword.server.rooms.third_party_invites import ThirdPartyInvites
from watchword.server.rooms.timestamps import RemoteTimes, Timestamps
from watchword.server.rooms.upgrade import RoomUpgrader
from watchword.server.rooms.upgrade_follow import RoomTransfer
from watchword.server.rooms.view import Sights
from watchword.server.rooms.writer import Identity, RoomWriter
from watchword.storage import Database, Log, Tx
from watchword.storage.names import Names

_FORGET_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """What an operator may choose."""

    default_version: str
    rooms_max: int
    events_max: int
    retention: RetentionSettings = KEEPS_EVERYTHING
    forgets_left: bool = False
    notices_user: UserId | None = None


@dataclass(frozen=True, slots=True)
class RoomPorts:
    """What others fit."""

    identity: Identity
    accounts: AccountReader
    user_data: UserData
    servers: RemoteServers
    signatures: EventSignatures
    push_rules: RoomPushRules = NO_PUSH_RULES
    addresses: InvitationServers = NO_INVITATION_SERVERS
    bans: StandingBans = NO_BANS
    audit: Audit = NO_AUDIT
    alias_owners: AliasOwners = NOBODY_OWNS_ALIASES
    directories: RemoteDirectories | None = None
    times: RemoteTimes | None = None


@dataclass(frozen=True, slots=True)
class Rooms:
    """The parts. For the server's task group: `run` of follower, ephemeral, timestamps, relations.mass_redactions
    and, if it is switched on, retention."""

    registry: RoomRegistry
    reader: RoomReader
    writer: RoomWriter
    membership: Membership
    ephemeral: Ephemeral
    sent: SentTransactions
    events: EventStore
    doors: RoomDoors
    follower: RoomFollower
    guests: RoomGuests
    remote: RemoteParts
    relations: Relations
    catalogue: RoomCatalogue
    timestamps: Timestamps
    retention: Retention
    estate: Estate
    clock: Clock

    async def start(self) -> None:
        """Read back what devices sent lately; end the typing of before."""
        await self.sent.start(self.clock.now_ms())
        await self.reader.sticky.start(self.reader.database, self.events)
        await self.ephemeral.start()

    async def forget_old(self, tx: Tx) -> None:
        """Drop transaction IDs that nobody will repeat any more, and what is sticky no more."""
        await self.reader.sticky.sweep(tx)
        await tables.forget_transactions(tx, self.clock.now_ms() - REMEMBERED_MS, _FORGET_AT_ONCE)


def assemble_rooms(
    database: Database,
    log: Log[Change],
    clock: Clock,
    entropy: Entropy,
    ports: RoomPorts,
    limits: RoomLimits,
) -> Rooms:
    """Build everything of this feature."""
    server_name = ports.identity.server_name
    names = Names()
    events = EventStore(limits.events_max)
    memberships = Memberships(database, names)
    registry = RoomRegistry(database, log, events, server_name, rooms_max=limits.rooms_max)
    sticky = StickyEvents(clock)
    appender = Appender(log, names, events, memberships, server_name, sticky)
    sent = SentTransactions(database, names)
    policy = PolicyGate(ports.servers)
    writer = RoomWriter(database, registry, appender, sent, events, names, ports.identity, clock, entropy, policy)
    sights = Sights(names, events, sent, sticky, Horizon(limits.retention, clock), ports.accounts.erased)
    bundles = Bundles(database, names, events, sights, ports.accounts)
    reader = RoomReader(database, registry, events, sights, memberships, server_name, clock, bundles, ports.alias_owners)
    ephemeral = Ephemeral(database, log, names, events, registry, Typing(clock), clock)
    directory = Directory(database, reader, server_name, ports.directories)
    directory.published.listen(log)
    directory.published.bans = ports.bans
    remote = assemble_remote(RemoteGround(writer, reader, ephemeral, log, ports, memberships, directory))
    maker = RoomMaker(writer, database, clock, entropy, server_name)
    membership = Membership(
        writer, maker, reader, registry, ports.accounts, remote.memberships, server_name, ports.bans, limits.notices_user
    )
    relations = Relations.build(writer, reader, log)
    transfer = RoomTransfer(reader, ports.accounts, ports.user_data, ports.push_rules)
    doors = RoomDoors(
        writer=writer,
        reader=reader,
        membership=membership,
        pages=Pages(database, reader, remote.backfill, clock),
        ephemeral=ephemeral,
        directory=directory,
        user_data=ports.user_data,
        relations=relations,
        addresses=ThirdPartyInvites(membership, remote.memberships, ports.servers, ports.addresses),
        upgrader=RoomUpgrader(writer, reader, maker),
        clock=clock,
        server_name=server_name,
        default_room_version=limits.default_version,
        audit=ports.audit,
    )
    return Rooms(
        registry=registry,
        reader=reader,
        writer=writer,
        membership=membership,
        ephemeral=ephemeral,
        sent=sent,
        events=events,
        doors=doors,
        follower=RoomFollower(database, log, membership, clock, transfer, limits.forgets_left),
        guests=RoomGuests(database, log, reader, writer, ports.accounts, clock),
        remote=remote,
        relations=relations,
        catalogue=RoomCatalogue(registry, events, names),
        timestamps=Timestamps(database, reader, remote.served_events, remote.backfill, ports.times, clock),
        retention=Retention(writer, log, clock, limits.retention),
        estate=Estate(writer, memberships, log, clock),
        clock=clock,
    )
