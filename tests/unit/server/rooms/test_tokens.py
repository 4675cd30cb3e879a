"""Pagination tokens: what we gave is understood, anything else is refused."""

import pytest

from watchword.base.errors import BadRequest
from watchword.server.rooms import records
from watchword.server.rooms.tokens import parse_sync_token, parse_timeline_token, sync_token, timeline_token
from watchword.storage import Position

GARBAGE = (
    "",
    "s",
    "t",
    "x1",
    "1",
    "s-1",
    "t-1",
    "s1.5",
    "s 1",
    "t1 ",
    "s١",
    "t²",
    "s1_0",
    "t" + "9" * 20,
    "s" + "9" * 40,
    "S1",
    "s1\n",
)


@pytest.mark.parametrize("ordering", [0, 1, 7 << 24, records.FOREVER])
def test_a_timeline_token_is_read_back(ordering: int) -> None:
    assert parse_timeline_token(timeline_token(ordering)) == ordering


@pytest.mark.parametrize("position", [0, 1, 123_456_789])
def test_a_sync_token_is_read_back(position: int) -> None:
    assert parse_sync_token(sync_token(Position(position))) == position


def test_a_sync_token_stands_just_after_the_event_at_its_position() -> None:
    assert parse_timeline_token("s7") == records.ordering_of(7)


def test_a_timeline_token_is_no_sync_token() -> None:
    with pytest.raises(BadRequest):
        parse_sync_token(timeline_token(7))


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_is_no_timeline_token(text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_timeline_token(text)
    assert refused.value.errcode == "M_INVALID_PARAM"


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_is_no_sync_token(text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_sync_token(text)
    assert refused.value.errcode == "M_INVALID_PARAM"


@pytest.mark.parametrize("text", ["t9999999999999999999", "s999999999999999999"])
def test_a_token_from_beyond_the_end_of_time_stands_at_the_end_of_time(text: str) -> None:
    assert parse_timeline_token(text) == records.FOREVER
