import pytest

from watchword.edge.authentication import bearer_token
from watchword.edge.request import Request


def asked(header: str | None = None, query: str = "") -> str | None:
    return bearer_token(Request("GET", "/x", query, headers={} if header is None else {"authorization": header}))


@pytest.mark.parametrize("header", ["Bearer abc", "bearer abc", "BEARER  abc "])
def test_the_token_is_in_the_header(header: str) -> None:
    assert asked(header) == "abc"


def test_the_token_may_still_be_in_the_query() -> None:
    assert asked(query="access_token=abc") == "abc"


def test_the_header_wins_over_the_query() -> None:
    assert asked("Bearer abc", "access_token=def") == "abc"


@pytest.mark.parametrize("header", ["Bearer", "Bearer "])
def test_an_empty_token_is_not_an_absent_one(header: str) -> None:
    assert asked(header) == ""


@pytest.mark.parametrize("header", [None, "Basic abc", "X-Matrix origin=a", ""])
def test_another_scheme_is_no_token(header: str | None) -> None:
    assert asked(header) is None
