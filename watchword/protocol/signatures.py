"""Ed25519 signatures of JSON objects and of events.

A refusal is returned (False), not raised: a missing, malformed or wrong signature are the same "no".
Deliberately absent: fetching keys, and deciding which key was valid when. Keys and messages are never logged.

Spec: appendices#signing-json, server-server-api#signing-events
"""

from collections.abc import Callable, Mapping
from typing import Any

from nacl.bindings import crypto_sign, crypto_sign_BYTES, crypto_sign_open, crypto_sign_PUBLICKEYBYTES, crypto_sign_seed_keypair
from nacl.exceptions import CryptoError

from watchword.base.errors import RemoteProtocolError
from watchword.protocol import canonical_json, event_types, unpadded_base64
from watchword.protocol.ids import KeyId, ServerName, domain_of, parse_key_id
from watchword.protocol.redaction import redact
from watchword.protocol.room_versions import RoomVersion

ALGORITHM = "ed25519"


class VerifyKey:
    """A public key with its identifier.

    public_key: 32 bytes. Raises RemoteProtocolError for another length or an algorithm other than ed25519.
    """

    __slots__ = ("key_id", "public_key")

    def __init__(self, key_id: str, public_key: bytes) -> None:
        if len(public_key) != crypto_sign_PUBLICKEYBYTES or not key_id.startswith(ALGORITHM + ":"):
            raise RemoteProtocolError("This is not an Ed25519 public key.")
        self.key_id: KeyId = parse_key_id(key_id)
        self.public_key = public_key

    @classmethod
    def from_base64(cls, key_id: str, text: str) -> "VerifyKey":
        """Read a key as servers publish it."""
        return cls(key_id, unpadded_base64.decode(text))

    def to_base64(self) -> str:
        """The key as servers publish it."""
        return unpadded_base64.encode(self.public_key)

    def verify(self, message: bytes, signature: str) -> bool:
        """Whether `signature` (base64) is this key's signature of the message."""
        try:
            data = unpadded_base64.decode(signature)
            if len(data) != crypto_sign_BYTES:
                return False
            crypto_sign_open(data + message, self.public_key)
        except (RemoteProtocolError, CryptoError):
            return False
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerifyKey) and (self.key_id, self.public_key) == (other.key_id, other.public_key)

    def __hash__(self) -> int:
        return hash((self.key_id, self.public_key))


class SigningKey:
    """A private key with its identifier, `ed25519:<name>`.

    seed: 32 bytes, secret; what storage keeps. `repr` does not show it.
    """

    __slots__ = ("_secret", "_seed", "key_id", "verify_key")

    def __init__(self, seed: bytes, name: str) -> None:
        public_key, self._secret = crypto_sign_seed_keypair(seed)
        self._seed = seed
        self.key_id: KeyId = parse_key_id(f"{ALGORITHM}:{name}")
        self.verify_key = VerifyKey(self.key_id, public_key)

    def export_seed(self) -> bytes:
        """The secret, for storage only."""
        return self._seed

    def sign(self, message: bytes) -> str:
        """The signature of the message in unpadded base64."""
        return unpadded_base64.encode(crypto_sign(message, self._secret)[:crypto_sign_BYTES])


def signable_json(value: Mapping[str, Any]) -> bytes:
    """The bytes that a signature of a JSON object covers: without `signatures` and `unsigned`."""
    return canonical_json.encode({k: v for k, v in value.items() if k not in ("signatures", "unsigned")}, strict=False)


def signable_event(raw: Mapping[str, Any], version: RoomVersion) -> bytes:
    """The bytes that an event's signatures cover, and whose SHA-256 is its reference hash: redacted, then as JSON."""
    redacted = redact(raw, version)
    redacted.pop("signatures", None)
    if version.strict_canonical_json:
        return canonical_json.encode_checked(redacted)
    return canonical_json.encode(redacted, strict=False)


def signatures_of(value: Mapping[str, Any], server_name: str) -> Mapping[str, str]:
    """Key identifier to signature (base64) of one server or user in a signed object; malformed parts are left out.

    A policy server signs as its own server with the key `ed25519:policy_server`, which is no signing key of that server.
    """
    everybody = value.get("signatures")
    own = everybody.get(server_name) if isinstance(everybody, dict) else None
    if not isinstance(own, dict):
        return {}
    return {key_id: signature for key_id, signature in own.items() if isinstance(signature, str)}


def add_signature(value: Mapping[str, Any], server_name: str, key_id: str, signature: str) -> dict[str, Any]:
    """The same object with one signature more, as a new dict; those of others stay, also those of the same server.

    Signatures of the wrong form, which nobody could check, are dropped.
    """
    everybody = value.get("signatures")
    others = everybody if isinstance(everybody, dict) else {}
    return {**value, "signatures": {**others, server_name: {**signatures_of(value, server_name), key_id: signature}}}


def sign_json(value: Mapping[str, Any], server_name: str, key: SigningKey) -> dict[str, Any]:
    """A copy of the object with our signature. Spec: appendices#signing-details"""
    return add_signature(value, server_name, key.key_id, key.sign(signable_json(value)))


def verify_json(value: Mapping[str, Any], server_name: str, key: VerifyKey) -> bool:
    """Whether the object carries a valid signature of that server by that key. Spec: appendices#checking-for-a-signature"""
    return _verify(value, server_name, key, signable_json)


def sign_event(raw: Mapping[str, Any], version: RoomVersion, server_name: str, key: SigningKey) -> dict[str, Any]:
    """A copy of the event with our signature; its content hash must be there already.

    Spec: server-server-api#signing-events
    """
    return add_signature(raw, server_name, key.key_id, key.sign(signable_event(raw, version)))


def verify_event(raw: Mapping[str, Any], version: RoomVersion, server_name: str, key: VerifyKey) -> bool:
    """Whether the event carries a valid signature of that server by that key."""
    return _verify(raw, server_name, key, lambda event: signable_event(event, version))


def _verify(value: Mapping[str, Any], server_name: str, key: VerifyKey, signable: Callable[[Mapping[str, Any]], bytes]) -> bool:
    signature = signatures_of(value, server_name).get(key.key_id)
    if signature is None:
        return False
    try:
        return key.verify(signable(value), signature)
    except RemoteProtocolError:
        return False


def required_signers(raw: Mapping[str, Any], version: RoomVersion) -> frozenset[ServerName]:
    """The servers that must each have signed this event (whose format has been checked) with one of their keys.

    Spec: server-server-api#validating-hashes-and-signatures-on-received-events
    """
    signers = set()
    content = raw["content"]
    is_member = raw["type"] == event_types.MEMBER
    # "unless the invite was created as a result of a 3rd-party invite. The sender must already match the third-party
    # invite, and the event ID and signature of the third-party invite are checked by the authorisation rules."
    if not (is_member and content.get("membership") == "invite" and "third_party_invite" in content):
        signers.add(domain_of(raw["sender"]))
    if version.event_ids_in_events:
        signers.add(domain_of(raw["event_id"]))
    if version.restricted_joins and is_member and content.get("membership") == "join":
        authorising_user = content.get("join_authorised_via_users_server")
        if isinstance(authorising_user, str):
            signers.add(domain_of(authorising_user))
    return frozenset(signers)
