"""This device's own keys: identity, one-time keys, fallback key, and their upload.

One-time keys are kept at half of what vodozemac can hold; a new fallback key is made when the last one was used, but not
twice within an hour, because only two are remembered and messages for the older one may still be on their way.

Spec: client-server-api#one-time-and-fallback-keys
"""

from typing import Any

import msgspec
import vodozemac

from watchword.base.clock import Clock
from watchword.client.crypto.records import Records
from watchword.client.crypto.requests import KeysUpload
from watchword.client.crypto.signing import signed
from watchword.protocol.unpadded_base64 import encode as to_base64

OLM = "m.olm.v1.curve25519-aes-sha2"
MEGOLM = "m.megolm.v1.aes-sha2"
ONE_TIME_KEY = "signed_curve25519"

_FALLBACK_INTERVAL_MS = 3_600_000
_NAME = "self"


class AccountRow(msgspec.Struct, frozen=True):
    """The stored form of the account."""

    user_id: str
    device_id: str
    pickle: str
    device_keys_uploaded: bool = False
    fallback_ts: int = 0


class OwnAccount:
    """The Olm account of this device; also the `Signer` with the device's Ed25519 key."""

    def __init__(self, records: Records, user_id: str, device_id: str, pickle_key: bytes, clock: Clock) -> None:
        self._shelf = records.shelf("account", AccountRow)
        self._pickle_key = pickle_key
        self._clock = clock
        self.user_id = user_id
        self.device_id = device_id
        row = self._shelf.get(_NAME)
        if row is None:
            self.olm = vodozemac.Account()
            self._row = AccountRow(user_id, device_id, self.olm.pickle(pickle_key))
            self._shelf.put(_NAME, self._row)
        else:
            assert (row.user_id, row.device_id) == (user_id, device_id), (row.user_id, row.device_id)
            self.olm = vodozemac.Account.from_pickle(row.pickle, pickle_key)
            self._row = row
        self.ed25519 = self.olm.ed25519_key.to_base64()
        self.curve25519 = self.olm.curve25519_key.to_base64()
        self._upload: KeysUpload | None = None
        self._counts_known = False

    @property
    def key_id(self) -> str:
        return f"ed25519:{self.device_id}"

    def sign(self, message: bytes) -> str:
        return self.olm.sign(message).to_base64()

    def save(self) -> None:
        """Record the account after its private keys changed."""
        self._put(pickle=self.olm.pickle(self._pickle_key))

    def _put(self, **changes: Any) -> None:
        self._row = msgspec.structs.replace(self._row, **changes)
        self._shelf.put(_NAME, self._row)

    def device_keys(self) -> dict[str, Any]:
        """The signed device keys as this device publishes them. Spec: client-server-api#device-keys"""
        keys = {
            "user_id": self.user_id,
            "device_id": self.device_id,
            "algorithms": [OLM, MEGOLM],
            "keys": {f"curve25519:{self.device_id}": self.curve25519, self.key_id: self.ed25519},
        }
        return signed(keys, self.user_id, self)

    def receive_counts(self, one_time_keys: int, *, fallback_unused: bool) -> None:
        """Take in what the server still holds, as /sync tells; make what is missing."""
        self._counts_known = True
        if self._upload is not None:
            return  # The counts may be older than the upload that is under way.
        missing = self.olm.max_number_of_one_time_keys // 2 - one_time_keys - len(self.olm.one_time_keys)
        if missing > 0:
            self.olm.generate_one_time_keys(missing)
        fallback_due = self._clock.now_ms() - self._row.fallback_ts >= _FALLBACK_INTERVAL_MS
        if not fallback_unused and fallback_due and not self._fallback_keys():
            self.olm.generate_fallback_key()  # type: ignore[attr-defined]
            self._put(fallback_ts=self._clock.now_ms())
        if missing > 0 or self._fallback_keys():
            self.save()

    def _fallback_keys(self) -> dict[str, vodozemac.Curve25519PublicKey]:
        keys: dict[str, vodozemac.Curve25519PublicKey] = self.olm.fallback_key  # type: ignore[attr-defined]
        return keys

    def outgoing(self, request_id: str) -> KeysUpload | None:
        """The upload that is due, always the same one until it is answered."""
        if self._upload is None and (body := self._upload_body()):
            self._upload = KeysUpload(request_id, body)
        return self._upload

    def _upload_body(self) -> dict[str, Any]:
        body: dict[str, Any] = {}
        if not self._row.device_keys_uploaded:
            body["device_keys"] = self.device_keys()
        if one_time := self.olm.one_time_keys:
            body["one_time_keys"] = {f"{ONE_TIME_KEY}:{key_id}": self._signed_key(key) for key_id, key in one_time.items()}
        if fallback := self._fallback_keys():
            body["fallback_keys"] = {
                f"{ONE_TIME_KEY}:{key_id}": self._signed_key(key, fallback=True) for key_id, key in fallback.items()
            }
        return body

    def _signed_key(self, key: vodozemac.Curve25519PublicKey, *, fallback: bool = False) -> dict[str, Any]:
        value: dict[str, Any] = {"key": to_base64(key.to_bytes())}
        if fallback:
            value["fallback"] = True
        return signed(value, self.user_id, self)

    def receive_answer(self, request_id: str, one_time_keys: int | None) -> bool:
        """The upload arrived: these keys are published. False if the request is not ours."""
        if self._upload is None or self._upload.request_id != request_id:
            return False
        self._upload = None
        self.olm.mark_keys_as_published()
        self._put(device_keys_uploaded=True, pickle=self.olm.pickle(self._pickle_key))
        if one_time_keys is not None and not self._counts_known:
            self.receive_counts(one_time_keys, fallback_unused=False)
        return True

    def receive_failure(self, request_id: str) -> bool:
        """The upload failed: it will be offered again."""
        if self._upload is None or self._upload.request_id != request_id:
            return False
        self._upload = None
        return True
