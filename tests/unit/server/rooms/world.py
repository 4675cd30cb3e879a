"""A server's accounts, e2ee, rooms and sync on one real database, and their doors without HTTP.

Other servers are nobody: what needs them is refused.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from watchword.base.clock import ManualClock
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import NotFound, PeerError, Refusal
from watchword.edge.endpoint import Endpoint
from watchword.edge.paths import PathTable, decoded, parameter_names
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.edge.stopping import Stopping
from watchword.protocol.ids import DeviceId, EventId, RoomAlias, RoomId, ServerName, UserId
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.protocol.signatures import SigningKey
from watchword.server import accounts as accounts_feature
from watchword.server import e2ee as e2ee_feature
from watchword.server import rooms as rooms_feature
from watchword.server.accounts import endpoints as account_doors
from watchword.server.accounts.assembly import AccountPorts, Accounts, assemble_accounts
from watchword.server.accounts.commands import AccountSettings
from watchword.server.accounts.ports import NoAppservices
from watchword.server.changes import Change, decode_change, encode_change
from watchword.server.e2ee import endpoints as e2ee_doors
from watchword.server.e2ee.follower import E2eeFollower
from watchword.server.e2ee.reader import E2eeReader
from watchword.server.e2ee.recent_changes import RecentChanges
from watchword.server.e2ee.service import E2eePorts, E2eeService
from watchword.server.rooms import endpoints as room_doors
from watchword.server.rooms.append import Appender
from watchword.server.rooms.commands import ChangeMembership, SendEvent
from watchword.server.rooms.creation import RoomMaker
from watchword.server.rooms.directory import Directory
from watchword.server.rooms.doors import RoomDoors
from watchword.server.rooms.ephemeral import Ephemeral, Typing
from watchword.server.rooms.follower import RoomFollower
from watchword.server.rooms.membership import Membership
from watchword.server.rooms.memberships import Memberships
from watchword.server.rooms.out_of_band import OutOfBand, Told
from watchword.server.rooms.pages import Pages
from watchword.server.rooms.policy_server import PolicyGate
from watchword.server.rooms.ports import NO_INVITATION_SERVERS, InvitationServers
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.registry import RoomRegistry
from watchword.server.rooms.relations_assembly import Relations
from watchword.server.rooms.relations_bundling import Bundles
from watchword.server.rooms.room import Room
from watchword.server.rooms.sent import SentTransactions
from watchword.server.rooms.sticky import StickyEvents
from watchword.server.rooms.stored import EventStore
from watchword.server.rooms.third_party_invites import ThirdPartyInvites
from watchword.server.rooms.upgrade import RoomUpgrader
from watchword.server.rooms.upgrade_follow import RoomTransfer
from watchword.server.rooms.view import Sights
from watchword.server.rooms.writer import Identity, RoomWriter
from watchword.server.sync import endpoints as sync_doors
from watchword.server.sync import endpoints_old_streams as old_stream_doors
from watchword.server.sync.device_lists import DeviceLists
from watchword.server.sync.endpoints import SyncDoors
from watchword.server.sync.filters import Filters
from watchword.server.sync.invites import InviteSections
from watchword.server.sync.old_streams import OldStreams, RoomBell
from watchword.server.sync.ports import Unread
from watchword.server.sync.rooms import RoomSections
from watchword.server.sync.service import SyncService
from watchword.server.sync.waiting import WaitingRoom
from watchword.storage import Database, Log, Schema, SqliteDatabase, migrate
from watchword.storage.names import Names

HERE = ServerName("here.example")
ALICE, BOB, CAROL, DAVE = (UserId(f"@{name}:{HERE}") for name in ("alice", "bob", "carol", "dave"))
EVE = UserId("@eve:there.example")
PHONE, LAPTOP = DeviceId("PHONE"), DeviceId("LAPTOP")
KEY = SigningKey(b"k" * 32, "one")

SCHEMAS = (
    Schema("storage", "watchword.storage"),
    accounts_feature.SCHEMA,
    e2ee_feature.SCHEMA,
    rooms_feature.SCHEMA,
)
CLIENT = "/_matrix/client/v3"


class Nobody:
    """Other servers, and everything else that this server has not got."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object]] = []
        self.out_of_band: OutOfBand | None = None
        self.refuses_to_leave = False

    async def resolve_alias(self, alias: RoomAlias) -> tuple[RoomId, Sequence[ServerName]] | None:
        return None

    async def join(self, command: ChangeMembership, via: Sequence[ServerName]) -> None:
        self.asked.append(("join", list(via)))
        raise NotFound("No server helped.")

    async def invite(self, command: ChangeMembership) -> EventId:
        self.asked.append(("invite", command))
        return EventId("$remote")

    async def leave(self, command: ChangeMembership, via: Sequence[ServerName]) -> None:
        self.asked.append(("leave", list(via)))
        if self.refuses_to_leave:
            raise NotFound("No server helped.")
        if self.out_of_band is not None:
            told = Told(command.target, "leave", EventId("$left"), command.sender)
            await self.out_of_band.record(command.room_id, ROOM_VERSIONS["11"], told)

    def leaves_out_of_band(self, world: "World") -> None:
        """From now on a leave of a room that is not here is kept, as it is where there are other servers."""
        self.out_of_band = OutOfBand(world.writer, world.memberships, world.log, HERE)

    async def knock(self, command: ChangeMembership, via: Sequence[ServerName]) -> None:
        self.asked.append(("knock", list(via)))

    async def invite_here(self, command: ChangeMembership) -> EventId:
        self.asked.append(("invite_here", command))
        return EventId("$here")

    async def exchange_third_party_invite(self, server: ServerName, room_id: RoomId, event: Mapping[str, Any]) -> None:
        self.asked.append(("exchange", (server, room_id, event)))

    async def policy_sign(self, server: ServerName, event: Mapping[str, Any], *, is_unstable: bool) -> dict[str, Any]:
        raise PeerError(server, "nobody is there")

    async def copy_room_rules(self, user_id: UserId, old: RoomId, new: RoomId) -> None:
        self.asked.append(("copy_room_rules", (user_id, old, new)))

    async def fetch_before(self, room: Room, ordering: int) -> bool:
        return False

    async def query_profile(self, server_name: ServerName, user_id: UserId, field: str | None) -> Mapping[str, Any]:
        raise PeerError(server_name, "nobody is there")

    async def is_cross_signing_key(self, user_id: UserId, name: str) -> bool:
        return False

    async def query_keys(self, server_name: ServerName, device_keys: Mapping[UserId, Sequence[DeviceId]]) -> Mapping[str, Any]:
        raise PeerError(server_name, "nobody is there")

    async def claim_keys(
        self, server_name: ServerName, one_time_keys: Mapping[UserId, Mapping[DeviceId, str]]
    ) -> Mapping[str, Any]:
        raise PeerError(server_name, "nobody is there")

    async def user_devices(self, server_name: ServerName, user_id: UserId) -> Mapping[str, Any]:
        raise PeerError(server_name, "nobody is there")

    async def unread(self, user_id: UserId, room: Room) -> Unread:
        return NoneUnread()

    async def content(self, user_id: UserId) -> bytes:
        return b'{"global":{}}'


