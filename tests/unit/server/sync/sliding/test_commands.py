"""The few questions that the words themselves answer."""

import pytest

from watchword.server.sync.sliding.commands import ALL_ROOMS, Required, RoomConfig, RoomFilter


@pytest.mark.parametrize(
    "wanted",
    [
        RoomFilter(is_encrypted=False),
        RoomFilter(room_types=()),
        RoomFilter(not_room_types=(None,)),
        RoomFilter(room_name_like=""),
    ],
)
def test_some_filters_need_the_state_of_rooms(wanted: RoomFilter) -> None:
    assert (wanted.needs_facts, wanted.needs_tags) == (True, False)


@pytest.mark.parametrize("wanted", [RoomFilter(tags=()), RoomFilter(not_tags=("a",))])
def test_some_filters_need_the_tags(wanted: RoomFilter) -> None:
    assert (wanted.needs_facts, wanted.needs_tags) == (False, True)


def test_others_need_nothing() -> None:
    assert (ALL_ROOMS.needs_facts, ALL_ROOMS.needs_tags) == (False, False)
    assert not RoomFilter(is_dm=True, is_invited=False, spaces=()).needs_facts


def test_one_lazy_rule_makes_a_room_lazy() -> None:
    assert RoomConfig(1, (Required(), Required(lazy=True))).is_lazy
    assert not RoomConfig(1, (Required(),)).is_lazy
