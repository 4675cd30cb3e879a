"""Room keys received, and reading with them.

A Megolm session is found by room and session ID alone; what an event says about its device is never used. Each message
index of a session belongs to the first event seen with it: another event with the same index is a replay.

Sessions that came from a backup or a file are marked so: a server could have made them up, hence what they decrypt is
reported as unauthenticated even if the device is verified.

Spec: client-server-api#mmegolmv1aes-sha2
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
import vodozemac

from watchword.base.errors import RemoteProtocolError
from watchword.client.crypto.account import MEGOLM
from watchword.client.crypto.devices import DeviceBook, Trust
from watchword.client.crypto.failures import DecryptionFailure, Undecryptable
from watchword.client.crypto.records import Records
from watchword.client.crypto.untrusted import decode_object, object_at, text_at

_LIVE_SESSIONS_MAX = 2_000
_SEEN = struct.Struct(">I16s")


class SenderTrust(Enum):
    """What is known about who really sent a decrypted event."""

    VERIFIED = "a device of a user we have verified"
    SIGNED = "a device signed by its owner, whom we have not verified"
    UNSIGNED = "a device not signed by its owner"
    BLOCKED = "a device that we blocked"
    UNKNOWN_DEVICE = "a device we do not know (any more)"
    UNAUTHENTICATED = "the room key came from a backup: the server could have forged it"


_BY_TRUST = {
    Trust.VERIFIED: SenderTrust.VERIFIED,
    Trust.SIGNED: SenderTrust.SIGNED,
    Trust.UNSIGNED: SenderTrust.UNSIGNED,
    Trust.BLOCKED: SenderTrust.BLOCKED,
}


class RoomKey(msgspec.Struct, frozen=True):
    """A stored inbound session.

    sender: the user who gave it to us through Olm, None if it was imported. backed_up: the backup version that has it.
    """

    room_id: str
    session_id: str
    sender_key: str
    sender_ed25519: str
    pickle: str
    first_index: int
    sender: str | None = None
    shared_history: bool = False
    backed_up: str | None = None


class SeenRow(msgspec.Struct, frozen=True):
    """Which event each message index of a session belongs to: pairs of index and digest, packed."""

    packed: bytes = b""


class WithheldRow(msgspec.Struct, frozen=True):
    """Why a room key was not given to us."""

    code: str


@dataclass(frozen=True)
class DecryptedEvent:
    """The plaintext of a room event. sender_device: its ID if known."""

    type: str
    content: Mapping[str, Any]
    sender: str
    trust: SenderTrust
    session_id: str
    message_index: int
    sender_device: str | None = None


class RoomKeys:
    """All Megolm sessions this device can read with."""

    def __init__(self, records: Records, book: DeviceBook, pickle_key: bytes) -> None:
        self._keys = records.shelf("room_key", RoomKey)
        self._seen = records.shelf("seen", SeenRow)
        self._withheld = records.shelf("withheld", WithheldRow)
        self._book = book
        self._pickle_key = pickle_key
        self._live: dict[str, vodozemac.InboundGroupSession] = {}
        self._indices: dict[str, dict[int, bytes]] = {}
        self.unsaved_in_backup: dict[str, None] = {}
        """Names of keys to be backed up, oldest first; the backup takes from it."""

    # Adding

    def add(self, key: RoomKey, session: vodozemac.InboundGroupSession) -> bool:
        """Keep a session unless we have a better one; True if anything new can be read with it.

        A session that is already here is only replaced by one of the same ratchet that begins earlier.
        """
        name = row_name(key.room_id, key.session_id)
        old = self._keys.get(name)
        if old is not None:
            if not self._continues(old, key, session):
                return False
            key = _merged(old, key)
            if key == old:
                return False
            if key.first_index == old.first_index:
                session = self._session(name, old)
        self._keep(name, msgspec.structs.replace(key, pickle=session.pickle(self._pickle_key), backed_up=None), session)
        self._withheld.remove(name)
        self.unsaved_in_backup[name] = None
        return old is None or key.first_index < old.first_index

    def _continues(self, old: RoomKey, new: RoomKey, session: vodozemac.InboundGroupSession) -> bool:
        """Whether both are the same ratchet, so that one may stand for the other."""
        if old.sender is not None and new.sender is not None and (old.sender, old.sender_key) != (new.sender, new.sender_key):
            return False
        index = max(old.first_index, new.first_index)
        mine = self._session(row_name(old.room_id, old.session_id), old).export_at(index)
        theirs = session.export_at(index)
        return mine is not None and theirs is not None and mine.to_base64() == theirs.to_base64()

    def _keep(self, name: str, key: RoomKey, session: vodozemac.InboundGroupSession) -> None:
        self._keys.put(name, key)
        self._keep_live(name, session)

    def _session(self, name: str, key: RoomKey) -> vodozemac.InboundGroupSession:
        session = self._live.get(name)
        if session is None:
            session = vodozemac.InboundGroupSession.from_pickle(key.pickle, self._pickle_key)
            self._keep_live(name, session)
        return session

    def _keep_live(self, name: str, session: vodozemac.InboundGroupSession) -> None:
        while len(self._live) >= _LIVE_SESSIONS_MAX:
            self._live.pop(next(iter(self._live)))
        self._live[name] = session

    def add_from_event(self, content: Mapping[str, Any], *, sender: str, sender_key: str, ed25519: str) -> RoomKey | None:
        """Take in `m.room_key`, received through Olm from that device; the key if something new can be read.

        Raises RemoteProtocolError. Spec: client-server-api#mroom_key
        """
        room_id, session_id = text_at(content, "room_id"), text_at(content, "session_id")
        session_key = text_at(content, "session_key")
        if text_at(content, "algorithm") != MEGOLM or room_id is None or session_id is None or session_key is None:
            raise RemoteProtocolError("a room key is malformed")
        try:
            session = vodozemac.InboundGroupSession(vodozemac.SessionKey(session_key))
        except ValueError as error:
            raise RemoteProtocolError("a room key is malformed") from error
        if session.session_id != session_id:
            raise RemoteProtocolError("a room key has another session ID than it says")
        shared_history = content.get("shared_history") is True
        key = RoomKey(room_id, session_id, sender_key, ed25519, "", session.first_known_index, sender, shared_history)
        return key if self.add(key, session) else None

    def add_exported(self, room_id: str, session_id: str, data: Mapping[str, Any], backed_up: str | None = None) -> bool:
        """Take in a session from a backup or an export; True if something new can be read. Raises RemoteProtocolError."""
        sender_key, exported = text_at(data, "sender_key"), text_at(data, "session_key")
        ed25519 = text_at(data, "sender_claimed_keys", "ed25519")
        if text_at(data, "algorithm") != MEGOLM or sender_key is None or exported is None or ed25519 is None:
            raise RemoteProtocolError("an exported room key is malformed")
        try:
            session = vodozemac.InboundGroupSession.import_session(vodozemac.ExportedSessionKey(exported))
        except ValueError as error:
            raise RemoteProtocolError("an exported room key is malformed") from error
        if session.session_id != session_id:
            raise RemoteProtocolError("an exported room key has another session ID than it says")
        shared_history = data.get("shared_history") is True
        key = RoomKey(room_id, session_id, sender_key, ed25519, "", session.first_known_index, None, shared_history)
        name = row_name(room_id, session_id)
        is_new = name not in self._keys
        added = self.add(key, session)
        if is_new and added and backed_up is not None:
            self.mark_backed_up([name], backed_up)
        return added

    def add_withheld(self, room_id: str, session_id: str, code: str) -> bool:
        """Remember why a key is not given to us, unless we have it."""
        name = row_name(room_id, session_id)
        if name in self._keys:
            return False
        self._withheld.put(name, WithheldRow(code))
        return True

    # For the backup

    def key(self, name: str) -> RoomKey | None:
        """The stored key of that row name."""
        return self._keys.get(name)

    def has(self, room_id: str, session_id: str) -> bool:
        """Whether that session is here."""
        return row_name(room_id, session_id) in self._keys

    def sessions_in(self, room_id: str) -> list[RoomKey]:
        """Every session of one room."""
        return [key for key in self._keys.values() if key.room_id == room_id]

    def exported(self, name: str) -> str | None:
        """The session key from its first index on, in export form."""
        key = self._keys.get(name)
        if key is None:
            return None
        exported = self._session(name, key).export_at(key.first_index)
        return None if exported is None else exported.to_base64()

    def mark_backed_up(self, names: list[str], version: str) -> None:
        """These keys are in that version of the backup."""
        for name in names:
            if (key := self._keys.get(name)) is not None:
                self._keys.put(name, msgspec.structs.replace(key, backed_up=version))
            self.unsaved_in_backup.pop(name, None)

    def find_unsaved(self, version: str) -> None:
        """Look for every key that this backup version does not have."""
        for key in self._keys.values():
            if key.backed_up != version:
                self.unsaved_in_backup[row_name(key.room_id, key.session_id)] = None

    # Reading

    def decrypt(self, room_id: str, event: Mapping[str, Any]) -> DecryptedEvent:
        """Open a Megolm event of this room. Raises DecryptionFailure."""
        content = object_at(event, "content")
        session_id, ciphertext = text_at(content, "session_id"), text_at(content, "ciphertext")
        sender = text_at(event, "sender")
        if text_at(content, "algorithm") != MEGOLM:
            raise DecryptionFailure(Undecryptable.UNKNOWN_ALGORITHM, room_id=room_id)
        if session_id is None or ciphertext is None or sender is None:
            raise DecryptionFailure(Undecryptable.MALFORMED, room_id=room_id)
        name = row_name(room_id, session_id)
        key = self._keys.get(name)
        if key is None:
            raise self._missing(room_id, session_id)
        if key.sender is not None and key.sender != sender:
            raise DecryptionFailure(Undecryptable.WRONG_SENDER, room_id=room_id, session_id=session_id)
        plaintext, index = self._open(name, key, ciphertext)
        payload = self._payload(key, plaintext)
        self._check_replay(name, key, index, event)
        trust, device_id = self._sender_trust(key, sender)
        return DecryptedEvent(
            payload["type"], _with_relation(payload["content"], content), sender, trust, session_id, index, device_id
        )

    def _missing(self, room_id: str, session_id: str) -> DecryptionFailure:
        withheld = self._withheld.get(row_name(room_id, session_id))
        if withheld is None:
            return DecryptionFailure(Undecryptable.NO_KEY, room_id=room_id, session_id=session_id)
        return DecryptionFailure(Undecryptable.WITHHELD, room_id=room_id, session_id=session_id, withheld_code=withheld.code)

    def _open(self, name: str, key: RoomKey, ciphertext: str) -> tuple[bytes, int]:
        failure = Undecryptable.FORGED
        try:
            message = vodozemac.MegolmMessage.from_base64(ciphertext)
            if message.message_index() < key.first_index:
                failure = Undecryptable.TOO_EARLY
            decrypted = self._session(name, key).decrypt(message)
        except ValueError as error:
            raise DecryptionFailure(failure, room_id=key.room_id, session_id=key.session_id) from error
        return decrypted.plaintext, decrypted.message_index

    def _payload(self, key: RoomKey, plaintext: bytes) -> Mapping[str, Any]:
        malformed = DecryptionFailure(Undecryptable.MALFORMED, room_id=key.room_id, session_id=key.session_id)
        try:
            payload = decode_object(plaintext)
        except RemoteProtocolError as error:
            raise malformed from error
        if text_at(payload, "room_id") != key.room_id:
            raise DecryptionFailure(Undecryptable.WRONG_ROOM, room_id=key.room_id, session_id=key.session_id)
        if text_at(payload, "type") is None or not isinstance(payload.get("content"), dict):
            raise malformed
        return payload

    def _check_replay(self, name: str, key: RoomKey, index: int, event: Mapping[str, Any]) -> None:
        origin = f"{event.get('event_id')}|{event.get('origin_server_ts')}".encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(origin).digest()[:16]
        row = self._seen.get(name) or SeenRow()
        indices = self._indices.get(name)
        if indices is None:
            indices = self._indices[name] = dict(_SEEN.iter_unpack(row.packed))
        first = indices.setdefault(index, digest)
        if first != digest:
            raise DecryptionFailure(Undecryptable.REPLAYED, room_id=key.room_id, session_id=key.session_id)
        if len(indices) * _SEEN.size > len(row.packed):
            self._seen.put(name, SeenRow(row.packed + _SEEN.pack(index, digest)))

    def sender_trust(self, room_id: str, session_id: str, sender: str) -> SenderTrust:
        """What is known now about the sender of an event of that session."""
        key = self._keys.get(row_name(room_id, session_id))
        return SenderTrust.UNKNOWN_DEVICE if key is None else self._sender_trust(key, sender)[0]

    def _sender_trust(self, key: RoomKey, sender: str) -> tuple[SenderTrust, str | None]:
        device = self._book.device_by_key(sender, key.sender_key)
        if device is None or device.ed25519 != key.sender_ed25519:
            return SenderTrust.UNKNOWN_DEVICE if key.sender is not None else SenderTrust.UNAUTHENTICATED, None
        if key.sender is None:
            return SenderTrust.UNAUTHENTICATED, device.device_id
        return _BY_TRUST[self._book.trust(device)], device.device_id


def row_name(room_id: str, session_id: str) -> str:
    """The record name of a session."""
    return f"{room_id}|{session_id}"


def _merged(old: RoomKey, new: RoomKey) -> RoomKey:
    """The best of both: the earlier start, and the sender if either proves one."""
    proven = old if old.sender is not None else new
    earlier = old if old.first_index <= new.first_index else new
    return msgspec.structs.replace(
        proven,
        first_index=earlier.first_index,
        pickle=old.pickle,
        backed_up=old.backed_up,
    )


def _with_relation(plain: Mapping[str, Any], outer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Relations travel outside the ciphertext. Spec: client-server-api#mrelates_to"""
    relation = outer.get("m.relates_to")
    if isinstance(relation, dict) and "m.relates_to" not in plain:
        return {**plain, "m.relates_to": relation}
    return plain
