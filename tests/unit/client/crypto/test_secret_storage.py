"""Recovery keys and the secrets that they open."""

import copy
from typing import Any

import pytest

from watchword.base.entropy import SeededEntropy
from watchword.base.errors import RemoteProtocolError
from watchword.client.crypto.failures import WrongRecoveryKey
from watchword.client.crypto.secret_storage import (
    StorageKey,
    create_storage,
    decode_recovery_key,
    decrypt_secret,
    description_type,
    encode_recovery_key,
    encrypt_secret,
    open_storage,
)
from watchword.protocol.unpadded_base64 import decode

# Alice's secret key of RFC 7748, and how other clients write it.
KEY = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
TEXT = "EsTc LW2K PGiF wKEA 3As5 g5c4 BXwk qeeJ ZJV8 Q9fu gUMN UE4d"


def test_a_key_is_written_as_other_clients_write_it() -> None:
    assert encode_recovery_key(KEY) == TEXT


@pytest.mark.parametrize("text", [TEXT, TEXT.replace(" ", ""), f"\n {TEXT}\t"])
def test_a_key_is_read_whatever_its_spaces(text: str) -> None:
    assert decode_recovery_key(text) == KEY


@pytest.mark.parametrize(
    "text", ["", "1", "0OIl", TEXT[:-1], TEXT + "1", TEXT.replace("L", "M"), "z" * 48, "z" * 1_000_000, "EsTc é"]
)
def test_a_typing_error_is_noticed(text: str) -> None:
    with pytest.raises(WrongRecoveryKey):
        decode_recovery_key(text)


def test_every_key_is_read_back() -> None:
    entropy = SeededEntropy(1)
    for _ in range(200):
        key = entropy.random_bytes(32)
        assert decode_recovery_key(encode_recovery_key(key)) == key


def test_a_storage_is_opened_by_its_recovery_key_alone() -> None:
    storage, description = create_storage(SeededEntropy(1))
    assert open_storage(storage.key_id, description, encode_recovery_key(storage.key)) == storage
    with pytest.raises(WrongRecoveryKey):
        open_storage(storage.key_id, description, TEXT)


def test_a_description_with_padding_or_without_a_check_is_accepted() -> None:
    storage, description = create_storage(SeededEntropy(1))
    text = encode_recovery_key(storage.key)
    padded = {**description, "iv": description["iv"] + "==", "mac": description["mac"] + "="}
    assert open_storage("k", padded, text).key == storage.key
    assert open_storage("k", {"algorithm": description["algorithm"]}, TEXT).key == KEY


def test_a_passphrase_opens_a_storage_made_from_it() -> None:
    parameters = {"algorithm": "m.pbkdf2", "salt": "MmMsAlty", "iterations": 1_000, "bits": 256}
    opened = open_storage("k", {"algorithm": "m.secret_storage.v1.aes-hmac-sha2", "passphrase": parameters}, "a phrase")
    assert len(opened.key) == 32


@pytest.mark.parametrize(
    "changes", [{"iterations": 10**12}, {"iterations": 0}, {"bits": 512}, {"algorithm": "other"}, {"salt": 1}]
)
def test_unreasonable_passphrase_parameters_are_refused(changes: dict[str, Any]) -> None:
    parameters = {"algorithm": "m.pbkdf2", "salt": "s", "iterations": 1_000, **changes}
    with pytest.raises(WrongRecoveryKey):
        open_storage("k", {"algorithm": "m.secret_storage.v1.aes-hmac-sha2", "passphrase": parameters}, "a phrase")


@pytest.mark.parametrize(
    "description",
    [{}, {"algorithm": "org.example"}, {"algorithm": "m.secret_storage.v1.aes-hmac-sha2", "iv": "*", "mac": "*"}],
)
def test_an_unknown_or_malformed_description_is_refused(description: dict[str, Any]) -> None:
    with pytest.raises(WrongRecoveryKey):
        open_storage("k", description, TEXT)


def test_a_secret_is_read_back() -> None:
    storage = StorageKey("k", KEY)
    content = encrypt_secret(storage, "m.cross_signing.master", "the secret", SeededEntropy(1))
    assert "the secret" not in repr(content)
    assert decrypt_secret(storage, "m.cross_signing.master", content) == "the secret"


def test_a_secret_under_another_name_or_key_is_refused() -> None:
    storage = StorageKey("k", KEY)
    content = encrypt_secret(storage, "one", "the secret", SeededEntropy(1))
    for other, name in ((storage, "two"), (StorageKey("k", bytes(32)), "one"), (StorageKey("other", KEY), "one")):
        with pytest.raises(RemoteProtocolError):
            decrypt_secret(other, name, content)


def test_a_secret_that_was_tampered_with_is_refused() -> None:
    storage = StorageKey("k", KEY)
    content = copy.deepcopy(dict(encrypt_secret(storage, "one", "the secret", SeededEntropy(1))))
    content["encrypted"]["k"]["ciphertext"] = "AAAAAAAAAAAAAA"
    with pytest.raises(RemoteProtocolError):
        decrypt_secret(storage, "one", content)


def test_the_counter_begins_with_bit_63_cleared() -> None:
    for seed in range(50):
        _, description = create_storage(SeededEntropy(seed))
        assert decode(description["iv"])[8] < 0x80


def test_a_storage_key_does_not_show_itself() -> None:
    assert "w" not in repr(StorageKey("k", b"w" * 32)).replace("StorageKey", "")
    assert description_type("k") == "m.secret_storage.key.k"