@dataclass(frozen=True)
class NoneUnread:
    """Nothing is unread."""

    notifications: int = 0
    highlights: int = 0
    threads: Mapping[str, tuple[int, int]] = field(default_factory=dict)


class RoomsLater:
    """What features below rooms ask of it."""

    reader: RoomReader

    async def share_room(self, a: UserId, b: UserId) -> bool:
        return await self.reader.share_room(a, b)

    async def users_sharing_room_with(self, user_id: UserId) -> set[UserId]:
        return await self.reader.users_sharing_room_with(user_id)

    async def servers_sharing_room_with(self, user_id: UserId) -> set[ServerName]:
        return await self.reader.servers_sharing_room_with(user_id)


class World:
    """One server. `start` first, `close` last."""

    def __init__(
        self,
        folder: Path,
        *,
        wrap: Callable[[Database], Database] = lambda database: database,
        rooms_max: int = 100,
        events_max: int = 1_000,
        ring_changes_max: int = 10_000,
        presence: bool = False,
        clock: ManualClock | None = None,
    ) -> None:
        self.sqlite = SqliteDatabase(folder / "server.db")
        self.database = wrap(self.sqlite)
        self.log: Log[Change] = Log(self.database, encode_change, decode_change, ring_changes_max=ring_changes_max)
        self.clock = clock or ManualClock()
        self.nobody = Nobody()
        self.stopping = Stopping()
        self.entropy = SeededEntropy(1)
        self._later = RoomsLater()
        settings = AccountSettings(HERE, argon2_memory_kibibytes=8, argon2_passes=1, presence=presence)
        ports = AccountPorts(self.nobody, self._later, self.nobody, NoAppservices())
        self.accounts: Accounts = assemble_accounts(settings, self.database, self.log, self.clock, self.entropy, ports)
        recent = RecentChanges()
        self.e2ee_reader = E2eeReader(self.database, self.accounts.reader, recent)
        e2ee_ports = E2eePorts(self.accounts.reader, self.accounts.uia, self._later, self.nobody, self.accounts.devices)
        self.e2ee = E2eeService(self.database, self.log, self.clock, self.entropy, HERE, e2ee_ports, self.e2ee_reader)
        self.e2ee_follower = E2eeFollower(self.database, self.log, self.e2ee_reader, recent, self.e2ee.lists)
        self._build_rooms(rooms_max, events_max)
        self._build_sync()
        self._table: PathTable[tuple[Endpoint, object]] = PathTable()
        for endpoints, service in (
            (account_doors.ENDPOINTS, self.accounts),
            (e2ee_doors.ENDPOINTS, self.e2ee),
            (room_doors.ENDPOINTS, self.doors),
            (sync_doors.ENDPOINTS, self.sync_doors),
            (old_stream_doors.ENDPOINTS, self.old_streams),
        ):
            for endpoint in endpoints:
                self._table.add(endpoint.method, endpoint.path, (endpoint, service))

    def _build_rooms(self, rooms_max: int, events_max: int) -> None:
        database, log, clock = self.database, self.log, self.clock
        self.names = Names()
        self.events = EventStore(events_max)
        self.memberships = Memberships(database, self.names)
        self.registry = RoomRegistry(database, log, self.events, HERE, rooms_max=rooms_max)
        self.sticky = StickyEvents(clock)
        self.appender = Appender(log, self.names, self.events, self.memberships, HERE, self.sticky)
        self.sent = SentTransactions(database, self.names)
        identity, policy = Identity(HERE, KEY), PolicyGate(self.nobody)
        self.writer = RoomWriter(
            database, self.registry, self.appender, self.sent, self.events, self.names, identity, clock, self.entropy, policy
        )
        self.sights = Sights(self.names, self.events, self.sent, self.sticky, erased=self.accounts.reader.erased)
        self.bundles = Bundles(database, self.names, self.events, self.sights, self.accounts.reader)
        self.reader = RoomReader(database, self.registry, self.events, self.sights, self.memberships, HERE, clock, self.bundles)
        self._later.reader = self.reader
        self.typing = Typing(clock)
        self.ephemeral = Ephemeral(database, log, self.names, self.events, self.registry, self.typing, clock)
        self.maker = RoomMaker(self.writer, database, clock, self.entropy, HERE)
        self.membership = Membership(
            self.writer, self.maker, self.reader, self.registry, self.accounts.reader, self.nobody, HERE
        )
        self.directory = Directory(database, self.reader, HERE)
        self.relations = Relations.build(self.writer, self.reader, log)
        self.pages = Pages(database, self.reader, self.nobody, clock)
        transfer = RoomTransfer(self.reader, self.accounts.reader, self.accounts.user_data, self.nobody)
        self.follower = RoomFollower(database, log, self.membership, clock, transfer)
        self.identity: InvitationServers = NO_INVITATION_SERVERS
        self.doors = RoomDoors(
            writer=self.writer,
            reader=self.reader,
            membership=self.membership,
            pages=self.pages,
            ephemeral=self.ephemeral,
            directory=self.directory,
            user_data=self.accounts.user_data,
            relations=self.relations,
            addresses=ThirdPartyInvites(self.membership, self.nobody, self.nobody, self.identity),
            upgrader=RoomUpgrader(self.writer, self.reader, self.maker),
            clock=clock,
            server_name=HERE,
        )

    def _build_sync(self) -> None:
        self.waiting = WaitingRoom(self.log, self.registry, self.reader, self.clock)
        self.sections = RoomSections(self.database, self.reader, self.ephemeral, self.nobody, self.clock)
        self.service = SyncService(
            log=self.log,
            rooms=self.reader,
            sections=self.sections,
            invites=InviteSections(self.reader),
            accounts=self.accounts.reader,
            e2ee=self.e2ee_reader,
            device_lists=DeviceLists(self.reader, self.e2ee_reader),
            presence=self.accounts.presence,
            push_rules=self.nobody,
            waiting=self.waiting,
            stopping=self.stopping,
            clock=self.clock,
        )
        bell = RoomBell()
        bell.listen(self.log)
        self.old_streams = OldStreams(
            self.log,
            self.reader,
            self.accounts.reader,
            self.accounts.presence,
            self.waiting,
            bell,
            self.stopping,
            self.clock,
        )
        self.sync_doors = SyncDoors(self.service, Filters(self.accounts.reader))

    async def start(self) -> "World":
        """Open the database and read what was before."""
        await migrate(self.database, SCHEMAS)
        await self.log.start()
        await self.e2ee_follower.start()
        await self.sent.start(self.clock.now_ms())
        await self.sticky.start(self.database, self.events)
        await self.ephemeral.start()
        return self

    async def close(self) -> None:
        """Stop."""
        await self.accounts.close()
        await self.database.close()

    # Doors

    async def ask(
        self,
        user_id: UserId,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        device: DeviceId | None = PHONE,
        requester: Requester | None = None,
        **query: Any,
    ) -> Any:
        """Knock at a door; the decoded answer. Refusals are raised. Path parameters are quoted by the caller."""
        path = path if path.startswith("/") else f"{CLIENT}/{path}"
        found = self._table.find(method, path.encode())
        assert isinstance(found, tuple), (method, path)
        (endpoint, service), captured = found
        params = decoded(parameter_names(endpoint.path), captured) if captured else {}
        asked = {key: value for key, value in query.items() if value is not None}
        if body is not None:
            # As it comes through the door.
            body = orjson.loads(orjson.dumps(body))
        request = Request(method, path, urlencode(asked, doseq=True), params=params, json=body)
        reply = await endpoint.handler(request, requester or Requester(user_id, device, 1), service)
        assert isinstance(reply, Reply)
        assert reply.status == 200, reply.body
        return orjson.loads(reply.body)

    async def tried(self, *arguments: Any, **more: Any) -> tuple[int, Any]:
        """Knock at a door that may say no: (status, body)."""
        try:
            return 200, await self.ask(*arguments, **more)
        except Refusal as refusal:
            return refusal.status, refusal.body()

    async def refused(self, *arguments: Any, **more: Any) -> tuple[int, str]:
        """Knock at a door that says no: (status, errcode)."""
        status, body = await self.tried(*arguments, **more)
        assert status != 200, body
        return status, body["errcode"]

    # Shorthands

    async def users(self, *user_ids: UserId) -> None:
        """Make accounts."""
        for user_id in user_ids:
            name = user_id[1:].partition(":")[0]
            await self.accounts.registrar.register_as_operator(name, "correct horse", admin=False, wants_login=False)

    async def room(self, creator: UserId = ALICE, **body: Any) -> RoomId:
        """Make a room through the door."""
        return RoomId((await self.ask(creator, "POST", "createRoom", body))["room_id"])

    async def public_room(self, *members: UserId, **body: Any) -> RoomId:
        """A public room of ALICE's that others have joined."""
        room_id = await self.room(ALICE, preset="public_chat", **body)
        for member in members:
            await self.join(member, room_id)
        return room_id

    async def join(self, user_id: UserId, room_id: RoomId) -> None:
        await self.ask(user_id, "POST", f"rooms/{room_id}/join", {})

    async def leave(self, user_id: UserId, room_id: RoomId) -> None:
        await self.ask(user_id, "POST", f"rooms/{room_id}/leave", {})

    async def invite(self, user_id: UserId, room_id: RoomId, target: UserId) -> None:
        await self.ask(user_id, "POST", f"rooms/{room_id}/invite", {"user_id": target})

    async def send(self, user_id: UserId, room_id: RoomId, text: str = "hello", **content: Any) -> EventId:
        """Send a message, past the door."""
        return await self.writer.send(
            SendEvent(room_id, user_id, "m.room.message", {"msgtype": "m.text", "body": text, **content})
        )

    async def say(
        self, user_id: UserId, room_id: RoomId, text: str = "hello", txn_id: str = "t", *, device: DeviceId = PHONE
    ) -> EventId:
        """Send a message through the door, with a transaction ID."""
        body = {"msgtype": "m.text", "body": text}
        path = f"rooms/{room_id}/send/m.room.message/{quote(txn_id, safe='')}"
        return EventId((await self.ask(user_id, "PUT", path, body, device=device))["event_id"])

    async def set_state(
        self, user_id: UserId, room_id: RoomId, kind: str, content: Mapping[str, Any], state_key: str = ""
    ) -> EventId:
        path = f"rooms/{room_id}/state/{kind}/{quote(state_key, safe='')}"
        return EventId((await self.ask(user_id, "PUT", path, content))["event_id"])

    async def messages(self, user_id: UserId, room_id: RoomId, **query: Any) -> Any:
        return await self.ask(user_id, "GET", f"rooms/{room_id}/messages", **{"dir": "b", "limit": 100, **query})

    async def sync(self, user_id: UserId = ALICE, since: str | None = None, **query: Any) -> Any:
        """A sync; a dict as filter is sent as inline JSON."""
        device = query.pop("device", PHONE)
        if isinstance(query.get("filter"), dict):
            query["filter"] = orjson.dumps(query["filter"]).decode()
        return await self.ask(user_id, "GET", "sync", since=since, device=device, **query)

    async def timeline(self, room_id: RoomId) -> list[Mapping[str, Any]]:
        """Every event of a room as its creator's server stores it, oldest first: the PDUs."""
        async with self.database.read() as tx:
            rows = await tx.fetch_all(
                "SELECT e.json FROM events AS e JOIN rooms AS r ON r.room_nid = e.room_nid "
                "WHERE r.room_id = ? AND e.ordering IS NOT NULL ORDER BY e.ordering",
                room_id,
            )
        return [orjson.loads(row[0]) for row in rows]


@asynccontextmanager
async def open_world(folder: Path, **options: Any) -> AsyncIterator[World]:
    """A world for the length of a block."""
    world = await World(folder, **options).start()
    try:
        yield world
    finally:
        await world.close()


def as_admin(user_id: UserId) -> Requester:
    return replace(Requester(user_id, PHONE, 1), is_admin=True)


def bodies(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """The texts of the messages among events."""
    return [event["content"]["body"] for event in events if event["type"] == "m.room.message" and "body" in event["content"]]


def types(events: Sequence[Mapping[str, Any]]) -> list[str]:
    return [event["type"] for event in events]
