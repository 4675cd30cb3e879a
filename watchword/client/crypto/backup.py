"""Room keys on the server, readable only with the backup's decryption key.

A version is used only if we made it, hold its decryption key, or find it signed by our trusted master key or a verified
device of ours. Keys leave in bounded batches; each is remembered with the version that has it. The algorithm does not
prove who uploaded a key, so what comes back is marked as unauthenticated (see inbound.py).

Spec: client-server-api#server-side-key-backups
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import vodozemac

from watchword.base.errors import RemoteProtocolError
from watchword.client.crypto.account import MEGOLM, OwnAccount
from watchword.client.crypto.cross_signing import CrossSigning
from watchword.client.crypto.devices import DeviceBook, Trust
from watchword.client.crypto.inbound import RoomKey, RoomKeys
from watchword.client.crypto.records import Records
from watchword.client.crypto.requests import BackupStopped, BackupUpload
from watchword.client.crypto.signing import is_signed_by, signed
from watchword.client.crypto.untrusted import decode_object, object_at, text_at
from watchword.protocol.unpadded_base64 import decode as from_base64
from watchword.protocol.unpadded_base64 import encode as to_base64

ALGORITHM = "m.megolm_backup.v1.curve25519-aes-sha2"
SECRET_NAME = "m.megolm_backup.v1"  # noqa: S105 (the name of a secret, not one)

_BATCH = 100
_STOPPING = frozenset({"M_WRONG_ROOM_KEYS_VERSION", "M_NOT_FOUND"})


class BackupRow(msgspec.Struct, frozen=True):
    """The backup in use. secret: its decryption key in base64, if it is here."""

    version: str
    public_key: str
    secret: str | None = None


class KeyBackup:
    """Uploads new room keys to the backup in use, and reads them back."""

    def __init__(
        self, records: Records, account: OwnAccount, book: DeviceBook, cross_signing: CrossSigning, room_keys: RoomKeys
    ) -> None:
        self._rows = records.shelf("backup", BackupRow)
        self._account = account
        self._book = book
        self._cross_signing = cross_signing
        self._room_keys = room_keys
        self._upload: tuple[BackupUpload, list[str]] | None = None
        row = self._row
        if row is not None:
            room_keys.find_unsaved(row.version)

    @property
    def _row(self) -> BackupRow | None:
        return self._rows.get("own")

    @property
    def version(self) -> str | None:
        """The version in use, or None."""
        return None if self._row is None else self._row.version

    @property
    def secret(self) -> str | None:
        """The decryption key in base64, if it is here."""
        return None if self._row is None else self._row.secret

    # Choosing a version

    def create(self) -> tuple[Mapping[str, Any], str]:
        """The body for POST /room_keys/version and the new decryption key; call `use` with the version that it gets."""
        key = vodozemac.Curve25519SecretKey()
        auth_data: dict[str, Any] = {"public_key": to_base64(key.public_key().to_bytes())}
        auth_data = signed(auth_data, self._account.user_id, self._account)
        if self._cross_signing.master is not None:
            auth_data = signed(auth_data, self._account.user_id, self._cross_signing.master)
        return {"algorithm": ALGORITHM, "auth_data": auth_data}, to_base64(key.to_bytes())

    def use(self, version_info: Mapping[str, Any], secret: str | None = None) -> bool:
        """Begin to use the version that GET /room_keys/version describes; False if it cannot be trusted.

        secret: its decryption key in base64, if known.
        """
        version = text_at(version_info, "version")
        public_key = text_at(version_info, "auth_data", "public_key")
        if version is None or public_key is None or text_at(version_info, "algorithm") != ALGORITHM:
            return False
        known = self._row
        if secret is None and known is not None and known.public_key == public_key:
            secret = known.secret
        if secret is not None and _public_of(secret) != public_key:
            return False
        if secret is None and not self._is_signed_by_us(object_at(version_info, "auth_data")):
            return False
        row = BackupRow(version, public_key, secret)
        if row != known:
            self._rows.put("own", row)
            self._upload = None
        self._room_keys.find_unsaved(version)
        return True

    def _is_signed_by_us(self, auth_data: Mapping[str, Any]) -> bool:
        user_id = self._account.user_id
        identity = self._book.identity(user_id)
        master = identity.master if identity is not None and self._book.own_identity_is_trusted else None
        if master is not None and is_signed_by(auth_data, user_id, master, master):
            return True
        return any(
            is_signed_by(auth_data, user_id, device.device_id, device.ed25519)
            for device in self._book.devices_of(user_id).values()
            if self._book.trust(device) is Trust.VERIFIED or device.device_id == self._account.device_id
        )

    def stop(self) -> None:
        """Use no backup any more."""
        self._rows.remove("own")
        self._upload = None

    # Uploading

    def outgoing(self, request_id: str) -> BackupUpload | None:
        """The next batch, the same one until it is answered."""
        row = self._row
        if self._upload is None and row is not None and self._room_keys.unsaved_in_backup:
            names = list(self._room_keys.unsaved_in_backup)[:_BATCH]
            body = {"rooms": self._sealed_rooms(row, names)}
            self._upload = (BackupUpload(request_id, row.version, body), names)
        return None if self._upload is None else self._upload[0]

    def _sealed_rooms(self, row: BackupRow, names: list[str]) -> dict[str, Any]:
        encryption = vodozemac.PkEncryption.from_key(vodozemac.Curve25519PublicKey.from_base64(row.public_key))
        rooms: dict[str, Any] = {}
        for name in names:
            key, exported = self._room_keys.key(name), self._room_keys.exported(name)
            if key is None or exported is None:
                continue
            sessions = rooms.setdefault(key.room_id, {"sessions": {}})["sessions"]
            sessions[key.session_id] = {
                "first_message_index": key.first_index,
                "forwarded_count": 0,
                "is_verified": key.sender is not None and self._is_verified(key),
                "session_data": _sealed(encryption, exported_form(key, exported)),
            }
        return rooms

    def _is_verified(self, key: RoomKey) -> bool:
        device = self._book.device_by_key(key.sender or "", key.sender_key)
        return device is not None and self._book.trust(device) is Trust.VERIFIED

    def receive_answer(self, request_id: str) -> bool:
        """The batch is stored. False if it is not ours."""
        if self._upload is None or self._upload[0].request_id != request_id:
            return False
        upload, names = self._upload
        self._upload = None
        self._room_keys.mark_backed_up(names, upload.version)
        return True

    def receive_failure(self, request_id: str, errcode: str) -> BackupStopped | None:
        """The batch is not stored; if the version is gone, say so and stop."""
        if self._upload is None or self._upload[0].request_id != request_id:
            return None
        version = self._upload[0].version
        self._upload = None
        if errcode not in _STOPPING:
            return None
        self.stop()
        return BackupStopped(version, errcode)

    # Restoring

    def receive_keys(self, rooms: Mapping[str, Any]) -> int:
        """Take in the `rooms` of GET /room_keys/keys; how many sessions are new. Malformed ones are skipped.

        Raises RemoteProtocolError if the decryption key is not here.
        """
        row = self._row
        if row is None or row.secret is None:
            raise RemoteProtocolError("the decryption key of the backup is not here")
        secret_key = vodozemac.Curve25519SecretKey.from_base64(row.secret)
        decryption = vodozemac.PkDecryption.from_key(secret_key)
        count = 0
        for room_id, room in rooms.items():
            for session_id, entry in object_at(room, "sessions").items():
                try:
                    data = _opened(decryption, object_at(entry, "session_data"))
                    count += self._room_keys.add_exported(room_id, session_id, data, row.version)
                except RemoteProtocolError:
                    continue
        return count


def exported_form(key: RoomKey, exported: str) -> dict[str, Any]:
    """A session as backups and exports carry it. Spec: client-server-api#definition-backedupsessiondata"""
    return {
        "algorithm": MEGOLM,
        "forwarding_curve25519_key_chain": [],
        "sender_key": key.sender_key,
        "sender_claimed_keys": {"ed25519": key.sender_ed25519},
        "session_key": exported,
        "shared_history": key.shared_history,
    }


def _sealed(encryption: vodozemac.PkEncryption, data: Mapping[str, Any]) -> dict[str, str]:
    message = encryption.encrypt(msgspec.json.encode(data))
    return {
        "ephemeral": to_base64(message.ephemeral_key),
        "ciphertext": to_base64(message.ciphertext),
        "mac": to_base64(message.mac),
    }


def _opened(decryption: vodozemac.PkDecryption, sealed: Mapping[str, Any]) -> Mapping[str, Any]:
    ephemeral, ciphertext, mac = text_at(sealed, "ephemeral"), text_at(sealed, "ciphertext"), text_at(sealed, "mac")
    if ephemeral is None or ciphertext is None or mac is None:
        raise RemoteProtocolError("a backed-up session is malformed")
    message = vodozemac.Message(from_base64(ciphertext), from_base64(mac), from_base64(ephemeral))
    try:
        return decode_object(decryption.decrypt(message))
    except ValueError as error:
        raise RemoteProtocolError("a backed-up session cannot be opened") from error


def _public_of(secret: str) -> str | None:
    try:
        return to_base64(vodozemac.Curve25519SecretKey.from_base64(secret).public_key().to_bytes())
    except ValueError:
        return None
