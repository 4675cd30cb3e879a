"""Device keys and one-time keys as a client makes them, signed as the specification says."""

import base64
import hashlib
import json
import secrets
from typing import Any

from nacl.signing import SigningKey


class DeviceKeys:
    """The keys of one device; the curve25519 ones are any bytes: no server can tell."""

    def __init__(self, user_id: str, device_id: str) -> None:
        self._user_id = user_id
        self._device_id = device_id
        # The same in every round: a device's keys do not change.
        self._key = SigningKey(hashlib.sha256(f"{user_id} {device_id}".encode()).digest())

    def device(self) -> dict[str, Any]:
        """The body of a keys/upload with the keys of the device."""
        device = {
            "user_id": self._user_id,
            "device_id": self._device_id,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": {
                f"curve25519:{self._device_id}": _encode(bytes(self._key)),
                f"ed25519:{self._device_id}": _encode(bytes(self._key.verify_key)),
            },
        }
        return {"device_keys": self._signed(device)}

    def one_time(self, count: int) -> dict[str, Any]:
        """The body of a keys/upload with so many new one-time keys."""
        names = (f"signed_curve25519:{secrets.token_hex(4)}" for _ in range(count))
        return {"one_time_keys": {name: self._signed({"key": _random_key()}) for name in names}}

    def _signed(self, value: dict[str, Any]) -> dict[str, Any]:
        canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        signature = _encode(self._key.sign(canonical).signature)
        return {**value, "signatures": {self._user_id: {f"ed25519:{self._device_id}": signature}}}


def _random_key() -> str:
    return _encode(bytes(SigningKey.generate().verify_key))


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")
