"""Files encrypted for a message, and what is refused when they come back."""

import copy
from typing import Any

import pytest

from watchword.base.entropy import SeededEntropy
from watchword.base.errors import RemoteProtocolError
from watchword.client.attachments import AttachmentDecryptor, AttachmentEncryptor, TamperedAttachment, decrypt, encrypt
from watchword.protocol.unpadded_base64 import decode

DATA = b"a picture " * 1_000


def described(data: bytes = DATA) -> tuple[bytes, dict[str, Any]]:
    ciphertext, encryptor = encrypt(data, SeededEntropy(1))
    return ciphertext, encryptor.describe("mxc://x/y")


@pytest.mark.parametrize("data", [b"", b"x", DATA, bytes(1_000_003)])
def test_a_file_is_read_back(data: bytes) -> None:
    ciphertext, file = described(data)
    assert decrypt(ciphertext, file) == data
    assert len(ciphertext) == len(data)


def test_the_description_is_as_specified() -> None:
    _, file = described()
    assert (file["url"], file["v"]) == ("mxc://x/y", "v2")
    assert {key: file["key"][key] for key in ("kty", "alg", "ext")} == {"kty": "oct", "alg": "A256CTR", "ext": True}
    assert decode(file["iv"])[8:] == bytes(8)
    assert "=" not in file["iv"] + file["hashes"]["sha256"] + file["key"]["k"]


def test_no_two_files_share_a_key() -> None:
    entropy = SeededEntropy(1)
    (one, first), (two, second) = encrypt(DATA, entropy), encrypt(DATA, entropy)
    assert one != two
    assert first.describe("")["key"] != second.describe("")["key"]


def test_pieces_are_the_same_as_the_whole() -> None:
    ciphertext, file = described()
    encryptor = AttachmentEncryptor(SeededEntropy(1))
    pieces = [encryptor.update(DATA[start : start + 777]) for start in range(0, len(DATA), 777)]
    assert b"".join(pieces) == ciphertext
    decryptor = AttachmentDecryptor(file)
    for piece in pieces:
        decryptor.check(piece)
    decryptor.verify()
    assert b"".join(decryptor.decrypt(pieces)) == DATA


@pytest.mark.parametrize("position", [0, 5_000, -1])
def test_a_changed_byte_is_noticed(position: int) -> None:
    ciphertext, file = described()
    changed = bytearray(ciphertext)
    changed[position] ^= 1
    with pytest.raises(TamperedAttachment):
        decrypt(bytes(changed), file)


def test_a_shortened_file_is_noticed() -> None:
    ciphertext, file = described()
    with pytest.raises(TamperedAttachment):
        decrypt(ciphertext[:-1], file)


def test_nothing_is_decrypted_before_the_hash_is_checked() -> None:
    ciphertext, file = described()
    with pytest.raises(AssertionError):
        list(AttachmentDecryptor(file).decrypt([ciphertext]))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("v",), "v1"),
        (("v",), None),
        (("key",), "x"),
        (("key", "k"), "AAAA"),
        (("key", "k"), "*"),
        (("key", "kty"), "RSA"),
        (("key", "alg"), "A128CTR"),
        (("key", "key_ops"), ["encrypt"]),
        (("iv",), "AAAA"),
        (("iv",), 5),
        (("hashes",), {}),
        (("hashes", "sha256"), "*"),
    ],
)
def test_a_malformed_description_is_refused(path: tuple[str, ...], value: object) -> None:
    ciphertext, file = described()
    changed = copy.deepcopy(file)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(RemoteProtocolError):
        decrypt(ciphertext, changed)
