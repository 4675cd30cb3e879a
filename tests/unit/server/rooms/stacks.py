"""Whole stacks of rooms in one process, each on its own database, wired through the ports: no HTTP, and a network that can
be cut, made to lie, and made to be silent."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from watchword.base.clock import ManualClock
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import PeerError, Refusal
from watchword.protocol import canonical_json
from watchword.protocol.event_building import EventDraft, build_event
from watchword.protocol.events import StateKey, reference_hash
from watchword.protocol.ids import EventId, RoomAlias, RoomId, ServerName, UserId, domain_of
from watchword.protocol.room_versions import RoomVersion
from watchword.protocol.signatures import SigningKey, required_signers, verify_event
from watchword.server.accounts import SCHEMA as ACCOUNTS
from watchword.server.accounts.commands import CreateAccount
from watchword.server.accounts.reader import AccountReader
from watchword.server.accounts.tables import insert_account
from watchword.server.accounts.user_data import UserData
from watchword.server.changes import Change, EventAppended, decode_change, encode_change
from watchword.server.federation.ports import IncomingInvite, MissingEvents
from watchword.server.rooms import SCHEMA
from watchword.server.rooms.assembly import RoomLimits, RoomPorts, Rooms, assemble_rooms
from watchword.server.rooms.commands import ChangeMembership, CreateRoom, PromisedInvite, SendEvent
from watchword.server.rooms.event_filters import EVERYTHING
from watchword.server.rooms.pages import PageRequest
from watchword.server.rooms.ports import NO_BANS, KeyLacking, SendJoinAnswer, StandingBans, Template
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.tokens import parse_timeline_token
from watchword.server.rooms.view import Reader
from watchword.server.rooms.writer import Identity
from watchword.storage import Log, Logged, Schema, SqliteDatabase, migrate

Tamper = Callable[[Any], Any]


@dataclass
class Network:
    """The servers, the links that are cut, and lies: (server, method) → what becomes of its answer."""

    stacks: dict[ServerName, "Stack"] = field(default_factory=dict)
    keys: dict[ServerName, SigningKey] = field(default_factory=dict)
    cut: set[frozenset[ServerName]] = field(default_factory=set)
    lies: dict[tuple[ServerName, str], Tamper] = field(default_factory=dict)
    asked: list[tuple[ServerName, str]] = field(default_factory=list)
    policies: dict[ServerName, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = field(default_factory=dict)

    def part(self, first: "Stack", second: "Stack") -> None:
        self.cut.add(frozenset((first.name, second.name)))

    def heal(self) -> None:
        self.cut.clear()

    async def call(self, origin: ServerName, server: ServerName, method: str, ask: Callable[["Stack"], Awaitable[Any]]) -> Any:
        """Ask another stack as a server asks a server: refusals arrive as PeerError."""
        self.asked.append((server, method))
        if server not in self.stacks or frozenset((origin, server)) in self.cut:
            raise PeerError(server, "it cannot be reached")
        try:
            answer = await ask(self.stacks[server])
        except Refusal as refusal:
            raise PeerError(
                server, "it refused", status=refusal.status, errcode=refusal.errcode, body=refusal.body()
            ) from refusal
        lie = self.lies.get((server, method))
        return answer if lie is None else lie(answer)

    async def settle(self) -> None:
        """Deliver until nobody has anything to tell."""
        while any([await stack.deliver() for stack in self.stacks.values()]):
            pass

    def times(self, method: str) -> int:
        return sum(1 for _, asked in self.asked if asked == method)


class Remote:
    """What a stack asks of others. Fits RemoteServers."""

    def __init__(self, network: Network, name: ServerName) -> None:
        self._network = network
        self._name = name

    async def make_join(self, server: ServerName, room_id: RoomId, user_id: UserId, versions: Sequence[str]) -> Template:
        return await self._make(server, "make_join", room_id, user_id, versions)

    async def make_leave(self, server: ServerName, room_id: RoomId, user_id: UserId) -> Template:
        return await self._make(server, "make_leave", room_id, user_id)

    async def make_knock(self, server: ServerName, room_id: RoomId, user_id: UserId, versions: Sequence[str]) -> Template:
        return await self._make(server, "make_knock", room_id, user_id, versions)

    async def _make(self, server: ServerName, method: str, *arguments: Any) -> Template:
        body = await self._json(server, method, *arguments)
        return Template(body["event"], body["room_version"])

    async def send_join(
        self, server: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any]
    ) -> SendJoinAnswer:
        body = await self._json(server, "send_join", room_id, event_id, copied(event), False)
        return SendJoinAnswer(
            body["event"], body["state"], body["auth_chain"], body["servers_in_room"], body["members_omitted"]
        )

    async def send_leave(self, server: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any]) -> None:
        await self._ask(server, "send_leave", room_id, event_id, copied(event))

    async def send_knock(
        self, server: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        return list((await self._json(server, "send_knock", room_id, event_id, copied(event)))["knock_room_state"])

    async def invite(
        self,
        server: ServerName,
        room_id: RoomId,
        event_id: EventId,
        event: Mapping[str, Any],
        room_version: str,
        invite_room_state: Sequence[Mapping[str, Any]],
    ) -> dict[str, Any]:
        state = [copied(each) for each in invite_room_state]
        return dict(await self._json(server, "invite", IncomingInvite(room_id, event_id, room_version, copied(event), state)))

    async def backfill(
        self, server: ServerName, room_id: RoomId, from_event_ids: Sequence[EventId], limit: int
    ) -> list[dict[str, Any]]:
        return decoded(await self._ask(server, "backfill", room_id, from_event_ids, limit))

    async def get_missing_events(
        self,
        server: ServerName,
        room_id: RoomId,
        earliest: Sequence[EventId],
        latest: Sequence[EventId],
        limit: int,
        min_depth: int,
    ) -> list[dict[str, Any]]:
        wanted = MissingEvents(earliest, latest, limit, min_depth)
        return decoded(await self._ask(server, "missing_events", room_id, wanted))

    async def state_ids(self, server: ServerName, room_id: RoomId, event_id: EventId) -> tuple[list[EventId], list[EventId]]:
        ids, chain = await self._ask(server, "state_ids", room_id, event_id)
        return list(ids), list(chain)

    async def state(
        self, server: ServerName, room_id: RoomId, event_id: EventId
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        state, chain = await self._ask(server, "state", room_id, event_id)
        return decoded(state), decoded(chain)

    async def event(self, server: ServerName, event_id: EventId) -> dict[str, Any]:
        return decoded([await self._ask(server, "event", event_id)])[0]

    async def event_auth(self, server: ServerName, room_id: RoomId, event_id: EventId) -> list[dict[str, Any]]:
        return decoded(await self._ask(server, "event_auth", room_id, event_id))

    async def exchange_third_party_invite(self, server: ServerName, room_id: RoomId, event: Mapping[str, Any]) -> None:
        async def ask(stack: Stack) -> None:
            signed = event["content"]["third_party_invite"]["signed"]
            invite = PromisedInvite(room_id, UserId(event["sender"]), UserId(event["state_key"]), signed)
            await stack.rooms.doors.addresses.exchange(invite)

        await self._network.call(self._name, server, "exchange", ask)

    async def policy_sign(self, server: ServerName, event: Mapping[str, Any], *, is_unstable: bool) -> dict[str, Any]:
        self._network.asked.append((server, "policy_sign"))
        policy = self._network.policies.get(server)
        if policy is None or frozenset((self._name, server)) in self._network.cut:
            raise PeerError(server, "it cannot be reached")
        return await policy(copied(event))

    async def query_directory(self, server: ServerName, alias: RoomAlias) -> tuple[RoomId, list[ServerName]]:
        async def ask(stack: Stack) -> Any:
            return await stack.rooms.remote.for_servers.resolve_alias(alias)

        found = await self._network.call(self._name, server, "query_directory", ask)
        if found is None:
            raise PeerError(server, "no such alias", status=404)
        return found[0], list(found[1])

    async def _ask(self, server: ServerName, method: str, *arguments: Any) -> Any:
        async def ask(stack: Stack) -> Any:
            return await getattr(stack.rooms.remote.for_servers, method)(self._name, *arguments)

        return await self._network.call(self._name, server, method, ask)

    async def _json(self, server: ServerName, method: str, *arguments: Any) -> Any:
        answer = await self._ask(server, method, *arguments)
        return canonical_json.decode(answer, strict=False) if isinstance(answer, bytes) else answer


def copied(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event as it looks after a journey."""
    return dict(canonical_json.decode(canonical_json.encode(event, strict=False), strict=False))


