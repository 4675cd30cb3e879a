"""Secrets on the server that the server cannot read, and the recovery key that opens them.

Pure functions over account data. Only `m.secret_storage.v1.aes-hmac-sha2` exists; keys from passphrases of other clients
(`m.pbkdf2`) can be used for opening, new storage always has a random key.

Spec: client-server-api#secrets, appendices#cryptographic-key-representation
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from watchword.base.entropy import Entropy
from watchword.base.errors import RemoteProtocolError
from watchword.client.crypto.failures import WrongRecoveryKey
from watchword.client.crypto.untrusted import integer_at, object_at, text_at
from watchword.protocol.unpadded_base64 import decode as from_base64
from watchword.protocol.unpadded_base64 import encode as to_base64

ALGORITHM = "m.secret_storage.v1.aes-hmac-sha2"
DEFAULT_KEY = "m.secret_storage.default_key"

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_PREFIX = b"\x8b\x01"
_KEY_BYTES = 32
_ITERATIONS_MAX = 10_000_000


@dataclass(frozen=True)
class StorageKey:
    """An opened secret storage: the ID of its key and the key."""

    key_id: str
    key: bytes

    def __repr__(self) -> str:
        return f"StorageKey({self.key_id!r})"


def description_type(key_id: str) -> str:
    """The account data type that describes a key."""
    return f"m.secret_storage.key.{key_id}"


# The recovery key: a key as a person can write it down


def encode_recovery_key(key: bytes) -> str:
    """Write a 32-byte key in base58 with its prefix and parity, in groups of four."""
    data = _PREFIX + key
    data += bytes([reduce(xor, data)])
    number, text = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def decode_recovery_key(text: str) -> bytes:
    """Read a key, whatever the spaces. Raises WrongRecoveryKey."""
    number = 0
    compact = "".join(text.split())
    if len(compact) > 64:
        raise WrongRecoveryKey("a recovery key is shorter than this")
    for character in compact:
        digit = _ALPHABET.find(character)
        if digit < 0:
            raise WrongRecoveryKey("a recovery key has no such character")
        number = number * 58 + digit
    size = len(_PREFIX) + _KEY_BYTES + 1
    if number.bit_length() > 8 * size:
        raise WrongRecoveryKey("a recovery key is shorter than this")
    data = number.to_bytes(size)
    if not data.startswith(_PREFIX) or reduce(xor, data) != 0:
        raise WrongRecoveryKey("this is not a recovery key, or it has a typing error")
    return data[len(_PREFIX) : -1]


# Making and opening a storage


def create_storage(entropy: Entropy) -> tuple[StorageKey, Mapping[str, Any]]:
    """Make a new key and its description for account data."""
    storage = StorageKey(
        entropy.letters(32, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), entropy.random_bytes(_KEY_BYTES)
    )
    iv = _iv(entropy)
    return storage, {
        "algorithm": ALGORITHM,
        "name": "Watchword",
        "iv": to_base64(iv),
        "mac": to_base64(_check(storage.key, iv)),
    }


def open_storage(key_id: str, description: Mapping[str, Any], recovery_key: str) -> StorageKey:
    """Check a recovery key (or the passphrase, if the key was made from one) against the key's description.

    Raises WrongRecoveryKey.
    """
    if text_at(description, "algorithm") != ALGORITHM:
        raise WrongRecoveryKey("the secret storage uses an algorithm that we do not know")
    try:
        key = decode_recovery_key(recovery_key)
    except WrongRecoveryKey:
        key = _key_from_passphrase(object_at(description, "passphrase"), recovery_key)
    iv, mac = text_at(description, "iv"), text_at(description, "mac")
    if iv is not None and mac is not None:
        try:
            fits = hmac.compare_digest(_check(key, from_base64(iv)), from_base64(mac))
        except (RemoteProtocolError, ValueError) as error:
            raise WrongRecoveryKey("the secret storage is malformed") from error
        if not fits:
            raise WrongRecoveryKey("this recovery key does not open this secret storage")
    return StorageKey(key_id, key)


def _key_from_passphrase(parameters: Mapping[str, Any], passphrase: str) -> bytes:
    salt, iterations = text_at(parameters, "salt"), integer_at(parameters, "iterations")
    if text_at(parameters, "algorithm") != "m.pbkdf2" or salt is None or iterations is None:
        raise WrongRecoveryKey("this is not a recovery key, or it has a typing error")
    if not 0 < iterations <= _ITERATIONS_MAX or integer_at(parameters, "bits") not in (None, 8 * _KEY_BYTES):
        raise WrongRecoveryKey("the secret storage asks for too much work")
    return hashlib.pbkdf2_hmac("sha512", passphrase.encode(), salt.encode(), iterations, _KEY_BYTES)


# Secrets


def encrypt_secret(storage: StorageKey, name: str, secret: str, entropy: Entropy) -> Mapping[str, Any]:
    """The account data content of type `name` that holds the secret."""
    aes_key, mac_key = _keys(storage.key, name)
    iv = _iv(entropy)
    ciphertext = _aes_ctr(aes_key, iv, secret.encode())
    mac = hmac.digest(mac_key, ciphertext, "sha256")
    sealed = {"iv": to_base64(iv), "ciphertext": to_base64(ciphertext), "mac": to_base64(mac)}
    return {"encrypted": {storage.key_id: sealed}}


def decrypt_secret(storage: StorageKey, name: str, content: Mapping[str, Any]) -> str:
    """Open a secret. Raises RemoteProtocolError if it is not stored under this key or was tampered with."""
    sealed = object_at(content, "encrypted", storage.key_id)
    iv, ciphertext, mac = text_at(sealed, "iv"), text_at(sealed, "ciphertext"), text_at(sealed, "mac")
    if iv is None or ciphertext is None or mac is None:
        raise RemoteProtocolError("a secret is not stored under this key")
    aes_key, mac_key = _keys(storage.key, name)
    data = from_base64(ciphertext)
    if not hmac.compare_digest(hmac.digest(mac_key, data, "sha256"), from_base64(mac)):
        raise RemoteProtocolError("a secret was tampered with")
    try:
        return _aes_ctr(aes_key, from_base64(iv), data).decode()
    except ValueError as error:
        raise RemoteProtocolError("a secret is malformed") from error


def _check(key: bytes, iv: bytes) -> bytes:
    """The MAC by which a key is recognised: of 32 zero bytes encrypted with it, for no secret."""
    aes_key, mac_key = _keys(key, "")
    return hmac.digest(mac_key, _aes_ctr(aes_key, iv, bytes(32)), "sha256")


def _keys(key: bytes, name: str) -> tuple[bytes, bytes]:
    derived = HKDF(SHA256(), 64, salt=bytes(32), info=name.encode()).derive(key)
    return derived[:32], derived[32:]


def _iv(entropy: Entropy) -> bytes:
    """Sixteen random bytes with bit 63 cleared, because implementations of AES-CTR differ there."""
    iv = bytearray(entropy.random_bytes(16))
    iv[8] &= 0x7F
    return bytes(iv)


def _aes_ctr(key: bytes, iv: bytes, data: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor()
    return cipher.update(data) + cipher.finalize()
