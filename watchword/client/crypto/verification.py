"""Interactive verification over to-device messages: requests, their acceptance, and the SAS method.

Theory of operation. A transaction goes REQUESTED → READY → STARTED → COMPARING → CONFIRMED → DONE, or CANCELLED from
anywhere. What each side vouches for is fixed when the method starts: a key that the server changes afterwards is not
verified. Transactions live in memory only; they are meant to take minutes, and expire after ten.

The end: another user's master key is signed with our user-signing key (or, without that, their device is marked); another
device of ours is signed with our self-signing key; and a device that was shown our own master key begins to trust it.

Deliberately absent: QR codes, and verification in rooms.
Spec: client-server-api#key-verification-framework
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.client.crypto.account import OwnAccount
from watchword.client.crypto.cross_signing import CrossSigning
from watchword.client.crypto.devices import DeviceBook
from watchword.client.crypto.failures import NotPrepared
from watchword.client.crypto.outbox import Outbox
from watchword.client.crypto.requests import Notice, VerificationUpdate
from watchword.client.crypto.sas import METHOD, Party, Sas, SasError, ShortString, start_content
from watchword.client.crypto.untrusted import integer_at, text_at, texts_at

_PREFIX = "m.key.verification."
_LIFE_MS = 600_000
_AHEAD_MS = 300_000
_LIVE_MAX = 50

_REASONS = {
    "m.user": "The verification was cancelled.",
    "m.timeout": "The verification took too long.",
    "m.accepted": "Another device accepted the verification.",
    "m.mismatched_sas": "The strings did not match.",
}


class Stage(Enum):
    """How far a verification is."""

    REQUESTED = "requested"
    READY = "ready"
    STARTED = "started"
    COMPARING = "comparing"
    CONFIRMED = "confirmed"
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass
class Verification:
    """One transaction. device_id: the other device, "" while a request to several is open."""

    transaction_id: str
    user_id: str
    device_id: str
    we_requested: bool
    begun_ms: int
    stage: Stage = Stage.REQUESTED
    code: str = ""
    sas: Sas | None = None
    their_mac: Mapping[str, Any] | None = None

    @property
    def short_string(self) -> ShortString | None:
        """What to compare, while it is to be compared."""
        return None if self.sas is None else self.sas.short_string


class Verifications:
    """All verifications of this device."""

    def __init__(
        self,
        account: OwnAccount,
        book: DeviceBook,
        cross_signing: CrossSigning,
        outbox: Outbox,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._account = account
        self._book = book
        self._cross_signing = cross_signing
        self._outbox = outbox
        self._clock = clock
        self._entropy = entropy
        self._live: dict[str, Verification] = {}
        self.notices: list[Notice] = []

    def get(self, transaction_id: str) -> Verification | None:
        """A transaction, finished ones included until they expire."""
        return self._live.get(transaction_id)

    # What our user does

    def request(self, user_id: str) -> str:
        """Ask all devices of a user to verify; the transaction ID."""
        transaction_id = self._entropy.token(18)
        content = {
            "from_device": self._account.device_id,
            "transaction_id": transaction_id,
            "methods": [METHOD],
            "timestamp": self._clock.now_ms(),
        }
        targets = [device_id for device_id in self._book.devices_of(user_id) if not self._is_us(user_id, device_id)]
        if not targets:
            raise NotPrepared("that user has no device to verify")
        self._add(Verification(transaction_id, user_id, "", True, self._clock.now_ms()))
        self._outbox.add_to_device(_PREFIX + "request", {user_id: dict.fromkeys(targets, content)})
        return transaction_id

    def accept(self, transaction_id: str) -> None:
        """Say yes to a request of theirs."""
        run = self._running(transaction_id, Stage.REQUESTED)
        content = {"from_device": self._account.device_id, "transaction_id": transaction_id, "methods": [METHOD]}
        self._send(run, "ready", content)
        self._move(run, Stage.READY)

    def start(self, transaction_id: str) -> None:
        """Begin with SAS once both sides are ready."""
        run = self._running(transaction_id, Stage.READY)
        content = start_content(self._account.device_id, transaction_id)
        self._begin(run, content, we_started=True)
        self._send(run, "start", content)

    def confirm(self, transaction_id: str) -> None:
        """Our user says that the strings match."""
        run = self._running(transaction_id, Stage.COMPARING)
        assert run.sas is not None
        self._send(run, "mac", run.sas.mac())
        self._move(run, Stage.CONFIRMED)
        self._finish(run)

    def cancel(self, transaction_id: str, code: str = "m.user") -> None:
        """Stop, and tell the other side; "m.mismatched_sas" if the strings differ."""
        run = self._live.get(transaction_id)
        if run is not None and run.stage not in (Stage.DONE, Stage.CANCELLED):
            self._cancel(run, code)

    def _running(self, transaction_id: str, stage: Stage) -> Verification:
        run = self._live.get(transaction_id)
        if run is None or run.stage is not stage:
            raise NotPrepared("the verification is not at that stage")
        return run

    # What the other side sends

    def receive(self, sender: str, event_type: str, content: Mapping[str, Any]) -> None:
        """Take in one to-device verification event."""
        self._expire()
        name, transaction_id = event_type.removeprefix(_PREFIX), text_at(content, "transaction_id")
        if transaction_id is None:
            return
        run = self._live.get(transaction_id)
        if run is not None and run.user_id != sender:
            return
        try:
            if name == "request":
                self._receive_request(sender, transaction_id, content, run)
            elif name == "start":
                self._receive_start(sender, transaction_id, content, run)
            elif run is not None:
                self._receive_step(run, name, content)
        except SasError as error:
            if run is not None:
                self._cancel(run, error.code)

    def _receive_request(self, sender: str, transaction_id: str, content: Mapping[str, Any], run: Verification | None) -> None:
        device_id, timestamp = text_at(content, "from_device"), integer_at(content, "timestamp")
        now_ms = self._clock.now_ms()
        if run is not None or device_id is None or timestamp is None or METHOD not in texts_at(content, "methods"):
            return
        if not now_ms - _LIFE_MS <= timestamp <= now_ms + _AHEAD_MS or self._is_us(sender, device_id):
            return
        if not self._book.devices_of(sender):
            return  # We share no encrypted room with them.
        self._add(Verification(transaction_id, sender, device_id, False, now_ms))

    def _receive_start(self, sender: str, transaction_id: str, content: Mapping[str, Any], run: Verification | None) -> None:
        device_id = text_at(content, "from_device")
        if run is None or device_id is None or run.device_id != device_id:
            return
        if run.stage is Stage.STARTED and run.sas is not None and run.sas.we_started:
            # Both started: the smaller user ID (or device ID, among our own devices) counts.
            ours, theirs = (self._account.user_id, self._account.device_id), (sender, device_id)
            if ours < theirs:
                return
        elif run.stage is not Stage.READY:
            raise SasError("m.unexpected_message")
        self._begin(run, content, we_started=False)
        assert run.sas is not None
        self._send(run, "accept", run.sas.accept())

    def _receive_step(self, run: Verification, name: str, content: Mapping[str, Any]) -> None:
        if run.stage in (Stage.DONE, Stage.CANCELLED):
            return
        if name == "cancel":
            run.code = text_at(content, "code") or "m.user"
            self._move(run, Stage.CANCELLED)
        elif name == "ready":
            self._receive_ready(run, content)
        elif name == "done":
            return
        elif run.sas is None:
            raise SasError("m.unexpected_message")
        elif name == "accept":
            self._send(run, "key", run.sas.receive_accept(content))
        elif name == "key":
            answer = run.sas.receive_key(content)
            if answer is not None:
                self._send(run, "key", answer)
            self._move(run, Stage.COMPARING)
        elif name == "mac":
            if run.stage not in (Stage.COMPARING, Stage.CONFIRMED) or run.their_mac is not None:
                raise SasError("m.unexpected_message")
            run.their_mac = content
            self._finish(run)

    def _receive_ready(self, run: Verification, content: Mapping[str, Any]) -> None:
        device_id = text_at(content, "from_device")
        if not run.we_requested or run.stage is not Stage.REQUESTED or device_id is None:
            return
        run.device_id = device_id
        others = [
            other for other in self._book.devices_of(run.user_id) if other != device_id and not self._is_us(run.user_id, other)
        ]
        if others:
            body = _cancel_content(run.transaction_id, "m.accepted")
            self._outbox.add_to_device(_PREFIX + "cancel", {run.user_id: dict.fromkeys(others, body)})
        if METHOD not in texts_at(content, "methods"):
            raise SasError("m.unknown_method")
        self._move(run, Stage.READY)

    # Steps

    def _begin(self, run: Verification, start: Mapping[str, Any], *, we_started: bool) -> None:
        ours = Party(self._account.user_id, self._account.device_id, self._own_keys())
        theirs = Party(run.user_id, run.device_id, self._their_keys(run))
        if not theirs.keys:
            raise SasError("m.key_mismatch")
        run.sas = Sas(ours, theirs, run.transaction_id, start, we_started=we_started)
        self._move(run, Stage.STARTED)

    def _own_keys(self) -> Mapping[str, str]:
        keys = {self._account.key_id: self._account.ed25519}
        identity = self._book.identity(self._account.user_id)
        if identity is not None and self._book.own_identity_is_trusted:
            keys[f"ed25519:{identity.master}"] = identity.master
        return keys

    def _their_keys(self, run: Verification) -> Mapping[str, str]:
        device, identity = self._book.device(run.user_id, run.device_id), self._book.identity(run.user_id)
        keys = {} if device is None else {f"ed25519:{device.device_id}": device.ed25519}
        if identity is not None and device is not None:
            keys[f"ed25519:{identity.master}"] = identity.master
        return keys

    def _finish(self, run: Verification) -> None:
        if run.stage is not Stage.CONFIRMED or run.their_mac is None or run.sas is None:
            return
        try:
            proven = run.sas.check_mac(run.their_mac)
        except SasError as error:
            self._cancel(run, error.code)
            return
        self._believe(run, run.sas.theirs, proven)
        self._send(run, "done", {"transaction_id": run.transaction_id})
        self._move(run, Stage.DONE)

    def _believe(self, run: Verification, theirs: Party, proven: frozenset[str]) -> None:
        """Sign, or trust, exactly the keys that were fixed at the start and proven now."""
        device, identity = self._book.device(run.user_id, run.device_id), self._book.identity(run.user_id)
        own = run.user_id == self._account.user_id
        master_proven = identity is not None and theirs.keys.get(f"ed25519:{identity.master}") == identity.master
        if identity is not None and master_proven and f"ed25519:{identity.master}" in proven:
            if own:
                self._book.trust_own_master(identity.master)
            elif self._cross_signing.sign_user(run.user_id, identity.master):
                return
        key_id = f"ed25519:{run.device_id}"
        if device is not None and key_id in proven and theirs.keys[key_id] == device.ed25519:
            if own and self._cross_signing.sign_own_device(device.device_id):
                return
            self._book.mark_device(run.user_id, run.device_id, "verified")

    def _cancel(self, run: Verification, code: str) -> None:
        run.code = code
        content = _cancel_content(run.transaction_id, code)
        if run.device_id:
            self._send(run, "cancel", content)
        else:
            devices = [device for device in self._book.devices_of(run.user_id) if not self._is_us(run.user_id, device)]
            self._outbox.add_to_device(_PREFIX + "cancel", {run.user_id: dict.fromkeys(devices, content)})
        self._move(run, Stage.CANCELLED)

    def _send(self, run: Verification, name: str, content: Mapping[str, Any]) -> None:
        self._outbox.add_to_device(_PREFIX + name, {run.user_id: {run.device_id: content}})

    def _add(self, run: Verification) -> None:
        while len(self._live) >= _LIVE_MAX:
            self._live.pop(next(iter(self._live)))
        self._live[run.transaction_id] = run
        self._tell(run)

    def _move(self, run: Verification, stage: Stage) -> None:
        run.stage = stage
        self._tell(run)

    def _tell(self, run: Verification) -> None:
        self.notices.append(VerificationUpdate(run.transaction_id, run.user_id, run.device_id, run.stage.value))

    def _is_us(self, user_id: str, device_id: str) -> bool:
        return (user_id, device_id) == (self._account.user_id, self._account.device_id)

    def _expire(self) -> None:
        for run in list(self._live.values()):
            if self._clock.now_ms() - run.begun_ms > _LIFE_MS:
                self.cancel(run.transaction_id, "m.timeout")
                del self._live[run.transaction_id]


def _cancel_content(transaction_id: str, code: str) -> dict[str, Any]:
    return {"transaction_id": transaction_id, "code": code, "reason": _REASONS.get(code, "The verification failed.")}
