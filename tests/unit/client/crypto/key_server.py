"""A homeserver reduced to what encryption needs, in memory, and machines that talk to it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from watchword.base.clock import ManualClock
from watchword.base.entropy import SeededEntropy
from watchword.client.crypto.inbound import DecryptedEvent
from watchword.client.crypto.machine import CryptoMachine
from watchword.client.crypto.records import RecordKey, Records
from watchword.client.crypto.requests import (
    BackupUpload,
    KeysClaim,
    KeysQuery,
    KeysUpload,
    Notice,
    Request,
    SignaturesUpload,
    SigningKeysUpload,
    ToDevice,
)

ALICE = "@alice:one.test"
BOB = "@bob:two.test"
ROOM = "!room:one.test"
PICKLE_KEY = b"p" * 32


@dataclass
class KeyServer:
    """Keeps what devices publish, as a server does; `failing` users' servers do not answer."""

    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    one_time_keys: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    fallback_keys: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    used_fallback: set[tuple[str, str]] = field(default_factory=set)
    cross_signing: dict[str, dict[str, Any]] = field(default_factory=dict)
    to_device: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    changed: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    backup: dict[str, Any] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    seen_transactions: set[tuple[str, str, str]] = field(default_factory=set)

    def answer(self, user_id: str, device_id: str, request: Request) -> dict[str, Any]:
        match request:
            case KeysUpload():
                return self.upload(user_id, device_id, request.body)
            case KeysQuery():
                return self.query(user_id, request.users)
            case KeysClaim():
                return self.claim(request.one_time_keys)
            case ToDevice():
                self.send(user_id, device_id, request)
            case SignaturesUpload():
                self.add_signatures(user_id, request.body)
            case SigningKeysUpload():
                self.cross_signing[user_id] = dict(request.body)
                self.tell(user_id)
            case BackupUpload():
                for room_id, room in request.body["rooms"].items():
                    self.backup.setdefault(room_id, {"sessions": {}})["sessions"].update(room["sessions"])
        return {}

    def tell(self, user_id: str) -> None:
        for address in self.one_time_keys:
            self.changed.setdefault(address, set()).add(user_id)

    def upload(self, user_id: str, device_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        address = (user_id, device_id)
        keys = self.one_time_keys.setdefault(address, {})
        if "device_keys" in body:
            self.devices.setdefault(user_id, {})[device_id] = body["device_keys"]
            self.tell(user_id)
        keys.update(body.get("one_time_keys", {}))
        if body.get("fallback_keys"):
            self.fallback_keys[address] = dict(body["fallback_keys"])
            self.used_fallback.discard(address)
        return {"one_time_key_counts": {"signed_curve25519": len(keys)}}

    def query(self, asker: str, users: Collection[str]) -> dict[str, Any]:
        answering = [user for user in users if user not in self.failing]
        answer: dict[str, Any] = {
            "device_keys": {user: dict(self.devices.get(user, {})) for user in answering},
            "failures": {user: {} for user in users if user in self.failing},
        }
        for kind in ("master", "self_signing", "user_signing"):
            answer[f"{kind}_keys"] = {
                user: self.cross_signing[user][f"{kind}_key"]
                for user in answering
                if user in self.cross_signing and (kind != "user_signing" or user == asker)
            }
        return answer

    def claim(self, wanted: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
        claimed: dict[str, Any] = {}
        for user_id, devices in wanted.items():
            for device_id in devices:
                address = (user_id, device_id)
                keys = self.one_time_keys.get(address, {})
                if keys:
                    key_id = next(iter(keys))
                    claimed.setdefault(user_id, {})[device_id] = {key_id: keys.pop(key_id)}
                elif address in self.fallback_keys:
                    self.used_fallback.add(address)
                    claimed.setdefault(user_id, {})[device_id] = self.fallback_keys[address]
        return {"one_time_keys": claimed}

    def send(self, user_id: str, device_id: str, request: ToDevice) -> None:
        transaction = (user_id, device_id, request.request_id)
        if transaction in self.seen_transactions:
            return
        self.seen_transactions.add(transaction)
        for receiver, devices in request.messages.items():
            for receiving_device, content in devices.items():
                event = {"sender": user_id, "type": request.event_type, "content": content}
                self.to_device.setdefault((receiver, receiving_device), []).append(event)

    def add_signatures(self, signer: str, body: Mapping[str, Any]) -> None:
        for user_id, objects in body.items():
            for name, signed in objects.items():
                target = self.devices.get(user_id, {}).get(name) or self.cross_signing[user_id]["master_key"]
                signatures = target["signatures"].setdefault(signer, {})
                target["signatures"] = {**target["signatures"], signer: {**signatures, **signed["signatures"][signer]}}
            self.tell(user_id)


class TestDevice:
    """A machine with a line to the server; `restart` throws the machine away and keeps what was saved."""

    __test__ = False

    def __init__(self, server: KeyServer, user_id: str, device_id: str, clock: ManualClock | None = None) -> None:
        self.server = server
        self.user_id = user_id
        self.device_id = device_id
        self.clock = clock or ManualClock()
        self.entropy = SeededEntropy(sum(map(ord, user_id + device_id)))
        self.saved: dict[RecordKey, bytes] = {}
        self.notices: list[Notice] = []
        self.sent: list[Request] = []
        self.machine = self._machine()
        self._events = 0

    def _machine(self) -> CryptoMachine:
        return CryptoMachine(self.user_id, self.device_id, Records(self.saved), PICKLE_KEY, self.clock, self.entropy)

    def save(self) -> None:
        for key, value in self.machine.records.take().items():
            if value is None:
                self.saved.pop(key, None)
            else:
                self.saved[key] = value

    def restart(self) -> None:
        """As after `kill -9`: what was not saved is gone."""
        self.machine = self._machine()

    def carry(self, requests: Collection[Request]) -> None:
        self.save()
        for request in requests:
            self.sent.append(request)
            self.machine.receive_answer(request.request_id, self.server.answer(self.user_id, self.device_id, request))
        self.save()

    def settle(self) -> None:
        for _ in range(20):
            requests = self.machine.outgoing()
            if not requests:
                return
            self.carry(requests)
        raise AssertionError(f"the machine never rests: {requests}")

    def sync(self) -> list[Notice]:
        """Take in what the server has for this device, carry out what follows; the news."""
        address = (self.user_id, self.device_id)
        unused = (
            [] if address in self.server.used_fallback or address not in self.server.fallback_keys else ["signed_curve25519"]
        )
        self.machine.receive_sync(
            self.server.to_device.pop(address, []),
            changed=self.server.changed.pop(address, set()),
            one_time_key_counts={"signed_curve25519": len(self.server.one_time_keys.get(address, {}))},
            unused_fallback_types=unused,
        )
        self.save()
        self.settle()
        news = list(self.machine.take_notices())
        self.notices += news
        return news

    def enter(self, room_id: str = ROOM, **content: Any) -> None:
        """See that a room is encrypted."""
        content = {"algorithm": "m.megolm.v1.aes-sha2", **content}
        self.machine.receive_room_state(room_id, "m.room.encryption", "", content)

    def prepare(self, *members: str, room_id: str = ROOM) -> None:
        for _ in range(10):
            requests = self.machine.prepare_room(room_id, members)
            if not requests:
                return
            self.carry(requests)
        raise AssertionError("the room is never prepared")

    def encrypt(self, text: str, *members: str, room_id: str = ROOM) -> dict[str, Any]:
        """A message as the server would give it to readers."""
        if self.machine.room_settings(room_id) is None:
            self.enter(room_id)
        self.prepare(*members, room_id=room_id)
        content = {"msgtype": "m.text", "body": text}
        encrypted = self.machine.encrypt(room_id, "m.room.message", content, members)
        self.save()
        self._events += 1
        return {
            "type": "m.room.encrypted",
            "sender": self.user_id,
            "event_id": f"${self.device_id}{self._events}",
            "origin_server_ts": self.clock.now_ms(),
            "content": encrypted,
        }

    def open(self, event: Mapping[str, Any], room_id: str = ROOM) -> DecryptedEvent:
        return self.machine.decrypt(room_id, event)

    def read(self, event: Mapping[str, Any], room_id: str = ROOM) -> str:
        body = self.open(event, room_id).content["body"]
        assert isinstance(body, str)
        return body


def a_device(server: KeyServer, user_id: str, device_id: str, clock: ManualClock | None = None) -> TestDevice:
    """A device that has published its keys."""
    device = TestDevice(server, user_id, device_id, clock)
    device.sync()
    device.sync()
    return device


def with_identity(device: TestDevice) -> TestDevice:
    """Give its user cross-signing keys, made and held by this device."""
    device.carry([device.machine.bootstrap_cross_signing()])
    device.sync()
    device.sync()
    return device
