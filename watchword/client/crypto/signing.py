"""Signed JSON with Ed25519 keys that are named by what they are, not by the server.

A signature is always checked against a public key that the caller already holds: key IDs (`ed25519:NAME`) only say where
to look for it. Spec: appendices#signing-json, client-server-api#key-and-signature-security
"""

from collections.abc import Mapping
from typing import Any, Protocol

import vodozemac
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from watchword.base.errors import RemoteProtocolError
from watchword.client.crypto.untrusted import text_at
from watchword.protocol import canonical_json
from watchword.protocol.unpadded_base64 import decode as from_base64
from watchword.protocol.unpadded_base64 import encode as to_base64


class Signer(Protocol):
    """Whoever can sign: a device, or a cross-signing key."""

    @property
    def key_id(self) -> str:
        """The name its signatures carry: `ed25519:` and the device ID or the public key."""
        ...

    def sign(self, message: bytes) -> str:
        """The signature as unpadded base64."""
        ...


class SeedSigner:
    """A cross-signing key, from its 32-byte seed."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = to_base64(self._key.public_key().public_bytes_raw())

    @property
    def key_id(self) -> str:
        return f"ed25519:{self.public}"

    def sign(self, message: bytes) -> str:
        return to_base64(self._key.sign(message))


def signable(value: Mapping[str, Any]) -> bytes:
    """The bytes that a signature of this object covers. Raises RemoteProtocolError if it has no canonical form."""
    return canonical_json.encode({key: part for key, part in value.items() if key not in ("signatures", "unsigned")})


def signed(value: Mapping[str, Any], user_id: str, signer: Signer) -> dict[str, Any]:
    """A copy of the object with one more signature."""
    signatures = {who: dict(keys) for who, keys in value.get("signatures", {}).items()}
    signatures.setdefault(user_id, {})[signer.key_id] = signer.sign(signable(value))
    return {**value, "signatures": signatures}


def is_signed_by(value: Mapping[str, Any], user_id: str, key_name: str, public_key: str) -> bool:
    """Whether the object carries a valid signature of this public key, filed under `user_id` and `ed25519:key_name`."""
    signature = text_at(value, "signatures", user_id, f"ed25519:{key_name}")
    if signature is None or not is_key(public_key):
        return False  # vodozemac must not be given a key of another length: it panics.
    try:
        key = vodozemac.Ed25519PublicKey.from_base64(public_key)
        key.verify_signature(signable(value), vodozemac.Ed25519Signature.from_base64(signature))
    except (ValueError, RemoteProtocolError):
        return False
    return True


def is_key(text: str | None) -> bool:
    """Whether the text is 32 bytes in base64, the form of every public key here."""
    if text is None:
        return False
    try:
        return len(from_base64(text)) == 32
    except RemoteProtocolError:
        return False
