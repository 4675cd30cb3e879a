"""Olm channels: one-to-one encryption between this device and others.

Theory of operation. Several sessions may exist with one peer; the one that last received (or, having received nothing, was
created last) is used to send. A pre-key message that fits no session makes a new one. When a message cannot be decrypted
the channel is taken for wedged: a new session is begun by claiming a key and sending `m.dummy`, at most once an hour per
peer. Every move of a ratchet is put into the records in the same step, so that it can never be used twice.

Nothing decrypted here is handed on before its sender, recipient and keys have been compared with the envelope.

Spec: client-server-api#molmv1curve25519-aes-sha2
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import vodozemac

from watchword.base.clock import Clock
from watchword.base.errors import RemoteProtocolError
from watchword.client.crypto.account import OLM, ONE_TIME_KEY, OwnAccount
from watchword.client.crypto.devices import Device, DeviceBook, parse_device
from watchword.client.crypto.records import Records
from watchword.client.crypto.signing import is_signed_by
from watchword.client.crypto.untrusted import decode_object, integer_at, object_at, text_at
from watchword.protocol.unpadded_base64 import decode as from_base64
from watchword.protocol.unpadded_base64 import encode as to_base64

_SESSIONS_MAX = 8
_UNWEDGE_INTERVAL_MS = 3_600_000
_CLAIM_RETRY_MS = 600_000
_LIVE_SESSIONS_MAX = 5_000


class OlmSession(msgspec.Struct, frozen=True):
    """A stored session. used_ts: when it last received, or was created."""

    session_id: str
    pickle: str
    used_ts: int


class PeerRow(msgspec.Struct, frozen=True):
    """What is stored about a peer, by its Curve25519 key; the session to send with comes first."""

    sessions: tuple[OlmSession, ...] = ()
    unwedged_ts: int = 0
    claim_failed_ts: int = 0
    told_no_olm: bool = False


@dataclass(frozen=True)
class OlmEvent:
    """A decrypted to-device event whose envelope was checked.

    device: the sending device if its signed keys are known, else None.
    """

    sender: str
    sender_key: str
    sender_ed25519: str
    type: str
    content: Mapping[str, Any]
    device: Device | None


class OlmChannels:
    """All Olm sessions of this device."""

    def __init__(self, records: Records, account: OwnAccount, book: DeviceBook, pickle_key: bytes, clock: Clock) -> None:
        self._peers = records.shelf("olm", PeerRow)
        self._account = account
        self._book = book
        self._pickle_key = pickle_key
        self._clock = clock
        self._live: dict[str, vodozemac.Session] = {}

    # Sessions

    def has_session(self, curve25519: str) -> bool:
        """Whether something can be sent to that key now."""
        row = self._peers.get(curve25519)
        return row is not None and bool(row.sessions)

    def may_claim(self, curve25519: str) -> bool:
        """Whether a key may be claimed for that peer: none was refused in the last ten minutes."""
        row = self._peers.get(curve25519)
        if row is None or row.claim_failed_ts == 0:
            return True
        return self._clock.now_ms() - row.claim_failed_ts >= _CLAIM_RETRY_MS

    def may_unwedge(self, curve25519: str) -> bool:
        """Whether a replacement session may be begun with that peer: none was in the last hour."""
        row = self._peers.get(curve25519)
        return row is None or self._clock.now_ms() - row.unwedged_ts >= _UNWEDGE_INTERVAL_MS

    def note_unwedged(self, curve25519: str) -> None:
        """A replacement session is being begun."""
        self._put(curve25519, unwedged_ts=self._clock.now_ms())

    def note_claim_failed(self, curve25519: str) -> None:
        """The peer had no key to claim."""
        self._put(curve25519, claim_failed_ts=self._clock.now_ms())

    def tell_no_olm(self, curve25519: str) -> bool:
        """True once per peer until a session exists: it is to be told that we could not reach it."""
        row = self._peers.get(curve25519) or PeerRow()
        if not row.told_no_olm:
            self._put(curve25519, told_no_olm=True)
        return not row.told_no_olm

    def _put(self, curve25519: str, **changes: Any) -> None:
        row = self._peers.get(curve25519) or PeerRow()
        self._peers.put(curve25519, msgspec.structs.replace(row, **changes))

    def _keep(self, curve25519: str, session: vodozemac.Session, *, first: bool) -> None:
        """Record a session after its ratchet moved; `first` also makes it the one to send with."""
        row = self._peers.get(curve25519) or PeerRow()
        old = next((kept for kept in row.sessions if kept.session_id == session.session_id), None)
        used_ts = self._clock.now_ms() if first or old is None else old.used_ts
        kept = OlmSession(session.session_id, session.pickle(self._pickle_key), used_ts)
        if first or old is None:
            sessions = [kept, *(other for other in row.sessions if other is not old)]
        else:
            sessions = [kept if other is old else other for other in row.sessions]
        for dropped in sessions[_SESSIONS_MAX:]:
            self._live.pop(dropped.session_id, None)
        self._remember(session)
        if row.told_no_olm or row.claim_failed_ts:
            self._book.version += 1  # It can be reached now: rooms that left it out look again.
        self._put(curve25519, sessions=tuple(sessions[:_SESSIONS_MAX]), claim_failed_ts=0, told_no_olm=False)

    def _remember(self, session: vodozemac.Session) -> None:
        while len(self._live) >= _LIVE_SESSIONS_MAX:
            self._live.pop(next(iter(self._live)))
        self._live[session.session_id] = session

    def _session(self, row: OlmSession) -> vodozemac.Session:
        session = self._live.get(row.session_id)
        if session is None:
            session = vodozemac.Session.from_pickle(row.pickle, self._pickle_key)
            self._remember(session)
        return session

    def begin(self, device: Device, claimed: Mapping[str, Any]) -> bool:
        """Make a session from the keys that /keys/claim gave for a device; False if none was there or valid."""
        for key_id, key in claimed.items():
            public = text_at(key, "key")
            if not key_id.startswith(f"{ONE_TIME_KEY}:") or public is None:
                continue
            if not is_signed_by(key, device.user_id, device.device_id, device.ed25519):
                continue
            try:
                session = self._account.olm.create_outbound_session(
                    vodozemac.Curve25519PublicKey.from_base64(device.curve25519),
                    vodozemac.Curve25519PublicKey.from_base64(public),
                )
            except ValueError:
                continue
            self._keep(device.curve25519, session, first=True)
            return True
        self.note_claim_failed(device.curve25519)
        return False

    # Sending

    def encrypt(
        self, device: Device, event_type: str, content: Mapping[str, Any], own_keys: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The `m.room.encrypted` content that only this device can read; a session must exist.

        own_keys: our signed device keys, so that the receiver need not ask for them.
        """
        row = self._peers.get(device.curve25519)
        assert row is not None, device.device_id
        assert row.sessions, device.device_id
        session = self._session(row.sessions[0])
        payload = {
            "type": event_type,
            "content": content,
            "sender": self._account.user_id,
            "recipient": device.user_id,
            "recipient_keys": {"ed25519": device.ed25519},
            "keys": {"ed25519": self._account.ed25519},
            "sender_device_keys": own_keys,
        }
        message_type, body = session.encrypt(msgspec.json.encode(payload)).to_parts()
        self._keep(device.curve25519, session, first=False)
        return {
            "algorithm": OLM,
            "sender_key": self._account.curve25519,
            "ciphertext": {device.curve25519: {"type": message_type, "body": to_base64(body)}},
        }

    # Receiving

    def decrypt(self, sender: str, content: Mapping[str, Any]) -> OlmEvent:
        """Open an Olm event addressed to this device and check everything its plaintext claims.

        Raises RemoteProtocolError if it is malformed, not for us, or lies; OlmWedged if no session opens it.
        """
        sender_key = text_at(content, "sender_key")
        ours = object_at(content, "ciphertext", self._account.curve25519)
        message_type, body = integer_at(ours, "type"), text_at(ours, "body")
        if sender_key is None or message_type is None or body is None:
            raise RemoteProtocolError("an Olm event is malformed or not for this device")
        try:
            message = vodozemac.AnyOlmMessage.from_parts(message_type, from_base64(body))
        except (ValueError, OverflowError) as error:
            raise RemoteProtocolError("an Olm message is malformed") from error
        plaintext = self._open(sender_key, message)
        return self._checked(sender, sender_key, decode_object(plaintext))

    def _open(self, sender_key: str, message: vodozemac.AnyOlmMessage) -> bytes:
        pre_key = message.to_pre_key()
        row = self._peers.get(sender_key) or PeerRow()
        for kept in row.sessions:
            session = self._session(kept)
            if pre_key is not None and not session.session_matches(pre_key):
                continue
            try:
                plaintext = session.decrypt(message)
            except ValueError as error:
                if pre_key is not None:
                    raise OlmWedged(sender_key) from error
                continue
            self._keep(sender_key, session, first=True)
            return plaintext
        if pre_key is None:
            raise OlmWedged(sender_key)
        try:
            identity_key = vodozemac.Curve25519PublicKey.from_base64(sender_key)
            session, plaintext = self._account.olm.create_inbound_session(identity_key, pre_key)
        except ValueError as error:
            raise OlmWedged(sender_key) from error
        self._account.save()
        self._keep(sender_key, session, first=True)
        return plaintext

    def _checked(self, sender: str, sender_key: str, payload: Mapping[str, Any]) -> OlmEvent:
        """Spec: client-server-api#validation-of-incoming-decrypted-events"""
        event_type, ed25519 = text_at(payload, "type"), text_at(payload, "keys", "ed25519")
        if event_type is None or ed25519 is None or not isinstance(payload.get("content"), dict):
            raise RemoteProtocolError("an Olm payload is malformed")
        if text_at(payload, "sender") != sender:
            raise RemoteProtocolError("an Olm payload names another sender")
        if text_at(payload, "recipient") != self._account.user_id:
            raise RemoteProtocolError("an Olm payload is for another user")
        if text_at(payload, "recipient_keys", "ed25519") != self._account.ed25519:
            raise RemoteProtocolError("an Olm payload is for another device")
        device = self._sending_device(sender, sender_key, payload)
        if device is not None and device.ed25519 != ed25519:
            raise RemoteProtocolError("an Olm payload claims another signing key than its device has")
        return OlmEvent(sender, sender_key, ed25519, event_type, payload["content"], device)

    def _sending_device(self, sender: str, sender_key: str, payload: Mapping[str, Any]) -> Device | None:
        """The device that owns the key: as queried, else as the payload itself proves."""
        known = self._book.device_by_key(sender, sender_key)
        raw = payload.get("sender_device_keys")
        if raw is None:
            return known
        device_id = text_at(raw, "device_id")
        device = None if device_id is None else parse_device(sender, device_id, raw)
        if device is None or device.curve25519 != sender_key:
            raise RemoteProtocolError("the device keys in an Olm payload are not its sender's")
        if device.ed25519 != text_at(payload, "keys", "ed25519"):
            raise RemoteProtocolError("the device keys in an Olm payload have another signing key")
        return known or device


class OlmWedged(RemoteProtocolError):
    """No session opens a message of this peer: the channel is to be replaced."""

    def __init__(self, sender_key: str) -> None:
        super().__init__("no Olm session opens a message")
        self.sender_key = sender_key
