"""Encrypted attachments: a file becomes ciphertext for anybody's server and an `EncryptedFile` for the message.

AES-256-CTR with a key and a counter block used once (the last eight bytes of the block begin at zero), SHA-256 over the
ciphertext. CTR does not authenticate, so `decrypt` releases nothing before the whole hash has been checked.

Pure: chance is an argument, transport is elsewhere. Spec: client-server-api#sending-encrypted-attachments
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from watchword.base.entropy import Entropy
from watchword.base.errors import RemoteProtocolError, WatchwordError
from watchword.client.crypto.untrusted import text_at, texts_at
from watchword.protocol.unpadded_base64 import decode as from_base64
from watchword.protocol.unpadded_base64 import decode_url, encode_url
from watchword.protocol.unpadded_base64 import encode as to_base64

_VERSION = "v2"


class TamperedAttachment(WatchwordError):
    """The ciphertext is not the one that the message describes."""


class AttachmentEncryptor:
    """Encrypts one file, piece by piece; `describe` afterwards. Never used twice."""

    def __init__(self, entropy: Entropy) -> None:
        self._key = entropy.random_bytes(32)
        self._counter = entropy.random_bytes(8) + bytes(8)
        self._cipher = Cipher(algorithms.AES(self._key), modes.CTR(self._counter)).encryptor()
        self._hash = hashlib.sha256()

    def update(self, piece: bytes) -> bytes:
        """The ciphertext of the next piece."""
        ciphertext = self._cipher.update(piece)
        self._hash.update(ciphertext)
        return ciphertext

    def describe(self, uri: str) -> dict[str, Any]:
        """The `file` object of the message, once everything was encrypted and uploaded to this mxc URI."""
        return {
            "url": uri,
            "v": _VERSION,
            "key": {
                "kty": "oct",
                "key_ops": ["encrypt", "decrypt"],
                "alg": "A256CTR",
                "k": encode_url(self._key),
                "ext": True,
            },
            "iv": to_base64(self._counter),
            "hashes": {"sha256": to_base64(self._hash.digest())},
        }


class AttachmentDecryptor:
    """Checks, then decrypts one file. Feed `check` all of the ciphertext, call `verify`, then `decrypt` it.

    Raises RemoteProtocolError when the description is malformed.
    """

    def __init__(self, file: Mapping[str, Any]) -> None:
        key, counter = text_at(file, "key", "k"), text_at(file, "iv")
        digest = text_at(file, "hashes", "sha256")
        if text_at(file, "v") != _VERSION or key is None or counter is None or digest is None:
            raise RemoteProtocolError("an encrypted file is described in a way that we do not know")
        if text_at(file, "key", "kty") != "oct" or text_at(file, "key", "alg") != "A256CTR":
            raise RemoteProtocolError("an encrypted file has a key that we do not know")
        if "decrypt" not in texts_at(file, "key", "key_ops"):
            raise RemoteProtocolError("an encrypted file has a key that is not for decrypting")
        key_bytes, counter_bytes = decode_url(key), from_base64(counter)
        if len(key_bytes) != 32 or len(counter_bytes) != 16:
            raise RemoteProtocolError("an encrypted file has a key or counter of the wrong length")
        self._cipher = Cipher(algorithms.AES(key_bytes), modes.CTR(counter_bytes)).decryptor()
        self._expected = from_base64(digest)
        self._hash = hashlib.sha256()
        self._verified = False

    def check(self, piece: bytes) -> None:
        """Take in the next piece of ciphertext."""
        self._hash.update(piece)

    def verify(self) -> None:
        """All of it was checked. Raises TamperedAttachment."""
        if not hmac.compare_digest(self._hash.digest(), self._expected):
            raise TamperedAttachment("the hash of an attachment does not match")
        self._verified = True

    def decrypt(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The plaintext of the same pieces, in the same order."""
        assert self._verified
        for piece in pieces:
            yield self._cipher.update(piece)


def encrypt(data: bytes, entropy: Entropy) -> tuple[bytes, AttachmentEncryptor]:
    """Encrypt a whole file; its ciphertext, and what will describe it once its URI is known."""
    encryptor = AttachmentEncryptor(entropy)
    return encryptor.update(data), encryptor


def decrypt(ciphertext: bytes, file: Mapping[str, Any]) -> bytes:
    """Decrypt a whole file. Raises TamperedAttachment, RemoteProtocolError."""
    decryptor = AttachmentDecryptor(file)
    decryptor.check(ciphertext)
    decryptor.verify()
    return b"".join(decryptor.decrypt([ciphertext]))
