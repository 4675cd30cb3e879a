"""The encryption of one device, as a pure state machine.

Theory of operation. Values go in: what a sync brought (`receive_sync`), answers to requests (`receive_answer`,
`receive_failure`), and what the caller wants (`prepare_room`, `encrypt`, `decrypt`, …). Requests come out: frozen
dataclasses with an id, from `outgoing` (things to be done sooner or later) and `prepare_room` (things to be done before a
message may be encrypted). News for a person come out of `take_notices`. Nothing is awaited and nothing is sent.

All state is in `Records`. The caller's duties make the machine safe against being killed at any moment:

1. Save `records.take()` before sending anything the machine produced: a ratchet must never step back.
2. Save what `receive_sync` changed together with that sync's token: the server forgets to-device messages once the
   token is used, so their keys must be durable first.

A to-device message is kept in the outbox, already encrypted, until its request is answered; its id is the transaction ID,
so repeating it after a crash is harmless.

To send into a room: call `prepare_room` and carry out what it returns, until it returns nothing; then `encrypt`. It asks,
in this order, for device lists that are not known, for one-time keys of devices without a channel, and for the delivery
of the room key. A device that cannot be reached is told so and does not hold up the message.

Deliberately absent: timers, retries, sync tokens, and room membership; `session.py` has those.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import RemoteProtocolError
from watchword.client.crypto.account import MEGOLM, ONE_TIME_KEY, OwnAccount
from watchword.client.crypto.backup import KeyBackup
from watchword.client.crypto.cross_signing import CrossSigning
from watchword.client.crypto.devices import Device, DeviceBook, Trust
from watchword.client.crypto.failures import IdentitiesChanged, NotPrepared
from watchword.client.crypto.inbound import DecryptedEvent, RoomKeys, SenderTrust
from watchword.client.crypto.olm import OlmChannels, OlmEvent, OlmWedged
from watchword.client.crypto.outbound import OutboundSessions, RoomSettings, Sharing
from watchword.client.crypto.outbox import Outbox
from watchword.client.crypto.records import Records
from watchword.client.crypto.requests import (
    KeysClaim,
    Notice,
    Request,
    RoomKeyReceived,
    RoomKeyWithheld,
    SigningKeysUpload,
    ToDeviceReceived,
)
from watchword.client.crypto.untrusted import integer_at, object_at, text_at
from watchword.client.crypto.verification import Verifications

_CLAIM_DEVICES_MAX = 500
_TO_DEVICE_MAX = 10_000


class CryptoMachine:
    """The end-to-end encryption of one device of one user.

    records: the rows that `Records.take` gave to be saved earlier, or empty ones for a new device.
    pickle_key: 32 bytes that every stored ratchet is encrypted with.
    """

    def __init__(
        self, user_id: str, device_id: str, records: Records, pickle_key: bytes, clock: Clock, entropy: Entropy
    ) -> None:
        self.user_id = user_id
        self.device_id = device_id
        self.records = records
        self._clock = clock
        self._entropy = entropy
        self.account = OwnAccount(records, user_id, device_id, pickle_key, clock)
        self.devices = DeviceBook(records, user_id, device_id, clock)
        self.devices.pin_own_device(self.account.device_keys())
        self.devices.track([user_id])
        self.channels = OlmChannels(records, self.account, self.devices, pickle_key, clock)
        self.room_keys = RoomKeys(records, self.devices, pickle_key)
        self.rooms = OutboundSessions(records, self.account, self.devices, self.channels, self.room_keys, pickle_key, clock)
        self.outbox = Outbox(records, entropy)
        self.cross_signing = CrossSigning(records, self.account, self.devices, self.outbox, entropy)
        self.backup = KeyBackup(records, self.account, self.devices, self.cross_signing, self.room_keys)
        self.verifications = Verifications(self.account, self.devices, self.cross_signing, self.outbox, clock, entropy)
        self._claims: dict[str, KeysClaim] = {}
        self._unwedging: set[tuple[str, str]] = set()
        self._notices: list[Notice] = []

    # Syncs

    def receive_sync(
        self,
        to_device: Iterable[object],
        *,
        changed: Iterable[str] = (),
        left: Iterable[str] = (),
        one_time_key_counts: Mapping[str, Any] | None = None,
        unused_fallback_types: Collection[str] | None = None,
    ) -> None:
        """Take in the parts of one sync that concern encryption; save the records with its token.

        Malformed messages are dropped one by one. `changed` and `left` may equally come from /keys/changes.
        """
        self.devices.receive_changes(changed, left)
        for number, event in enumerate(to_device):
            if number < _TO_DEVICE_MAX:
                self._receive_to_device(event)
        if one_time_key_counts is not None:
            count = integer_at(dict(one_time_key_counts), ONE_TIME_KEY) or 0
            # A server that does not name unused types cannot hold fallback keys.
            unused = unused_fallback_types is None or ONE_TIME_KEY in unused_fallback_types
            self.account.receive_counts(count, fallback_unused=unused)

    def _receive_to_device(self, event: object) -> None:
        sender, event_type, content = text_at(event, "sender"), text_at(event, "type"), object_at(event, "content")
        if sender is None or event_type is None:
            return
        if event_type == "m.room.encrypted":
            self._receive_encrypted(sender, content)
        elif event_type == "m.room_key.withheld":
            self._receive_withheld(sender, content)
        elif event_type.startswith("m.key.verification."):
            self.verifications.receive(sender, event_type, content)
        elif event_type not in ("m.room_key", "m.forwarded_room_key", "m.secret.send"):
            self._notices.append(ToDeviceReceived(sender, event_type, content, encrypted=False))

    def _receive_encrypted(self, sender: str, content: Mapping[str, Any]) -> None:
        try:
            event = self.channels.decrypt(sender, content)
        except OlmWedged as wedged:
            self._unwedge(sender, wedged.sender_key)
            return
        except RemoteProtocolError:
            return
        if self.devices.device_by_key(sender, event.sender_key) is None:
            self.devices.track([sender])
            self.devices.receive_changes([sender], [])  # A device that we do not know is using our list's gap.
        self._receive_olm(event)

    def _receive_olm(self, event: OlmEvent) -> None:
        if event.type == "m.dummy":
            return
        if event.type == "m.room_key":
            try:
                key = self.room_keys.add_from_event(
                    event.content, sender=event.sender, sender_key=event.sender_key, ed25519=event.sender_ed25519
                )
            except RemoteProtocolError:
                return
            if key is not None:
                self._notices.append(RoomKeyReceived(key.room_id, key.session_id))
        elif event.type.startswith("m.key.verification."):
            self.verifications.receive(event.sender, event.type, event.content)
        elif event.type != "m.forwarded_room_key":
            self._notices.append(
                ToDeviceReceived(event.sender, event.type, event.content, encrypted=True, sender_key=event.sender_key)
            )

    def _receive_withheld(self, sender: str, content: Mapping[str, Any]) -> None:
        code = text_at(content, "code")
        room_id, session_id = text_at(content, "room_id"), text_at(content, "session_id")
        sender_key = text_at(content, "sender_key")
        if code is None or text_at(content, "algorithm") != MEGOLM:
            return
        if code == "m.no_olm" and sender_key is not None:
            self._unwedge(sender, sender_key)
        elif room_id is not None and session_id is not None and self.room_keys.add_withheld(room_id, session_id, code):
            self._notices.append(RoomKeyWithheld(room_id, session_id, code))

    def _unwedge(self, sender: str, sender_key: str) -> None:
        """Spec: client-server-api#recovering-from-undecryptable-messages"""
        device = self.devices.device_by_key(sender, sender_key)
        if device is None:
            self.devices.receive_changes([sender], [])  # Strangers are not followed for the asking.
        elif self.channels.may_unwedge(sender_key):
            self.channels.note_unwedged(sender_key)
            self._unwedging.add((device.user_id, device.device_id))

    # Requests

    def outgoing(self) -> Sequence[Request]:
        """Everything that is to be done sooner or later; the same request again until it is answered."""
        requests: list[Request] = []
        upload = self.account.outgoing(self._new_id())
        if upload is not None:
            requests.append(upload)
        requests += self.devices.queries(self.devices.stale(), self._new_ids())
        requests += self._claims_for(self._peers_to_unwedge())
        requests += self.outbox.requests()
        backup = self.backup.outgoing(self._new_id())
        if backup is not None:
            requests.append(backup)
        return requests

    def prepare_room(self, room_id: str, members: Collection[str]) -> Sequence[Request]:
        """What must be done before a message for these members may be encrypted; empty when nothing is left.

        members: every user who is to read it, our own included. Raises IdentitiesChanged.
        """
        pending = self.outbox.requests(room_id)
        if pending or (self.rooms.is_prepared(room_id, members) and not self.devices.unclean(members)):
            return pending
        self.devices.track(members)
        queries = self.devices.queries(members, self._new_ids())
        if queries:
            return queries
        if changed := self.devices.unacknowledged(members):
            raise IdentitiesChanged(changed)
        claims = self._claims_for(self.rooms.peers_without_session(members))
        if claims:
            return claims
        for event_type, messages in self.rooms.share(room_id, members).batches:
            self.outbox.add_to_device(event_type, messages, room_id)
        return self.outbox.requests(room_id)

    def _claims_for(self, devices: Iterable[Device]) -> list[Request]:
        """Outstanding and new claims that cover these devices."""
        asked = {
            (user_id, device_id)
            for claim in self._claims.values()
            for user_id, ids in claim.one_time_keys.items()
            for device_id in ids
        }
        wanted = {(device.user_id, device.device_id) for device in devices}
        fresh = sorted(wanted - asked)
        for start in range(0, len(fresh), _CLAIM_DEVICES_MAX):
            keys: dict[str, dict[str, str]] = {}
            for user_id, device_id in fresh[start : start + _CLAIM_DEVICES_MAX]:
                keys.setdefault(user_id, {})[device_id] = ONE_TIME_KEY
            claim = KeysClaim(self._new_id(), keys)
            self._claims[claim.request_id] = claim
        return [
            claim
            for claim in self._claims.values()
            if any((user_id, device_id) in wanted for user_id, ids in claim.one_time_keys.items() for device_id in ids)
        ]

    def _peers_to_unwedge(self) -> list[Device]:
        found = [self.devices.device(user_id, device_id) for user_id, device_id in self._unwedging]
        return [device for device in found if device is not None]

    def _new_id(self) -> str:
        return self._entropy.token(12)

    def _new_ids(self) -> Iterator[str]:
        while True:
            yield self._new_id()

    # Answers

    def receive_answer(self, request_id: str, body: Mapping[str, Any]) -> None:
        """The server answered 200 with this body. Unknown ids are ignored."""
        counts = integer_at(object_at(body, "one_time_key_counts"), ONE_TIME_KEY)
        claim = self._claims.pop(request_id, None)
        if claim is not None:
            self._receive_claimed(claim, object_at(body, "one_time_keys"))
        elif self.devices.receive_answer(request_id, body):
            self.cross_signing.check_own_identity()
        else:
            _ = (
                self.account.receive_answer(request_id, counts)
                or self.outbox.receive_answer(request_id)
                or self.cross_signing.receive_answer(request_id)
                or self.backup.receive_answer(request_id)
            )

    def receive_failure(self, request_id: str, errcode: str = "", *, permanent: bool = False) -> None:
        """The request failed and retries are over; what it was for is offered again later, or given up if permanent.

        permanent: the server said that this request is wrong, not that it could not carry it out now.
        """
        claim = self._claims.pop(request_id, None)
        if claim is not None:
            self._receive_claimed(claim, {})
        notice = self.backup.receive_failure(request_id, errcode)
        if notice is not None:
            self._notices.append(notice)
        _ = (
            self.devices.receive_failure(request_id)
            or self.account.receive_failure(request_id)
            or self.cross_signing.receive_failure(request_id)
            or self.outbox.receive_failure(request_id, permanent=permanent)
        )

    def _receive_claimed(self, claim: KeysClaim, claimed: Mapping[str, Any]) -> None:
        for user_id, device_ids in claim.one_time_keys.items():
            for device_id in device_ids:
                device = self.devices.device(user_id, device_id)
                if device is None:
                    continue
                begun = self.channels.begin(device, object_at(claimed, user_id, device_id))
                if (user_id, device_id) in self._unwedging:
                    self._unwedging.discard((user_id, device_id))
                    if begun:
                        self.send_encrypted(device, "m.dummy", {})

    def send_encrypted(self, device: Device, event_type: str, content: Mapping[str, Any]) -> None:
        """Put a to-device event, encrypted for this device, into the outbox. Raises NotPrepared without a channel."""
        if not self.channels.has_session(device.curve25519):
            raise NotPrepared("no Olm session with that device")
        own = self.devices.device(self.user_id, self.device_id)
        own_keys = self.account.device_keys() if own is None else own.keys
        encrypted = self.channels.encrypt(device, event_type, content, own_keys)
        self.outbox.add_to_device("m.room.encrypted", {device.user_id: {device.device_id: encrypted}})

    def take_notices(self) -> Sequence[Notice]:
        """The news since the last call."""
        notices = [*self.devices.notices, *self._notices, *self.verifications.notices]
        self.devices.notices.clear()
        self._notices.clear()
        self.verifications.notices.clear()
        return notices

    # Rooms

    def room_settings(self, room_id: str) -> RoomSettings | None:
        """The room's encryption, or None if it never was encrypted."""
        return self.rooms.settings(room_id)

    def receive_room_state(self, room_id: str, event_type: str, state_key: str, content: Mapping[str, Any]) -> None:
        """Take in a state event of a room; only encryption, history visibility and leaving matter here."""
        if event_type == "m.room.encryption" and state_key == "":
            self.rooms.receive_encryption(room_id, content)
        elif event_type == "m.room.history_visibility" and state_key == "":
            self.rooms.receive_history_visibility(room_id, text_at(content, "history_visibility"))
        elif event_type == "m.room.member" and text_at(content, "membership") in ("leave", "ban"):
            self.rooms.discard(room_id)

    def encrypt(self, room_id: str, event_type: str, content: Mapping[str, Any], members: Collection[str]) -> dict[str, Any]:
        """The content of an `m.room.encrypted` event; save the records before sending it.

        Raises NotPrepared unless `prepare_room` has nothing left for these members; IdentitiesChanged.
        """
        settings = self.rooms.settings(room_id)
        if settings is None or settings.algorithm != MEGOLM:
            raise NotPrepared("the room's encryption is not one we know")
        if changed := self.devices.unacknowledged(members):
            raise IdentitiesChanged(changed)
        if self.outbox.requests(room_id) or not self.rooms.is_prepared(room_id, members):
            raise NotPrepared("the room key has not been shared")
        return self.rooms.encrypt(room_id, event_type, content)

    def decrypt(self, room_id: str, event: Mapping[str, Any]) -> DecryptedEvent:
        """Open an encrypted room event as the client-server API gives it. Raises DecryptionFailure."""
        return self.room_keys.decrypt(room_id, event)

    def sender_trust(self, room_id: str, session_id: str, sender: str) -> SenderTrust:
        """What is known now about who sent an event that was decrypted with that session."""
        return self.room_keys.sender_trust(room_id, session_id, sender)

    # Trust

    def trust_of(self, user_id: str, device_id: str) -> Trust | None:
        """How far a device is trusted, None if it is not known."""
        device = self.devices.device(user_id, device_id)
        return None if device is None else self.devices.trust(device)

    def set_sharing(self, sharing: Sharing) -> None:
        """Which devices get room keys from now on."""
        self.rooms.sharing = sharing
        self.devices.version += 1

    def bootstrap_cross_signing(self) -> SigningKeysUpload:
        """Make new cross-signing keys; the request needs the user's `auth`. See CrossSigning.bootstrap."""
        return self.cross_signing.bootstrap(self._new_id())