def decoded(events: Sequence[bytes | dict[str, Any]]) -> list[dict[str, Any]]:
    return [canonical_json.decode(each, strict=False) if isinstance(each, bytes) else each for each in events]


class Signatures:
    """Knows every key. Fits EventSignatures."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.checked = 0

    async def check_events(self, raws: Sequence[Mapping[str, Any]], version: RoomVersion) -> list[str | None]:
        self.checked += len(raws)
        return [self._check(raw, version) for raw in raws]

    def _check(self, raw: Mapping[str, Any], version: RoomVersion) -> str | None:
        for signer in required_signers(raw, version):
            key = self._network.keys.get(signer)
            if key is None:
                return KeyLacking(f"{signer} is silent")
            if not verify_event(raw, version, signer, key.verify_key):
                return f"{signer} did not sign"
        return None


@dataclass
class Stack:
    """One server."""

    network: Network
    name: ServerName
    database: SqliteDatabase
    log: Log[Change]
    rooms: Rooms
    clock: ManualClock
    signatures: Signatures
    key: SigningKey
    owed: dict[ServerName, list[EventId]] = field(default_factory=dict)
    answers: list[Mapping[str, str | None]] = field(default_factory=list)

    @staticmethod
    async def start(network: Network, folder: Path, name: str, *users: str, bans: StandingBans = NO_BANS) -> "Stack":
        server = ServerName(name)
        number = len(network.stacks) + 1
        key = network.keys[server] = SigningKey(bytes([number]) * 32, "1")
        database = SqliteDatabase(folder / f"{name}.db")
        await migrate(database, [Schema("storage", "watchword.storage"), ACCOUNTS, SCHEMA])
        log: Log[Change] = Log(database, encode_change, decode_change)
        await log.start()
        clock = ManualClock()
        async with database.write() as tx:
            for user in users:
                await insert_account(tx, CreateAccount(UserId(f"@{user}:{name}"), None), 0, None)
        signatures = Signatures(network)
        ports = RoomPorts(
            Identity(server, key),
            AccountReader(database, log, clock),
            UserData(database, log),
            Remote(network, server),
            signatures,
            bans=bans,
        )
        rooms = assemble_rooms(database, log, clock, SeededEntropy(number), ports, RoomLimits("12", 100, 10_000))
        stack = Stack(network, server, database, log, rooms, clock, signatures, key)
        network.stacks[server] = stack
        log.listen(stack.heard)
        return stack

    # What users do

    def user(self, localpart: str) -> UserId:
        return UserId(f"@{localpart}:{self.name}")

    async def create(self, creator: str = "alice", version: str = "12", *, preset: str = "public_chat", **more: Any) -> RoomId:
        self.clock.advance(1)
        return await self.rooms.membership.create(CreateRoom(self.user(creator), version, preset, **more))

    async def say(self, room_id: RoomId, body: str, user: str = "alice") -> EventId:
        return await self.send(room_id, "m.room.message", {"msgtype": "m.text", "body": body}, user=user)

    async def send(
        self, room_id: RoomId, kind: str, content: Mapping[str, Any], state_key: str | None = None, *, user: str = "alice"
    ) -> EventId:
        self.clock.advance(1)
        return await self.rooms.writer.send(SendEvent(room_id, self.user(user), kind, content, state_key))

    async def join(self, room_id: RoomId, user: str, *via: "Stack") -> None:
        self.clock.advance(1)
        command = ChangeMembership(room_id, self.user(user), self.user(user), "join")
        await self.rooms.membership.join(command, [stack.name for stack in via])

    async def change(self, room_id: RoomId, action: str, target: UserId, user: str = "alice") -> None:
        self.clock.advance(1)
        command = ChangeMembership(room_id, self.user(user), target, action)
        if action == "invite":
            await self.rooms.membership.invite(command)
        elif action == "leave":
            await self.rooms.membership.leave(command)
        else:
            await self.rooms.writer.change_membership(command)

    async def knock(self, room_id: RoomId, user: str, *via: "Stack") -> None:
        command = ChangeMembership(room_id, self.user(user), self.user(user), "knock")
        await self.rooms.membership.knock(command, [stack.name for stack in via])

    # What servers do

    def heard(self, logged: Logged[Change]) -> None:
        """Note for whom an event of ours is, as the follower of federation does."""
        change = logged.change
        if not isinstance(change, EventAppended) or not change.sender_is_local:
            return
        room = self.rooms.registry.at_hand(change.room_id)
        assert room is not None
        servers = set(room.members.servers)
        if change.membership is not None:
            servers.add(domain_of(change.state_key or ""))
        author = "" if change.membership == "invite" else domain_of(change.sender)
        for name in servers - {self.name, author}:
            self.owed.setdefault(name, []).append(change.event_id)

    async def deliver(self) -> bool:
        """Tell every server what it has not been told; whether anything could be."""
        told = False
        for name, other in self.network.stacks.items():
            if frozenset((self.name, name)) in self.network.cut:
                continue
            wanted = self.owed.pop(name, [])
            found = await self.rooms.reader.pdu_bytes(wanted)
            pdus = [copied_bytes(found[event_id]) for event_id in wanted]
            for start in range(0, len(pdus), 50):
                told = True
                other.answers.append(await other.receive(self, pdus[start : start + 50]))
        return told

    async def receive(self, origin: "Stack", pdus: Sequence[dict[str, Any]]) -> Mapping[str, str | None]:
        return await self.rooms.remote.receiver.receive_pdus(origin.name, pdus)

    # What is known

    async def room(self, room_id: RoomId) -> Room:
        room = await self.rooms.registry.find(room_id)
        assert room is not None
        return room

    async def state(self, room_id: RoomId) -> Mapping[StateKey, EventId]:
        return dict((await self.room(room_id)).state)

    async def stored(self, event_id: EventId) -> StoredEvent | None:
        return (await self.rooms.reader.found([event_id])).get(event_id)

    async def membership(self, room_id: RoomId, user_id: UserId) -> str | None:
        row = await self.rooms.reader.membership_of(user_id, room_id)
        return None if row is None else row.membership

    async def read(self, room_id: RoomId, user: str, *, pages: int = 20) -> list[dict[str, Any]]:
        """The whole timeline as a user can page through it, oldest first."""
        events: list[dict[str, Any]] = []
        start: int | None = None
        for _ in range(pages):
            wanted = PageRequest(room_id, Reader(self.user(user)), start, None, 50, True, EVERYTHING)
            body = orjson.loads(await self.rooms.doors.pages.messages(wanted))
            events += body["chunk"]
            if "end" not in body:
                break
            start = parse_timeline_token(body["end"])
        return events[::-1]

    async def bodies(self, room_id: RoomId, user: str) -> list[str]:
        return [event["content"]["body"] for event in await self.read(room_id, user) if event["type"] == "m.room.message"]

    async def restarted(self) -> None:
        """Forget what is in memory."""
        for room in list(self.rooms.registry._rooms.values()):
            self.rooms.registry.evict(room)

    async def crafted(
        self,
        room_id: RoomId,
        sender: UserId,
        content: Mapping[str, Any],
        *,
        kind: str = "m.room.message",
        state_key: str | None = None,
        prev_events: Sequence[EventId] | None = None,
        auth_events: Sequence[EventId] | None = None,
        depth: int | None = None,
        key: SigningKey | None = None,
        event_id: str | None = None,
    ) -> dict[str, Any]:
        """An event that this server signs without asking any rule."""
        room = await self.room(room_id)
        self.clock.advance(1)
        if auth_events is None:
            keys = [("m.room.power_levels", ""), ("m.room.member", sender)]
            if not room.version.room_id_is_create_hash:
                keys.insert(0, ("m.room.create", ""))
            auth_events = [room.state[each] for each in keys if each in room.state]
        draft = EventDraft(
            kind,
            sender,
            room_id,
            content,
            self.clock.now_ms(),
            max(room.extremities.values()) + 1 if depth is None else depth,
            list(room.extremities) if prev_events is None else prev_events,
            auth_events,
            state_key,
            None,
            await self._opaque_id(room, event_id),
            await self._hashes(room, [*(prev_events or room.extremities), *auth_events]),
        )
        return copied(build_event(draft, room.version, self.name, key or self.key).pdu.json)

    async def _opaque_id(self, room: Room, event_id: str | None) -> EventId | None:
        if not room.version.event_ids_in_events:
            return None
        return EventId(event_id or f"${self.clock.now_ms()}:{self.name}")

    async def _hashes(self, room: Room, event_ids: Sequence[EventId]) -> Mapping[EventId, bytes]:
        if not room.version.event_ids_in_events:
            return {}
        found = await self.rooms.reader.found(event_ids)
        return {each: reference_hash(found[each].pdu.json, room.version) if each in found else b"" for each in event_ids}


def copied_bytes(event: bytes) -> dict[str, Any]:
    return dict(canonical_json.decode(event, strict=False))


async def same_state(room_id: RoomId, *stacks: Stack) -> bool:
    states = await asyncio.gather(*(stack.state(room_id) for stack in stacks))
    return all(state == states[0] for state in states)
