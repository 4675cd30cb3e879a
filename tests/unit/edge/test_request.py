from collections.abc import Callable
from typing import Any

import pytest

from watchword.base.errors import BadRequest, RemoteProtocolError
from watchword.edge.request import Request


def errcode(ask: Callable[[], object]) -> str:
    with pytest.raises(BadRequest) as refusal:
        ask()
    return refusal.value.errcode


def with_query(query: str) -> Request:
    return Request("GET", "/x", query)


def with_body(**body: Any) -> Request:
    return Request("PUT", "/x", json=body)


def refuse(text: str) -> str:
    raise RemoteProtocolError(text)


def test_a_parameter_goes_through_its_parser() -> None:
    request = Request("GET", "/x", params={"n": "7"})
    assert request.param("n", int) == 7
    assert errcode(lambda: request.param("n", refuse)) == "M_INVALID_PARAM"


def test_a_repeated_query_parameter_keeps_its_values_and_the_last_counts() -> None:
    request = with_query("a=1&b=&a=%C3%A9+x")
    assert request.query == {"a": ["1", "é x"], "b": [""]}
    assert (request.query_one("a"), request.query_one("b"), request.query_one("c")) == ("é x", "", None)


@pytest.mark.parametrize("query", ["a=%ff", "&".join(["a=1"] * 2_000)])
def test_a_query_that_is_wrong_is_an_invalid_parameter(query: str) -> None:
    assert errcode(lambda: with_query(query).query) == "M_INVALID_PARAM"


def test_integers_in_the_query_are_bounded() -> None:
    assert with_query("n=5").query_int("n", 1) == 5
    assert with_query("n=500").query_int("n", 1, most=100) == 100
    assert with_query("").query_int("n", 1) == 1


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "9" * 5_000, "", "1_0", "%D9%A3", "%205", "0x5"])
def test_what_is_no_integer_in_the_query_is_invalid(text: str) -> None:
    assert errcode(lambda: with_query(f"n={text}").query_int("n", 1)) == "M_INVALID_PARAM"


def test_booleans_in_the_query_are_true_or_false() -> None:
    assert with_query("b=true").query_bool("b") is True
    assert with_query("").query_bool("b", default=True) is True
    assert errcode(lambda: with_query("b=1").query_bool("b")) == "M_INVALID_PARAM"


def test_a_query_parameter_may_be_parsed() -> None:
    assert with_query("n=7").query_parsed("n", int) == 7
    assert with_query("").query_parsed("n", int) is None


def test_a_required_key_must_be_there_and_of_its_type() -> None:
    assert with_body(a="x").field("a", str) == "x"
    assert errcode(lambda: with_body().field("a", str)) == "M_MISSING_PARAM"
    assert errcode(lambda: with_body(a=None).field("a", str)) == "M_BAD_JSON"
    assert errcode(lambda: with_body(a=True).field("a", int)) == "M_BAD_JSON"
    assert errcode(lambda: with_body(a="x").field_parsed("a", refuse)) == "M_INVALID_PARAM"


def test_an_optional_key_may_be_absent_and_null_only_where_said() -> None:
    assert with_body().field_or("a", int, 3) == 3
    assert with_body(a=None).field_or_none("a", int) is None
    assert errcode(lambda: with_body(a="x").field_or("a", int, 3)) == "M_BAD_JSON"


def test_repeated_headers_can_all_be_read() -> None:
    request = Request("GET", "/x", headers={"a": "2"})
    assert request.header_values("a") == ("2",)
    assert request.header_values("b") == ()
    request.raw_headers = [(b"a", b"1"), (b"b", b"x"), (b"a", b"2")]
    assert request.header_values("a") == ("1", "2")


def test_the_target_is_what_was_asked_for() -> None:
    assert Request("GET", "/a%2Fb", "c=%20").target == "/a%2Fb?c=%20"
    assert Request("GET", "/a").target == "/a"
