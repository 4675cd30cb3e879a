"""Device keys and one-time keys as a client makes them, signed as the specification says."""

import base64
import json
from typing import Any

from nacl.signing import SigningKey


class DeviceKeys:
    """The keys of one device; the curve25519 ones are random bytes: no server can tell."""

    def __init__(self, user_id: str, device_id: str) -> None:
        self._user_id = user_id
        self._device_id = device_id
        self._key = SigningKey.generate()

    def upload(self, one_time_keys: int) -> dict[str, Any]:
        """The body of a keys/upload with the device's keys and so many one-time keys."""
        device = {
            "user_id": self._user_id,
            "device_id": self._device_id,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            "keys": {
                f"curve25519:{self._device_id}": _random_key(),
                f"ed25519:{self._device_id}": _encode(bytes(self._key.verify_key)),
            },
        }
        return {
            "device_keys": self._signed(device),
            "one_time_keys": {
                f"signed_curve25519:AAAA{number:04}": self._signed({"key": _random_key()}) for number in range(one_time_keys)
            },
        }

    def _signed(self, value: dict[str, Any]) -> dict[str, Any]:
        canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        signature = _encode(self._key.sign(canonical).signature)
        return {**value, "signatures": {self._user_id: {f"ed25519:{self._device_id}": signature}}}


def _random_key() -> str:
    return _encode(bytes(SigningKey.generate().verify_key))


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")
