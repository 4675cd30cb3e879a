"""A whole e2ee feature on a real database, with neighbours of five lines each."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from watchword.base.clock import ManualClock
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import PeerError, Unauthenticated
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester, ServerRequester
from watchword.protocol.ids import DeviceId, ServerName, UserId, domain_of
from watchword.protocol.signatures import SigningKey, signable_json
from watchword.protocol.unpadded_base64 import encode
from watchword.server.changes import Change, DeviceDeleted, decode_change, encode_change
from watchword.server.e2ee import SCHEMA
from watchword.server.e2ee.endpoints import ENDPOINTS
from watchword.server.e2ee.follower import E2eeFollower
from watchword.server.e2ee.reader import E2eeReader
from watchword.server.e2ee.recent_changes import RecentChanges
from watchword.server.e2ee.service import E2eePorts, E2eeService
from watchword.storage.database import Tx
from watchword.storage.log import Log, Position
from watchword.storage.migrations import Schema, migrate
from watchword.storage.sqlite import SqliteDatabase

HERE = ServerName("here.example")
THERE = ServerName("there.example")
ALICE, BOB = UserId("@alice:here.example"), UserId("@bob:here.example")
CAROL, DAVE = UserId("@carol:there.example"), UserId("@dave:there.example")
PHONE, LAPTOP = DeviceId("PHONE"), DeviceId("LAPTOP")


class Neighbours:
    """Accounts, rooms, federation: everything that the feature asks of others."""

    def __init__(self) -> None:
        self.names: dict[UserId, dict[DeviceId, str | None]] = {ALICE: {PHONE: "Phone", LAPTOP: None}, BOB: {PHONE: None}}
        self.sharing: set[frozenset[UserId]] = set()
        self.proved = False
        self.asked: list[str] = []
        self.device_lists: dict[UserId, Mapping[str, Any]] = {}
        self.keys: dict[ServerName, Mapping[str, Any]] = defaultdict(dict)
        self.down: set[ServerName] = set()
        self.questions: list[tuple[str, Any]] = []
        self.log: Log[Change]

    def share(self, *users: UserId) -> None:
        self.sharing.update(frozenset((a, b)) for a in users for b in users)

    def part(self, user: UserId) -> None:
        self.sharing = {pair for pair in self.sharing if user not in pair}

    async def device_names(self, user_id: UserId) -> Mapping[DeviceId, str | None]:
        return self.names.get(user_id, {})

    async def local_user_exists(self, user_id: UserId) -> bool:
        return user_id in self.names

    async def make(self, tx: Tx, user_id: UserId, device_id: DeviceId, display_name: str | None) -> bool:
        if device_id in self.names[user_id]:
            return False
        self.names[user_id][device_id] = display_name
        return True

    async def end(self, tx: Tx, user_id: UserId, device_ids: Sequence[DeviceId]) -> None:
        for device_id in device_ids:
            del self.names[user_id][device_id]
            await self.log.append(tx, DeviceDeleted(user_id, device_id))

    async def authorise(self, request: Request, requester: Requester, action: str, meaning: object) -> None:
        self.asked.append(action)
        if not self.proved:
            raise Unauthenticated("M_UNAUTHORIZED", "Prove it.")

    async def users_sharing_room_with(self, user_id: UserId) -> set[UserId]:
        return {other for pair in self.sharing if user_id in pair for other in pair}

    async def servers_sharing_room_with(self, user_id: UserId) -> set[ServerName]:
        return {domain_of(other) for other in await self.users_sharing_room_with(user_id)}

    async def share_room(self, a: UserId, b: UserId) -> bool:
        return frozenset((a, b)) in self.sharing

    async def query_keys(self, server_name: ServerName, device_keys: Mapping[UserId, Sequence[DeviceId]]) -> Mapping[str, Any]:
        return self._answer(server_name, "query", device_keys)

    async def claim_keys(
        self, server_name: ServerName, one_time_keys: Mapping[UserId, Mapping[DeviceId, str]]
    ) -> Mapping[str, Any]:
        return self._answer(server_name, "claim", one_time_keys)

    async def user_devices(self, server_name: ServerName, user_id: UserId) -> Mapping[str, Any]:
        self._answer(server_name, "devices", user_id)
        if user_id not in self.device_lists:
            raise PeerError(server_name, "unknown", status=404)
        return self.device_lists[user_id]

    def _answer(self, server_name: ServerName, kind: str, question: Any) -> Mapping[str, Any]:
        self.questions.append((kind, question))
        if server_name in self.down:
            raise PeerError(server_name, "down")
        return self.keys[server_name]


class World:
    """The feature as `server/app/homeserver.py` builds it, and a way to knock at its doors."""

    def __init__(self, folder: Path) -> None:
        self.database = SqliteDatabase(folder / "server.db")
        self.log = Log(self.database, encode_change, decode_change)
        self.clock = ManualClock()
        self.neighbours = Neighbours()
        self.neighbours.log = self.log
        self.recent = RecentChanges()
        self.reader = E2eeReader(self.database, self.neighbours, self.recent)
        near = self.neighbours
        self.service = E2eeService(
            self.database, self.log, self.clock, SeededEntropy(1), HERE, E2eePorts(near, near, near, near, near), self.reader
        )
        self.follower = E2eeFollower(self.database, self.log, self.reader, self.recent, self.service.lists)

    async def start(self) -> "World":
        await migrate(self.database, [Schema("storage", "watchword.storage"), SCHEMA])
        await self.log.start()
        await self.follower.start()
        return self

    async def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: str = "",
        user: UserId = ALICE,
        device: DeviceId | None = PHONE,
        under: str = "v3/",
    ) -> Any:
        """Knock as a client; the decoded answer. Refusals are raised."""
        return await self._knock(Requester(user, device, 1), method, f"/_matrix/client/{under}{path}", body, query)

    async def ask_as_server(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Knock as another server."""
        return await self._knock(ServerRequester(THERE), method, "/_matrix/federation/v1/" + path, body, "")

    async def _knock(self, requester: object, method: str, path: str, body: Mapping[str, Any] | None, query: str) -> Any:
        for row in ENDPOINTS:
            params = _match(row.path, path)
            if row.method == method and params is not None:
                request = Request(method, path, query, params=params, json=body)
                reply = await row.handler(request, requester, self.service)
                assert isinstance(reply, Reply)
                assert reply.status == 200
                return orjson.loads(reply.body)
        raise AssertionError(f"no endpoint {method} {path}")

    async def settle(self) -> None:
        """Wait for the writes that nobody waited for."""
        async with self.database.write():
            pass

    async def messages(self, user: UserId = ALICE, device: DeviceId = PHONE, after: int = 0) -> list[Any]:
        """What waits for a device."""
        found, _ = await self.reader.to_device(user, device, Position(after), self.log.position, 100)
        return [orjson.loads(message) for message in found]


