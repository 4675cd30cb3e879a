"""Invites by third-party identifier: the identity server's signature proves who the invited address belongs to.

Deliberately absent: talking to identity servers.

Spec: rooms/v12#authorization-rules (rule 5.4.1), client-server-api#third-party-invites
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from watchword.base import limits
from watchword.base.errors import ProtocolError
from watchword.protocol import unpadded_base64
from watchword.protocol.auth_state import AuthState
from watchword.protocol.events import Pdu
from watchword.protocol.signatures import signable_json


def check(pdu: Pdu, target: str, state: AuthState) -> str | None:
    """Why this invite with `third_party_invite` is not allowed in this room state, or None."""
    invite = pdu.content["third_party_invite"]
    signed = invite.get("signed") if isinstance(invite, Mapping) else None
    if not isinstance(signed, Mapping):
        return "The third-party invite is not signed."
    token = signed.get("token")
    if not isinstance(token, str) or "mxid" not in signed:
        return "The third-party invite lacks mxid or token."
    if signed["mxid"] != target:
        return "The third-party invite is for another user."
    promised = state.third_party_invite(token)
    if promised is None:
        return "The room has no third-party invite with this token."
    if promised.sender != pdu.sender:
        return "The third-party invite was made by another user."
    if not is_signed_by_any(signed, public_keys(promised.content)):
        return "No signature of the third-party invite is valid."
    return None


def public_keys(content: Mapping[str, Any]) -> Iterator[bytes]:
    """The Ed25519 public keys that an m.room.third_party_invite names."""
    listed = content.get("public_keys")
    entries = [content, *(listed if isinstance(listed, list | tuple) else ())]
    for entry in entries:
        key = _decoded(entry.get("public_key")) if isinstance(entry, Mapping) else None
        if key is not None and len(key) == 32:
            yield key


def is_signed_by_any(signed: Mapping[str, Any], keys: Iterator[bytes]) -> bool:
    """Whether any Ed25519 signature in `signed` fits any of the keys, whatever names they go by.

    Tries at most `third_party_invite_keys_max` keys and signatures each: whoever needs more is not serious.
    """
    signatures = list(islice(_signatures(signed), limits.third_party_invite_keys_max))
    if not signatures:
        return False
    try:
        message = signable_json(signed)
    except ProtocolError:
        return False
    return any(
        _fits(key, signature, message) for key in islice(keys, limits.third_party_invite_keys_max) for signature in signatures
    )


def _signatures(signed: Mapping[str, Any]) -> Iterator[bytes]:
    servers = signed.get("signatures")
    for by_key in servers.values() if isinstance(servers, Mapping) else ():
        for key_id, text in by_key.items() if isinstance(by_key, Mapping) else ():
            signature = _decoded(text) if key_id.startswith("ed25519:") else None
            if signature is not None and len(signature) == 64:
                yield signature


def _decoded(text: object) -> bytes | None:
    if not isinstance(text, str):
        return None
    try:
        return unpadded_base64.decode_url(text) if "-" in text or "_" in text else unpadded_base64.decode(text)
    except ProtocolError:
        return None


def _fits(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        VerifyKey(key).verify(message, signature)
    except BadSignatureError:
        return False
    return True
