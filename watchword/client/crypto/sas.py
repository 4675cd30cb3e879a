"""One run of SAS verification: the key agreement, the string to compare, and the MACs.

Pure and without memory of time; `verification.py` routes messages to it. The order of the exchange is in the
specification; a message that does not belong to the present step is the caller's `m.unexpected_message`.

Spec: client-server-api#short-authentication-string-sas-verification
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import vodozemac

from watchword.client.crypto.sas_emoji import EMOJI
from watchword.client.crypto.signing import is_key
from watchword.client.crypto.untrusted import object_at, text_at, texts_at
from watchword.protocol import canonical_json
from watchword.protocol.unpadded_base64 import encode as to_base64

METHOD = "m.sas.v1"
_AGREEMENT = "curve25519-hkdf-sha256"
_HASH = "sha256"
_MAC = "hkdf-hmac-sha256.v2"
_STRINGS = ("decimal", "emoji")


@dataclass(frozen=True)
class ShortString:
    """What both people compare: three numbers, or seven pictures with their names."""

    decimals: tuple[int, int, int]
    emoji: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Party:
    """One side: its user and device, and the keys it will vouch for (key ID → public key), fixed when the run began."""

    user_id: str
    device_id: str
    keys: Mapping[str, str]


class SasError(Exception):
    """The run must be cancelled with this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def start_content(device_id: str, transaction_id: str) -> dict[str, Any]:
    """The content of our `m.key.verification.start`."""
    return {
        "from_device": device_id,
        "transaction_id": transaction_id,
        "method": METHOD,
        "key_agreement_protocols": [_AGREEMENT],
        "hashes": [_HASH],
        "message_authentication_codes": [_MAC],
        "short_authentication_string": list(_STRINGS),
    }


class Sas:
    """The state of a run. we_started: whether the start message that counts is ours."""

    def __init__(self, ours: Party, theirs: Party, transaction_id: str, start: Mapping[str, Any], *, we_started: bool) -> None:
        self.ours = ours
        self.theirs = theirs
        self.we_started = we_started
        self._transaction_id = transaction_id
        self._start = start
        self._sas = vodozemac.Sas()
        self._public = self._sas.public_key.to_base64()
        self._commitment: str | None = None
        self._their_public: str | None = None
        self._established: vodozemac.EstablishedSas | None = None

    # The exchange

    def accept(self) -> dict[str, Any]:
        """The content of `m.key.verification.accept` for their start. Raises SasError."""
        start = self._start
        if (
            text_at(start, "method") != METHOD
            or _AGREEMENT not in texts_at(start, "key_agreement_protocols")
            or _HASH not in texts_at(start, "hashes")
            or _MAC not in texts_at(start, "message_authentication_codes")
            or "decimal" not in texts_at(start, "short_authentication_string")
        ):
            raise SasError("m.unknown_method")
        return {
            "transaction_id": self._transaction_id,
            "method": METHOD,
            "key_agreement_protocol": _AGREEMENT,
            "hash": _HASH,
            "message_authentication_code": _MAC,
            "short_authentication_string": [
                name for name in _STRINGS if name in texts_at(start, "short_authentication_string")
            ],
            "commitment": self._commitment_to(self._public),
        }

    def receive_accept(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Take in the answer to our start; the content of our `m.key.verification.key`. Raises SasError."""
        if not self.we_started or self._commitment is not None:
            raise SasError("m.unexpected_message")
        if (
            text_at(content, "key_agreement_protocol") != _AGREEMENT
            or text_at(content, "hash") != _HASH
            or text_at(content, "message_authentication_code") != _MAC
        ):
            raise SasError("m.unknown_method")
        self._commitment = text_at(content, "commitment")
        if self._commitment is None:
            raise SasError("m.invalid_message")
        return self._key_content()

    def receive_key(self, content: Mapping[str, Any]) -> dict[str, Any] | None:
        """Take in their public key; the content of our own `key` message if we have not sent it. Raises SasError."""
        their_public = text_at(content, "key")
        if self._established is not None or (self.we_started and self._commitment is None):
            raise SasError("m.unexpected_message")
        if their_public is None or not is_key(their_public):
            raise SasError("m.invalid_message")
        if self._commitment is not None and not hmac.compare_digest(
            self._commitment.encode(), self._commitment_to(their_public).encode()
        ):
            raise SasError("m.mismatched_commitment")
        try:
            self._established = self._sas.diffie_hellman(vodozemac.Curve25519PublicKey.from_base64(their_public))
        except ValueError as error:
            raise SasError("m.invalid_message") from error
        self._their_public = their_public
        return None if self.we_started else self._key_content()

    def _key_content(self) -> dict[str, Any]:
        return {"transaction_id": self._transaction_id, "key": self._public}

    def _commitment_to(self, public: str) -> str:
        return to_base64(hashlib.sha256(public.encode() + canonical_json.encode(self._start)).digest())

    # The comparison

    @property
    def short_string(self) -> ShortString | None:
        """What to show, once both keys are here."""
        if self._established is None or self._their_public is None:
            return None
        sides = [(self.ours, self._public), (self.theirs, self._their_public)]
        if not self.we_started:
            sides.reverse()
        parts = [part for party, public in sides for part in (party.user_id, party.device_id, public)]
        info = "|".join(("MATRIX_KEY_VERIFICATION_SAS", *parts, self._transaction_id))
        secret = self._established.bytes(info)
        return ShortString(secret.decimals, tuple(EMOJI[number] for number in secret.emoji_indices))

    # The MACs

    def mac(self) -> dict[str, Any]:
        """The content of our `m.key.verification.mac`, once the person said that the strings match. Raises SasError."""
        if self._established is None:
            raise SasError("m.unexpected_message")
        info = self._mac_info(self.ours, self.theirs)
        names = ",".join(sorted(self.ours.keys))
        return {
            "transaction_id": self._transaction_id,
            "mac": {key_id: self._established.calculate_mac(key, info + key_id) for key_id, key in self.ours.keys.items()},
            "keys": self._established.calculate_mac(names, info + "KEY_IDS"),
        }

    def check_mac(self, content: Mapping[str, Any]) -> frozenset[str]:
        """The IDs of those of their keys that the MACs prove. Raises SasError if any that we know does not fit."""
        if self._established is None:
            raise SasError("m.unexpected_message")
        info = self._mac_info(self.theirs, self.ours)
        macs = object_at(content, "mac")
        names = text_at(content, "keys")
        if names is None:
            raise SasError("m.invalid_message")
        proven = set()
        try:
            self._established.verify_mac(",".join(sorted(macs)), info + "KEY_IDS", names)
            for key_id, key in self.theirs.keys.items():
                tag = text_at(macs, key_id)
                if tag is not None:
                    self._established.verify_mac(key, info + key_id, tag)
                    proven.add(key_id)
        except ValueError as error:
            raise SasError("m.key_mismatch") from error
        if not proven:
            raise SasError("m.key_mismatch")
        return frozenset(proven)

    def _mac_info(self, sender: Party, receiver: Party) -> str:
        return (
            f"MATRIX_KEY_VERIFICATION_MAC{sender.user_id}{sender.device_id}"
            f"{receiver.user_id}{receiver.device_id}{self._transaction_id}"
        )
