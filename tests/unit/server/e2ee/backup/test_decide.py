import pytest

from watchword.base.errors import Refused
from watchword.server.e2ee.backup.decide import (
    BackedUpKey,
    backed_up_key,
    encoded_object,
    is_better,
    sessions_of_room,
    sessions_of_rooms,
)

STORED = BackedUpKey(5, 5, False, b"{}")
GOOD = {"first_message_index": 1, "forwarded_count": 2, "is_verified": True, "session_data": {"a": 1}}


@pytest.mark.parametrize(
    ("offered", "answer"),
    [
        ((9, 9, True), True),
        ((4, 9, False), True),
        ((6, 0, False), False),
        ((5, 4, False), True),
        ((5, 5, False), False),
        ((5, 6, False), False),
    ],
)
def test_verified_goes_before_a_lower_index_before_fewer_forwards(offered: tuple[int, int, bool], answer: bool) -> None:
    assert is_better(BackedUpKey(*offered, b"{}"), STORED) is answer


def test_a_verified_key_is_not_replaced_by_one_that_is_not() -> None:
    assert not is_better(BackedUpKey(0, 0, False, b"{}"), STORED._replace(is_verified=True))


def test_any_key_is_better_than_none() -> None:
    assert is_better(STORED, None)


def test_a_good_key_is_read() -> None:
    assert backed_up_key(GOOD) == BackedUpKey(1, 2, True, b'{"a":1}')
    assert sessions_of_rooms({"!r": {"sessions": {"s": GOOD}}}) == {("!r", "s"): backed_up_key(GOOD)}


@pytest.mark.parametrize(
    ("value", "errcode"),
    [
        ([], "M_BAD_JSON"),
        ({}, "M_MISSING_PARAM"),
        ({**GOOD, "first_message_index": -1}, "M_BAD_JSON"),
        ({**GOOD, "forwarded_count": True}, "M_BAD_JSON"),
        ({**GOOD, "is_verified": 1}, "M_BAD_JSON"),
        ({**GOOD, "session_data": "x"}, "M_BAD_JSON"),
        ({**GOOD, "session_data": {"n": 1 << 70}}, "M_BAD_JSON"),
    ],
)
def test_a_key_of_the_wrong_shape_is_refused(value: object, errcode: str) -> None:
    refused = backed_up_key(value)
    assert isinstance(refused, Refused)
    assert refused.errcode == errcode


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"!r": []},
        {"!r": {"sessions": []}},
        {"!r": {"sessions": {"s": {}}}},
        {"!" + "r" * 300: {"sessions": {}}},
        {"!r": {"sessions": {"s" * 300: GOOD}}},
    ],
)
def test_rooms_of_the_wrong_shape_are_refused(value: object) -> None:
    assert isinstance(sessions_of_rooms(value), Refused)


def test_a_room_may_have_no_sessions() -> None:
    assert sessions_of_room("!r", {"sessions": {}}) == {}


def test_an_object_that_has_no_json_is_refused() -> None:
    assert encoded_object({"a": 1}) == b'{"a":1}'
    assert isinstance(encoded_object({"a": 1 << 70}), Refused)
