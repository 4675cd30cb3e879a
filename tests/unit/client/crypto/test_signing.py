"""Signed JSON, checked against keys that the caller holds."""

import json
from pathlib import Path

import pytest

from watchword.client.crypto.signing import SeedSigner, is_key, is_signed_by, signable, signed
from watchword.protocol.unpadded_base64 import decode

_DATA = Path(__file__).parents[3] / "data"
USER = "@a:b"
SIGNER = SeedSigner(bytes(range(32)))


def test_a_signature_is_accepted_from_its_key_alone() -> None:
    value = signed({"x": 1}, USER, SIGNER)
    assert is_signed_by(value, USER, SIGNER.public, SIGNER.public)
    assert not is_signed_by(value, USER, SIGNER.public, SeedSigner(bytes(32)).public)
    assert not is_signed_by(value, "@other:b", SIGNER.public, SIGNER.public)


def test_unsigned_data_is_not_covered() -> None:
    value = signed({"x": 1, "unsigned": {"y": 2}}, USER, SIGNER)
    assert is_signed_by({**value, "unsigned": {"y": 3}}, USER, SIGNER.public, SIGNER.public)
    assert not is_signed_by({**value, "x": 2}, USER, SIGNER.public, SIGNER.public)


def test_signatures_of_others_are_kept() -> None:
    other = SeedSigner(bytes(32))
    value = signed(signed({"x": 1}, USER, SIGNER), USER, other)
    assert is_signed_by(value, USER, SIGNER.public, SIGNER.public)
    assert is_signed_by(value, USER, other.public, other.public)


def test_what_is_signed_is_canonical() -> None:
    assert signable({"b": 1, "a": "é", "signatures": {}}) == '{"a":"é","b":1}'.encode()


@pytest.mark.parametrize("value", [{}, {"signatures": 5}, {"signatures": {USER: {f"ed25519:{SIGNER.public}": "*"}}}])
def test_a_missing_or_malformed_signature_is_no(value: dict[str, object]) -> None:
    assert not is_signed_by(value, USER, SIGNER.public, SIGNER.public)


@pytest.mark.parametrize("key", ["", "AAAA", SIGNER.public + "AA", "\ud800", "é" * 43, "A" * 44])
def test_a_key_of_another_length_is_no_key(key: str) -> None:
    assert not is_key(key)
    assert not is_signed_by(signed({}, USER, SIGNER), USER, SIGNER.public, key)


def test_a_value_without_canonical_form_is_not_signed() -> None:
    value = signed({"x": 1}, USER, SIGNER)
    assert not is_signed_by({**value, "x": 1.5}, USER, SIGNER.public, SIGNER.public)


def test_the_vectors_of_the_specification_are_met() -> None:
    vectors = json.loads((_DATA / "vectors" / "signing.json").read_text(encoding="utf-8"))
    signer = SeedSigner(decode(vectors["seed_unpadded_base64"]))
    assert signer.public == vectors["public_key_unpadded_base64"]
    for vector in vectors["json"]:
        expected = vector["signed"]["signatures"][vectors["server_name"]][vectors["key_id"]]
        assert signer.sign(signable(vector["input"])) == expected
