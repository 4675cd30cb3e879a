"""What of other servers' summaries can be believed."""

from typing import Any

import pytest

from watchword.protocol.room_summary import checked_summary

LEAST = {"room_id": "!r:x.example", "num_joined_members": 3, "world_readable": True, "guest_can_join": False}


def test_a_good_summary_stays_as_it_is() -> None:
    whole = {
        **LEAST,
        "name": "Tea",
        "topic": "All about it",
        "join_rule": "restricted",
        "room_type": "m.space",
        "encryption": "m.megolm.v1.aes-sha2",
        "room_version": "12",
        "avatar_url": "mxc://x/y",
        "canonical_alias": "#tea:x.example",
        "allowed_room_ids": ["!s:x.example"],
    }
    assert checked_summary(whole) == whole


@pytest.mark.parametrize(
    "more",
    [
        {"name": 5},
        {"topic": "x" * 4_097},
        {"room_type": "x" * 256},
        {"avatar_url": "mxc://x/" + "y" * 1_000},
        {"avatar_url": "https://x/y"},
        {"avatar_url": 5},
        {"canonical_alias": "tea"},
        {"canonical_alias": 5},
        {"allowed_room_ids": "!s:x"},
        {"something": "else"},
    ],
)
def test_what_clients_could_not_rely_on_is_left_out(more: dict[str, Any]) -> None:
    assert checked_summary({**LEAST, **more}) == LEAST


def test_flags_are_true_or_false_and_lists_hold_room_ids() -> None:
    summary = checked_summary({**LEAST, "world_readable": 1, "guest_can_join": None, "allowed_room_ids": [5, "x", "!s:x"]})
    assert summary == {**LEAST, "world_readable": False, "allowed_room_ids": ["!s:x"]}


@pytest.mark.parametrize(
    "room",
    [
        None,
        [],
        {},
        {**LEAST, "room_id": 5},
        {**LEAST, "room_id": "r"},
        {**LEAST, "num_joined_members": "3"},
        {**LEAST, "num_joined_members": True},
        {**LEAST, "num_joined_members": -1},
        {**LEAST, "num_joined_members": 1 << 60},
    ],
)
def test_what_is_no_summary_is_none(room: object) -> None:
    assert checked_summary(room) is None
