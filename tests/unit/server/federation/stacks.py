"""Whole federation stacks in one process, over a network in memory, with rooms of five lines."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from watchword.base.clock import ManualClock
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import Forbidden
from watchword.edge.rate_limits import RateLimiter
from watchword.edge.replies import Reply
from watchword.edge.router import Incoming, Router
from watchword.protocol import canonical_json
from watchword.protocol.ids import DeviceId, EventId, RoomAlias, RoomId, ServerName, UserId, domain_of
from watchword.protocol.signatures import SigningKey
from watchword.server.accounts.commands import PresenceState
from watchword.server.changes import Change, EventAppended, decode_change, encode_change
from watchword.server.federation import SCHEMA
from watchword.server.federation.discovery_rules import SrvRecord
from watchword.server.federation.endpoints import ENDPOINTS
from watchword.server.federation.ports import IncomingInvite, MissingEvents, PeerAnswer, PeerCall, PublicRoomsQuery, WholeAnswer
from watchword.server.federation.service import FederationIn, FederationOut, Fittings, Ground
from watchword.server.federation.settings import FederationSettings
from watchword.server.rooms.ephemeral import Receipt
from watchword.storage import Log, Position, Schema, SqliteDatabase, migrate

A = ServerName("a.example")
B = ServerName("b.example")
ROOM = RoomId("!room:a.example")
ALICE = UserId("@alice:a.example")
BOB = UserId("@bob:b.example")

Handler = Callable[[PeerCall], WholeAnswer]


@dataclass
class Body:
    """A body that is there at once."""

    data: bytes

    async def next_piece(self) -> tuple[bytes, bool]:
        return self.data, False


@dataclass
class MemoryAnswer:
    """Fits PeerAnswer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    async def read(self, bytes_max: int) -> bytes:
        if len(self.body) > bytes_max:
            raise OSError("too long")
        return self.body

    async def pieces(self, bytes_max: int) -> AsyncIterator[bytes]:
        for at in range(0, len(self.body), 7):
            if at > bytes_max:
                raise OSError("too long")
            yield self.body[at : at + 7]


@dataclass
class Net:
    """A network in memory. Fits Egress. hosts: what answers at host:port; down: who does not answer."""

    hosts: dict[str, Router | Handler] = field(default_factory=dict)
    files: dict[str, WholeAnswer] = field(default_factory=dict)
    services: dict[str, list[SrvRecord]] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    calls: list[PeerCall] = field(default_factory=list)
    gets: list[str] = field(default_factory=list)
    dns_works: bool = True

    def call(self, call: PeerCall) -> AbstractAsyncContextManager[PeerAnswer]:
        return self._call(call)

    @asynccontextmanager
    async def _call(self, call: PeerCall) -> AsyncIterator[PeerAnswer]:
        await asyncio.sleep(0)
        self.calls.append(call)
        place = f"{call.target.connect_host}:{call.target.connect_port}"
        there = self.hosts.get(place)
        if there is None or place in self.down:
            raise ConnectionRefusedError(place)
        if isinstance(there, Router):
            answer = await ask_router(there, call.method, call.uri, call.body or b"", call.headers)
        else:
            found = there(call)
            answer = MemoryAnswer(found.status, found.headers, found.body)
        yield answer

    async def get(self, url: str, *, bytes_max: int, timeout_ms: int) -> WholeAnswer:
        await asyncio.sleep(0)
        self.gets.append(url)
        if url in self.down:
            raise TimeoutError(url)
        return self.files.get(url, WholeAnswer(404, {}, b""))

    def stream(self, url: str, *, timeout_ms: int) -> AbstractAsyncContextManager[PeerAnswer]:
        return self._stream(url)

    @asynccontextmanager
    async def _stream(self, url: str) -> AsyncIterator[PeerAnswer]:
        if url not in self.files:
            raise ConnectionRefusedError(url)
        found = self.files[url]
        yield MemoryAnswer(found.status, found.headers, found.body)

    async def srv(self, name: str) -> Sequence[SrvRecord]:
        if not self.dns_works:
            raise TimeoutError(name)
        return self.services.get(name, [])