def _match(pattern: str, path: str) -> dict[str, str] | None:
    parts, given = pattern.split("/"), path.split("/")
    if len(parts) != len(given):
        return None
    params = {}
    for part, value in zip(parts, given, strict=True):
        if part.startswith("{"):
            params[part[1:-1]] = value
        elif part != value:
            return None
    return params


def signer(seed: int) -> SigningKey:
    return SigningKey(bytes([seed]) * 32, "x")


def sign(value: Mapping[str, Any], user: str, key_name: str, key: SigningKey) -> dict[str, Any]:
    """The object with one signature more."""
    signatures = {name: dict(by_key) for name, by_key in value.get("signatures", {}).items()}
    signatures.setdefault(user, {})[f"ed25519:{key_name}"] = key.sign(signable_json(value))
    return {**value, "signatures": signatures}


def device_keys(user: UserId = ALICE, device: DeviceId = PHONE, seed: int = 1) -> dict[str, Any]:
    """Identity keys with their own signature."""
    key = signer(seed)
    value = {
        "user_id": user,
        "device_id": device,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": {f"ed25519:{device}": key.verify_key.to_base64(), f"curve25519:{device}": encode(b"c" * 32)},
    }
    return sign(value, user, device, key)


def public(seed: int) -> str:
    return signer(seed).verify_key.to_base64()


def cross_signing_key(usage: str, seed: int, *, by: int | None = None, user: UserId = ALICE) -> dict[str, Any]:
    """A cross-signing key made from a seed, signed by the master key made from another."""
    value: dict[str, Any] = {"user_id": user, "usage": [usage], "keys": {f"ed25519:{public(seed)}": public(seed)}}
    return value if by is None else sign(value, user, public(by), signer(by))


def one_time_key(text: str) -> dict[str, Any]:
    return {"key": text, "signatures": {ALICE: {f"ed25519:{PHONE}": "signature"}}}
