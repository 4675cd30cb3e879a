import json
from pathlib import Path

import pytest

from watchword.base.errors import RemoteProtocolError
from watchword.protocol import unpadded_base64

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "vectors" / "unpadded-base64.json").read_text())


@pytest.mark.parametrize(("text", "encoded"), VECTORS["standard"])
def test_the_standard_alphabet_follows_the_examples(text: str, encoded: str) -> None:
    assert unpadded_base64.encode(text.encode()) == encoded
    assert unpadded_base64.decode(encoded) == text.encode()


@pytest.mark.parametrize("case", VECTORS["url_safe"])
def test_the_url_safe_alphabet_follows_the_examples(case: dict[str, str]) -> None:
    data = bytes.fromhex(case["hex"])
    assert unpadded_base64.encode(data) == case["standard"]
    assert unpadded_base64.encode_url(data) == case["url_safe"]
    assert unpadded_base64.decode_url(case["url_safe"]) == data


def test_padding_is_read() -> None:
    assert unpadded_base64.decode("Zg==") == b"f"
    assert unpadded_base64.decode_url("-_8=") == b"\xfb\xff"


def test_bits_left_over_are_ignored() -> None:
    assert unpadded_base64.decode("Zh") == b"f"


@pytest.mark.parametrize("text", ["A", "Zg=a", "Z g", "Zg\n", "é", "-_8", "Zg==Zg", "\ud800", "====a"])
def test_other_characters_and_lengths_are_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        unpadded_base64.decode(text)


@pytest.mark.parametrize("text", ["+/8", "A", "é"])
def test_the_url_safe_reader_refuses_the_standard_alphabet(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        unpadded_base64.decode_url(text)
