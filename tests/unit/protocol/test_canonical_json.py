import json
from pathlib import Path
from typing import Any

import pytest

from watchword.base import limits
from watchword.base.errors import RemoteProtocolError
from watchword.protocol import canonical_json

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "vectors" / "canonical-json.json").read_text())


def nested(depth: int) -> Any:
    value: Any = []
    for level in range(depth - 1):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize("case", VECTORS["spec_examples"])
def test_the_examples_of_the_specification_come_out_as_printed(case: dict[str, str]) -> None:
    value = canonical_json.decode(case["input"], strict=False)
    assert canonical_json.encode(value).decode() == case["canonical"]


@pytest.mark.parametrize("case", VECTORS["extra"], ids=lambda case: case["note"])
@pytest.mark.parametrize("strict", [True, False])
def test_edge_cases_come_out_in_their_one_form(case: dict[str, str], strict: bool) -> None:
    value = canonical_json.decode(case["value_json"].encode(), strict=strict)
    assert canonical_json.encode(value, strict=strict).decode() == case["canonical"]
    assert canonical_json.encode_checked(value).decode() == case["canonical"]


@pytest.mark.parametrize("case", VECTORS["rejected_in_room_version_6_and_later"], ids=lambda case: case["note"])
def test_what_room_version_6_forbids_is_refused(case: dict[str, str]) -> None:
    with pytest.raises(RemoteProtocolError):
        canonical_json.decode(case["json"].encode())
    with pytest.raises(RemoteProtocolError):
        canonical_json.decode(case["json"])


@pytest.mark.parametrize("text", ['"a-0"', '{"$-0":1}', "[-1,-10]", '"-0"'])
def test_only_the_number_negative_zero_is_refused(text: str) -> None:
    assert canonical_json.decode(text) == json.loads(text)


@pytest.mark.parametrize(
    "data",
    [
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b'"\\udc00a"',
        b'{"\\ud800":1}',
        b'"\x00"',
        b"",
        b"{} {}",
        b"[1,]",
        b"[01]",
        b"\xef\xbb\xbf{}",
        b"'a'",
        b"1" * 5000,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b"-" + b"0" * 5000,
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_what_is_not_json_is_refused(data: bytes, strict: bool) -> None:
    with pytest.raises(RemoteProtocolError):
        canonical_json.decode(data, strict=strict)


def test_text_with_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        canonical_json.decode('"\ud800"')


def test_a_key_given_twice_counts_once_and_the_last_wins() -> None:
    assert canonical_json.decode(b'{"a":1,"a":2}') == {"a": 2}


def test_nul_is_allowed_in_keys_and_strings() -> None:
    assert canonical_json.encode(canonical_json.decode(b'{"\\u0000":"\\u0000"}')) == b'{"\\u0000":"\\u0000"}'


@pytest.mark.parametrize("strict", [True, False])
def test_nesting_is_bounded(strict: bool) -> None:
    deepest = json.dumps(nested(limits.json_depth_max))
    assert canonical_json.decode(deepest, strict=strict) == nested(limits.json_depth_max)
    with pytest.raises(RemoteProtocolError):
        canonical_json.decode(json.dumps(nested(limits.json_depth_max + 1)).encode(), strict=strict)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert canonical_json.decode(b"[" + b"[]," * 1000 + b"{}]") == [[]] * 1000 + [{}]


@pytest.mark.parametrize(
    "value", [1.5, {"a": [1.0]}, 2**53, -(2**53), float("nan"), float("inf"), [None, float("nan")], "\ud800", {"\udc00": 1}]
)
def test_a_value_without_canonical_json_is_not_written(value: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        canonical_json.encode(value)


@pytest.mark.parametrize("value", ["\ud800", b"bytes", float("nan"), [None, float("-inf")], nested(5_000), {"a", 1}])
def test_not_even_the_lenient_form_takes_everything(value: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        canonical_json.encode(value, strict=False)


@pytest.mark.parametrize("value", ["\ud800", {1: 2}, b"bytes", 2**53])
def test_the_unchecking_writer_still_refuses_what_it_sees(value: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        canonical_json.encode_checked(value)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ('{"b":1.5,"a":"é\\u0001"}', '{"a":"é\\u0001","b":1.5}'),
        ("[1.0,1e-7,2.5E1]", "[1.0,1e-07,25.0]"),
        ("[1e3,1E+2,12e0]", "[1000,100,12]"),
        ("[1e16]", "[1e+16]"),
        ("[9007199254740992,-123456789012345678901234567890]", "[9007199254740992,-123456789012345678901234567890]"),
        ("[-0,null]", "[0,null]"),
    ],
)
def test_older_rooms_carry_floats_and_large_integers(text: str, canonical: str) -> None:
    value = canonical_json.decode(text, strict=False)
    assert canonical_json.encode(value, strict=False).decode() == canonical


@pytest.mark.parametrize("text", ["1e999", "-1e999", "1e99999999999999999999", "1.5e400"])
def test_a_number_without_a_value_is_refused_even_in_older_rooms(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        canonical_json.decode(text, strict=False)


def test_a_huge_string_goes_through() -> None:
    text = "é" * 1_000_000
    assert canonical_json.decode(canonical_json.encode({"a": text})) == {"a": text}