async def ask_router(router: Router, method: str, uri: str, body: bytes, headers: Mapping[str, str]) -> MemoryAnswer:
    """One request, as a listener would hand it over."""
    path, _, query = uri.partition("?")
    raw_headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    incoming = Incoming(method, path.encode(), query.encode(), raw_headers, "192.0.2.1", Body(body))
    reply = await router.answer(incoming)
    assert isinstance(reply, Reply)
    return MemoryAnswer(reply.status, reply.headers, reply.body)


def json_answer(value: object, status: int = 200) -> WholeAnswer:
    return WholeAnswer(status, {"content-type": "application/json"}, orjson.dumps(value))


@dataclass
class FakeRooms:
    """Fits every port of rooms, and remembers what came."""

    server_name: ServerName
    servers: dict[RoomId, list[ServerName]] = field(default_factory=lambda: {ROOM: [A, B]})
    servers_then: dict[int, list[ServerName]] = field(default_factory=dict)
    pdus: dict[EventId, bytes] = field(default_factory=dict)
    received: list[tuple[ServerName, dict[str, Any]]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    typing: list[tuple[RoomId, UserId, int]] = field(default_factory=list)
    receipts: list[tuple[Receipt, int]] = field(default_factory=list)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    denied: set[ServerName] = field(default_factory=set)

    async def servers_in_room(self, room_id: RoomId) -> Collection[ServerName]:
        if "broken" in room_id:
            raise RuntimeError("planted")
        return self.servers.get(room_id, [])

    async def servers_at(self, room_id: RoomId, position: Position) -> Collection[ServerName]:
        return self.servers_then.get(position) or await self.servers_in_room(room_id)

    async def servers_at_event(self, room_id: RoomId, event_id: EventId, position: Position) -> Collection[ServerName]:
        return await self.servers_at(room_id, position)

    async def servers_sharing_room_with(self, user_id: UserId) -> Collection[ServerName]:
        return {server for servers in self.servers.values() for server in servers}

    async def pdu_bytes(self, event_ids: Sequence[EventId]) -> Mapping[EventId, bytes]:
        return {event_id: self.pdus[event_id] for event_id in event_ids if event_id in self.pdus}

    async def receive_pdus(self, origin: ServerName, raws: Sequence[dict[str, Any]]) -> Mapping[str, str | None]:
        self.received += [(origin, raw) for raw in raws]
        return {raw["id"]: self.refused.get(raw["id"]) for raw in raws}

    async def receive_typing(self, room_id: RoomId, user_id: UserId, timeout_ms: int) -> None:
        self.typing.append((room_id, user_id, timeout_ms))

    async def receive_receipt(self, receipt: Receipt, ts: int) -> None:
        self.receipts.append((receipt, ts))

    async def may_take_part(self, room_id: RoomId, server_name: ServerName) -> bool:
        return server_name not in self.denied

    async def make_join(self, origin: ServerName, room_id: RoomId, user_id: UserId, versions: Sequence[str]) -> bytes:
        self.asked.append(("make_join", origin, room_id, user_id, list(versions)))
        if origin in self.denied:
            raise Forbidden("You are banned.")
        return orjson.dumps({"event": {"type": "m.room.member", "sender": user_id}, "room_version": "11"})

    async def make_leave(self, origin: ServerName, room_id: RoomId, user_id: UserId) -> bytes:
        return orjson.dumps({"event": {"type": "m.room.member"}})

    async def make_knock(self, origin: ServerName, room_id: RoomId, user_id: UserId, versions: Sequence[str]) -> bytes:
        return orjson.dumps({"event": {}, "room_version": versions[0]})

    async def send_join(
        self, origin: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any], omit_members: bool
    ) -> bytes:
        self.asked.append(("send_join", origin, room_id, event_id, event, omit_members))
        return orjson.dumps({"event": event, "state": [{"s": 1}, 5], "auth_chain": [], "servers_in_room": [A, "?"]})

    async def send_leave(self, origin: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any]) -> None:
        self.asked.append(("send_leave", origin, room_id, event_id, event))

    async def send_knock(self, origin: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any]) -> bytes:
        return orjson.dumps({"knock_room_state": [{"type": "m.room.create"}]})

    async def invite(self, origin: ServerName, invite: IncomingInvite) -> bytes:
        self.asked.append(("invite", origin, invite))
        return orjson.dumps({**invite.event, "signed": True})

    async def backfill(self, origin: ServerName, room_id: RoomId, event_ids: Sequence[EventId], limit: int) -> Sequence[bytes]:
        self.asked.append(("backfill", list(event_ids), limit))
        return [b'{"n":1}', b'{"n":2}']

    async def missing_events(self, origin: ServerName, room_id: RoomId, wanted: MissingEvents) -> Sequence[bytes]:
        self.asked.append(("missing_events", wanted))
        return [b'{"n":3}']

    async def state(self, origin: ServerName, room_id: RoomId, event_id: EventId) -> tuple[Sequence[bytes], Sequence[bytes]]:
        return [b'{"n":4}'], [b'{"n":5}']

    async def state_ids(
        self, origin: ServerName, room_id: RoomId, event_id: EventId
    ) -> tuple[Sequence[EventId], Sequence[EventId]]:
        return [EventId("$s")], [EventId("$c")]

    async def event(self, origin: ServerName, event_id: EventId) -> bytes:
        return b'{"n":6}'

    async def event_auth(self, origin: ServerName, room_id: RoomId, event_id: EventId) -> Sequence[bytes]:
        return [b'{"n":7}']

    async def resolve_alias(self, alias: RoomAlias) -> tuple[RoomId, Sequence[ServerName]] | None:
        return (ROOM, [A, B]) if alias == "#room:" + self.server_name else None

    async def public_rooms(self, origin: ServerName, query: PublicRoomsQuery) -> Mapping[str, Any]:
        self.asked.append(("public_rooms", query))
        return {"chunk": [{"room_id": ROOM}]}


