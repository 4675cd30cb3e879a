"""What makes an event sticky, and until when."""

from typing import Any

import pytest

from watchword.protocol.sticky import IN_USE, STABLE, Sticky, expiry, sticky_of


@pytest.mark.parametrize("naming", [IN_USE, STABLE])
def test_an_event_is_sticky_under_either_name(naming: Any) -> None:
    assert sticky_of({"type": "m", naming.key: {"duration_ms": 5}}) == Sticky(5, naming)


def test_the_name_in_use_counts_where_both_are_there() -> None:
    assert sticky_of({"sticky": {"duration_ms": 5}, "msc4354_sticky": {"duration_ms": 6}}) == Sticky(6, IN_USE)


def test_a_name_without_a_sense_does_not_hide_the_other() -> None:
    assert sticky_of({"sticky": {"duration_ms": 5}, "msc4354_sticky": {"duration_ms": "6"}}) == Sticky(5, STABLE)


@pytest.mark.parametrize("value", [None, [], 5, {}, {"duration_ms": "5"}, {"duration_ms": -1}, {"duration_ms": True}])
def test_what_is_no_duration_makes_nothing_sticky(value: object) -> None:
    assert sticky_of({"sticky": value}) is None


def test_nothing_is_sticky_for_more_than_an_hour() -> None:
    found = sticky_of({"sticky": {"duration_ms": 1 << 40}})
    assert found is not None
    assert found.duration_ms == 3_600_000


def test_stickiness_begins_when_the_event_was_sent_but_never_in_the_future() -> None:
    assert expiry(Sticky(100), 1_000, 1_050) == 1_100
    assert expiry(Sticky(100), 9_000, 1_050) == 1_150
