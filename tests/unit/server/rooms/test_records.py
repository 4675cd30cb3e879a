"""The arithmetic of places in a timeline."""

from hypothesis import given
from hypothesis import strategies as st

from watchword.server.rooms.records import FOREVER, is_history, ordering_of, position_of

POSITIONS = st.integers(1, 1 << 38)
STEPS = st.integers(1, (1 << 24) - 1)


@given(POSITIONS)
def test_a_live_event_stands_at_its_position(position: int) -> None:
    assert position_of(ordering_of(position)) == position


@given(POSITIONS)
def test_a_live_event_is_no_history(position: int) -> None:
    assert not is_history(ordering_of(position))


@given(POSITIONS, STEPS)
def test_history_stands_between_the_live_event_it_was_fetched_before_and_the_one_before_that(position: int, step: int) -> None:
    assert ordering_of(position - 1) < ordering_of(position) - step < ordering_of(position)


@given(POSITIONS, STEPS)
def test_history_belongs_to_the_position_of_the_live_event_it_was_fetched_before(position: int, step: int) -> None:
    assert position_of(ordering_of(position) - step) == position


@given(POSITIONS, STEPS)
def test_history_is_known_by_its_place(position: int, step: int) -> None:
    assert is_history(ordering_of(position) - step)


@given(POSITIONS)
def test_every_place_fits_into_a_column(position: int) -> None:
    assert ordering_of(position) < FOREVER == (1 << 63) - 1
