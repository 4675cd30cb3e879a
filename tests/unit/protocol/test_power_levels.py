import pytest

from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.power_levels import CREATOR_LEVEL, PowerLevels, creators_of, read_level, read_levels
from watchword.protocol.room_versions import V1, V5, V6, V9, V10, V11, V12, RoomVersion

ALICE = UserId("@alice:hs")
BOB = UserId("@bob:hs")


def a_create(content: dict[str, object]) -> Pdu:
    return Pdu(EventId("$c"), RoomId("!r:hs"), ALICE, "m.room.create", "", content, 1, 1, (), (), {})


@pytest.mark.parametrize(
    ("value", "version", "level"),
    [
        (50, V1, 50),
        (-1, V12, -1),
        ("100", V9, 100),
        (" +0100 ", V1, 100),
        ("-5", V9, -5),
        ("100", V10, None),
        ("1_0", V9, None),
        ("٣", V9, None),
        ("9" * 5000, V9, None),
        ("", V9, None),
        (50.9, V5, 50),
        (-0.9, V5, 0),
        (50.9, V6, None),
        (float("inf"), V5, None),
        (float("nan"), V5, None),
        (True, V1, None),
        (None, V1, None),
        ([], V1, None),
    ],
)
def test_a_level_is_read_as_the_room_version_reads_it(value: object, version: RoomVersion, level: int | None) -> None:
    assert read_level(value, version) == level


def test_unreadable_entries_of_a_table_are_left_out() -> None:
    assert read_levels({"a": 1, "b": "x"}, V9) == {"a": 1}


@pytest.mark.parametrize("value", [None, [], "x", 5])
def test_what_is_not_a_table_has_no_levels(value: object) -> None:
    assert read_levels(value, V9) == {}


def test_levels_come_from_the_content() -> None:
    content = {
        "users": {ALICE: 100},
        "users_default": 1,
        "events": {"m.room.name": 60},
        "events_default": 2,
        "state_default": 30,
        "ban": 3,
        "kick": 4,
        "redact": 5,
        "invite": 6,
        "notifications": {"room": 7},
    }
    levels = PowerLevels.from_content(content, V11)
    assert (levels.user_level(ALICE), levels.user_level(BOB)) == (100, 1)
    assert (levels.ban, levels.kick, levels.redact, levels.invite) == (3, 4, 5, 6)
    assert levels.required_to_send("m.room.name", is_state=True) == 60
    assert levels.required_to_send("m.room.topic", is_state=True) == 30
    assert levels.required_to_send("m.room.message", is_state=False) == 2
    assert (levels.notification_level("room"), levels.notification_level("other")) == (7, 50)


@pytest.mark.parametrize("content", [{}, {"users": [], "events": 5, "ban": "x", "invite": None, "users_default": []}])
def test_what_is_absent_or_unreadable_has_the_default(content: dict[str, object]) -> None:
    levels = PowerLevels.from_content(content, V11)
    assert (levels.ban, levels.kick, levels.redact, levels.invite) == (50, 50, 50, 0)
    assert (levels.users_default, levels.events_default, levels.state_default) == (0, 0, 50)


def test_creators_stand_above_all_in_version_12() -> None:
    levels = PowerLevels.from_content({"users": {ALICE: 5, BOB: 2**53 - 1}}, V12, (ALICE,))
    assert levels.user_level(ALICE) == CREATOR_LEVEL > levels.user_level(BOB)


def test_creators_have_no_privilege_before_version_12() -> None:
    assert PowerLevels.from_content({}, V11, (ALICE,)).user_level(ALICE) == 0


def test_without_power_levels_the_creator_has_100() -> None:
    levels = PowerLevels.absent((ALICE,), V11)
    assert (levels.user_level(ALICE), levels.user_level(BOB), levels.state_default) == (100, 0, 50)


def test_without_power_levels_a_creator_of_version_12_stands_above_all() -> None:
    assert PowerLevels.absent((ALICE, BOB), V12).user_level(BOB) == CREATOR_LEVEL


@pytest.mark.parametrize(
    ("content", "version", "creators"),
    [
        ({"creator": BOB}, V10, (BOB,)),
        ({}, V10, ()),
        ({"creator": 5}, V10, ()),
        ({"creator": BOB}, V11, (ALICE,)),
        ({"additional_creators": [BOB, 5]}, V12, (ALICE, BOB)),
        ({"additional_creators": "x"}, V12, (ALICE,)),
        ({"additional_creators": [BOB]}, V11, (ALICE,)),
    ],
)
def test_the_creators_are_those_of_the_room_version(
    content: dict[str, object], version: RoomVersion, creators: tuple[str, ...]
) -> None:
    assert creators_of(a_create(content), version) == creators