@dataclass
class FakeE2ee:
    """Fits both ports of e2ee."""

    updates: list[tuple[str, ServerName, Mapping[str, Any]]] = field(default_factory=list)
    letters: dict[str, dict[str, Any]] = field(default_factory=dict)
    deleted_until: dict[ServerName, Position] = field(default_factory=dict)
    fails: bool = False

    async def receive_device_list_update(self, origin: ServerName, content: Mapping[str, Any]) -> None:
        if self.fails:
            raise RuntimeError("planted")
        self.updates.append(("devices", origin, content))

    async def receive_signing_key_update(self, origin: ServerName, content: Mapping[str, Any]) -> None:
        self.updates.append(("signing", origin, content))

    async def receive_direct_to_device(self, origin: ServerName, content: Mapping[str, Any]) -> None:
        self.updates.append(("direct", origin, content))

    async def device_list_edu(
        self, user_id: UserId, device_id: DeviceId | None, deleted: bool, position: Position | None = None
    ) -> Mapping[str, Any]:
        return {"user_id": user_id, "device_id": device_id or "D", "stream_id": position, "deleted": deleted}

    async def signing_key_edu(self, user_id: UserId) -> Mapping[str, Any]:
        return {"user_id": user_id}

    async def outgoing_to_device(self, server_name: ServerName, message_id: str) -> Mapping[str, Any] | None:
        if self.fails:
            raise RuntimeError("planted")
        return self.letters.get(message_id)

    async def delete_outgoing_to_device(self, server_name: ServerName, until: Position) -> None:
        self.deleted_until[server_name] = until


