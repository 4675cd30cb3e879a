"""What another server's key answer says, pure: its shape, its own signature, and when a key may be used.

Spec: server-server-api#retrieving-server-keys
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

from watchword.base import limits
from watchword.base.errors import RemoteProtocolError
from watchword.protocol.ids import ServerName
from watchword.protocol.signatures import VerifyKey, signable_json, signatures_of

VALIDITY_MOST_MS = 604_800_000


@dataclass(frozen=True, slots=True)
class ServerKey:
    """A public key of a server. expired_ts: None for a current key."""

    verify_key: VerifyKey
    valid_until_ts: int
    expired_ts: int | None

    def usable_at(self, ts: int) -> bool:
        """Whether it may have signed at that time."""
        return ts <= self.valid_until_ts if self.expired_ts is None else ts < self.expired_ts


@dataclass(frozen=True, slots=True)
class KeyAnswer:
    """A key answer whose own signature holds."""

    keys: Mapping[str, ServerKey]
    valid_until_ts: int


def read_key_answer(answer: object, server_name: ServerName, now_ms: int) -> KeyAnswer | str:
    """Check a key answer of that server; a string says what is wrong with it.

    "Servers MUST use the lesser of valid_until_ts and 7 days into the future."
    """
    if not isinstance(answer, dict) or answer.get("server_name") != server_name:
        return "it is about another server"
    until = answer.get("valid_until_ts")
    current, old = answer.get("verify_keys"), answer.get("old_verify_keys", {})
    if not _is_ts(until) or not isinstance(current, dict) or not isinstance(old, dict):
        return "it is malformed"
    if not 0 < len(current) <= limits.keys_per_server_max or len(old) > limits.keys_per_server_max:
        return "it has no keys, or too many"
    until = min(until, now_ms + VALIDITY_MOST_MS)
    keys: dict[str, ServerKey] = {}
    for key_id, entry in old.items():
        key = _read_key(key_id, entry)
        if key is not None and _is_ts(entry.get("expired_ts")):
            keys[key_id] = ServerKey(key, 0, entry["expired_ts"])
    signed = False
    message = signable_json(answer)
    signatures = signatures_of(answer, server_name)
    for key_id, entry in current.items():
        key = _read_key(key_id, entry)
        if key is None:
            continue
        keys[key_id] = ServerKey(key, until, None)
        if key_id in signatures:
            if not key.verify(message, signatures[key_id]):
                return "its signature is wrong"
            signed = True
    return KeyAnswer(keys, until) if signed else "it is not signed by its own keys"


def _is_ts(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limits.canonical_integer_max


def _read_key(key_id: object, entry: object) -> VerifyKey | None:
    """One key; None if it is of another algorithm or broken: others of the same answer may still serve."""
    if not isinstance(key_id, str) or len(key_id) > limits.identifier_bytes_max or not isinstance(entry, dict):
        return None
    text = entry.get("key")
    try:
        return VerifyKey.from_base64(key_id, text) if isinstance(text, str) else None
    except RemoteProtocolError:
        return None
