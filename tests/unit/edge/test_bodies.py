import pytest

from watchword.base.errors import BadRequest
from watchword.edge.bodies import json_object, server_json_object


def test_integers_stay_exact() -> None:
    raw = b'{"a":18446744073709551615,"b":[-9223372036854775808],"c":"12345678901234567890123"}'
    assert json_object(raw) == {"a": (1 << 64) - 1, "b": [-(1 << 63)], "c": "12345678901234567890123"}


@pytest.mark.parametrize("number", [b"18446744073709551616", b"-9223372036854775809", b"1" * 300])
def test_an_integer_that_could_not_be_encoded_again_is_bad_json(number: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        json_object(b'{"a":[{"b":%b}]}' % number)
    assert refusal.value.errcode == "M_BAD_JSON"


def test_what_servers_send_is_judged_event_by_event() -> None:
    raw = b'{"pdus":[{"content":{"a":%b}},{"content":%b}]}' % (b"1" * 30, b"[" * 300 + b"]" * 300)
    assert len(server_json_object(raw)["pdus"]) == 2


def test_floats_are_let_through_for_what_is_no_event() -> None:
    assert json_object(b'{"a":1.5}') == {"a": 1.5}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"{}x",
        b"nope",
        b"{'a':1}",
        b'{"a":NaN}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\ud800\\u0041"}',
        b'{"a":"\x00"}',
        b"\xef\xbb\xbf{}",
        b"\x00",
        '{"a":1}'.encode("utf-16"),
    ],
)
def test_what_is_not_json_is_refused_as_such(raw: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        json_object(raw)
    assert refusal.value.errcode == "M_NOT_JSON"


@pytest.mark.parametrize("raw", [b"[]", b'"a"', b"1", b"null", b"true"])
def test_another_value_than_an_object_is_bad_json(raw: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        json_object(raw)
    assert refusal.value.errcode == "M_BAD_JSON"


@pytest.mark.parametrize("depth", [128, 500, 100_000])
def test_deep_nesting_is_bad_json(depth: int) -> None:
    with pytest.raises(BadRequest) as refusal:
        json_object(b'{"a":' + b"[" * depth + b"]" * depth + b"}")
    assert refusal.value.errcode == "M_BAD_JSON"


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert len(json_object(b'{"a":[' + b",".join([b"[{}]"] * 1000) + b"]}")["a"]) == 1000


def test_the_deepest_nesting_that_is_allowed_passes() -> None:
    json_object(b'{"a":' + b"[" * 127 + b"]" * 127 + b"}")


@pytest.mark.parametrize("raw", [b'{"a":1e400}', b'{"a":' + b"9" * 10_000 + b"}"])
def test_a_number_out_of_range_is_bad_json(raw: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        json_object(raw)
    assert refusal.value.errcode == "M_BAD_JSON"