@dataclass
class FakePeople:
    """Fits presence, profiles and OpenID."""

    states: dict[UserId, PresenceState] = field(default_factory=dict)
    profiles: dict[UserId, dict[str, Any]] = field(default_factory=dict)

    def content(self, user_id: UserId) -> Mapping[str, object] | None:
        return {"presence": "online"} if user_id in self.profiles else None

    async def receive(self, user_id: UserId, state: PresenceState) -> None:
        self.states[user_id] = state

    async def exists(self, user_id: UserId) -> bool:
        return user_id in self.profiles

    async def profile(self, user_id: UserId) -> Mapping[str, Any]:
        return self.profiles[user_id]

    async def openid_user(self, token: str) -> UserId | None:
        return next(iter(self.profiles), None) if token == "good" else None


@dataclass
class Stack:
    """One server's federation and what it stands on."""

    name: ServerName
    net: Net
    clock: ManualClock
    database: SqliteDatabase
    log: Log[Change]
    settings: FederationSettings
    out: FederationOut
    inn: FederationIn
    router: Router
    rooms: FakeRooms
    e2ee: FakeE2ee
    people: FakePeople

    @staticmethod
    async def build(path: Path, name: ServerName, net: Net, clock: ManualClock, *, seed: int = 1, **settings: Any) -> "Stack":
        database = SqliteDatabase(path / f"{name}.db".replace(":", "_"))
        await migrate(database, [Schema("storage", "watchword.storage"), SCHEMA])
        log: Log[Change] = Log(database, encode_change, decode_change)
        await log.start()
        chosen = FederationSettings(name, **settings)
        ground = Ground(database, chosen, clock, SeededEntropy(seed))
        out = FederationOut.build(ground, net, signing_key(name))
        rooms, e2ee, people = FakeRooms(name), FakeE2ee(), FakePeople()
        fittings = Fittings(rooms, rooms, rooms, rooms, rooms, e2ee, e2ee, people, people, people, "1.2.3")
        inn = FederationIn.build(out, log, fittings)
        await out.start()
        router = Router(NoClients(), out.authenticator, RateLimiter({}, clock), entropy=SeededEntropy(2))
        router.mount(ENDPOINTS, inn.doors)
        net.hosts[f"{name}:8448"] = router
        return Stack(name, net, clock, database, log, chosen, out, inn, router, rooms, e2ee, people)

    async def close(self) -> None:
        self.out.close()
        await self.database.close()

    async def happen(self, *changes: Change) -> None:
        async with self.database.write() as tx:
            for change in changes:
                await self.log.append(tx, change)

    async def say(self, number: int, room_id: RoomId = ROOM, sender: UserId | None = None) -> EventId:
        """A message of a user of this server, stored and logged."""
        event_id = EventId(f"$event{number}")
        self.rooms.pdus[event_id] = canonical_json.encode({"id": event_id, "n": number})
        author = sender or UserId(f"@user:{self.name}")
        await self.happen(EventAppended(room_id, event_id, "m.room.message", None, author, domain_of(author) == self.name))
        return event_id


class NoClients:
    """Fits ClientAuthenticator."""

    async def client(self, request: Any, token: str, *, allow_locked: bool) -> Any:
        raise AssertionError(token)


def signing_key(name: str) -> SigningKey:
    """The key of a server in these tests."""
    return SigningKey(name.encode().ljust(32, b"!")[:32], "1")


async def settle(*conditions: Callable[[], object], clock: ManualClock | None = None, rounds: int = 2_000) -> None:
    """Let the loop turn until all conditions hold; with a clock, let time pass too."""
    for turn in range(rounds):
        if all(condition() for condition in conditions):
            return
        await asyncio.sleep(0 if turn % 10 else 0.001)
        if clock is not None:
            clock.advance(250)
    raise AssertionError("it did not come about")


@asynccontextmanager
async def running(*stacks: Stack) -> AsyncIterator[None]:
    """Run followers and senders meanwhile."""
    tasks = [asyncio.create_task(stack.inn.run()) for stack in stacks]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
