"""Who may see which event: the rules as a table, without a server.

A reader's life on the line: invited at 10, joined at 20, left at 30. The visibility is whatever the case says, all along,
unless it says otherwise.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.rooms.records import FOREVER
from watchword.server.rooms.visibility import History, Interval, Overlay, Sight

BOB, EVE = UserId("@bob:here.example"), UserId("@eve:here.example")
INVITE, JOIN, LEAVE = 10, 20, 30
BOBS_LIFE = ((INVITE, "invite"), (JOIN, "join"), (LEAVE, "leave"))


def event(kind: str = "m.room.message", content: Mapping[str, Any] | None = None, state_key: str | None = None) -> Pdu:
    return Pdu(EventId("$it"), RoomId("!r"), EVE, kind, state_key, dict(content or {}), 0, 1, (), (), {}, None)


def line(*starts: tuple[int, str], default: str | None = None) -> History:
    ends = [*(start for start, _ in starts[1:]), FOREVER]
    return History([Interval(start, end, value) for (start, value), end in zip(starts, ends, strict=False)], default)


def sight(*life: tuple[int, str], visibility: str | History) -> Sight:
    shown = line((1, visibility), default="shared") if isinstance(visibility, str) else visibility
    return Sight(BOB, line(*life), shown)


def membership(value: str, who: UserId = BOB) -> Pdu:
    return event("m.room.member", {"membership": value}, who)


def visibility_event(value: object) -> Pdu:
    return event("m.room.history_visibility", {"history_visibility": value}, "")


# A message: the state at the event decides

BEFORE_INVITE, WHILE_INVITED, WHILE_JOINED, AFTER_LEAVE = 5, 15, 25, 35


@pytest.mark.parametrize(
    ("visibility", "sees"),
    [
        ("world_readable", {BEFORE_INVITE, WHILE_INVITED, WHILE_JOINED, AFTER_LEAVE}),
        ("shared", {BEFORE_INVITE, WHILE_INVITED, WHILE_JOINED}),
        ("invited", {WHILE_INVITED, WHILE_JOINED}),
        ("joined", {WHILE_JOINED}),
    ],
)
@pytest.mark.parametrize("position", [BEFORE_INVITE, WHILE_INVITED, WHILE_JOINED, AFTER_LEAVE])
def test_a_message_is_seen_as_visibility_and_membership_at_it_allow(visibility: str, sees: set[int], position: int) -> None:
    assert sight(*BOBS_LIFE, visibility=visibility).sees(event(), position) == (position in sees)


@pytest.mark.parametrize(
    ("visibility", "sees"), [("world_readable", True), ("shared", False), ("invited", False), ("joined", False)]
)
def test_somebody_who_was_never_there_sees_only_what_the_world_may_read(visibility: str, sees: bool) -> None:
    assert sight(visibility=visibility).sees(event(), 5) is sees


@pytest.mark.parametrize(
    ("visibility", "sees"), [("world_readable", True), ("shared", False), ("invited", True), ("joined", False)]
)
def test_somebody_who_was_only_invited_sees_the_shared_past_not_yet(visibility: str, sees: bool) -> None:
    assert sight((INVITE, "invite"), visibility=visibility).sees(event(), WHILE_INVITED) is sees


def test_what_was_said_between_two_stays_is_seen_if_it_was_shared() -> None:
    twice = (*BOBS_LIFE, (50, "join"))
    assert sight(*twice, visibility="shared").sees(event(), 40)
    assert not sight(*twice, visibility="joined").sees(event(), 40)


def test_who_is_banned_sees_nothing_later() -> None:
    assert not sight((JOIN, "join"), (LEAVE, "ban"), visibility="shared").sees(event(), AFTER_LEAVE)


def test_unset_visibility_is_shared() -> None:
    assert sight(*BOBS_LIFE, visibility=History([], "shared")).sees(event(), BEFORE_INVITE)


def test_a_later_visibility_does_not_open_the_past() -> None:
    changed = line((1, "joined"), (25, "world_readable"))
    assert not sight(*BOBS_LIFE, visibility=changed).sees(event(), BEFORE_INVITE)


def test_a_later_visibility_does_not_close_the_past() -> None:
    changed = line((1, "shared"), (25, "joined"))
    assert sight(*BOBS_LIFE, visibility=changed).sees(event(), BEFORE_INVITE)


# The event that changes the visibility: before or after


def test_the_event_that_closes_the_history_is_seen() -> None:
    changed = line((1, "world_readable"), (5, "joined"))
    assert sight(visibility=changed).sees(visibility_event("joined"), 5)


def test_the_event_that_opens_the_history_is_seen() -> None:
    changed = line((1, "joined"), (5, "world_readable"))
    assert sight(visibility=changed).sees(visibility_event("world_readable"), 5)


def test_the_event_that_changes_between_two_closed_forms_is_not_seen() -> None:
    changed = line((1, "joined"), (5, "invited"))
    assert not sight(visibility=changed).sees(visibility_event("invited"), 5)


@pytest.mark.parametrize("value", ["nonsense", None, 7])
def test_the_event_that_sets_an_unknown_visibility_is_judged_as_shared(value: object) -> None:
    changed = line((1, "joined"), (5, "shared"))
    assert sight(*BOBS_LIFE, visibility=changed).sees(visibility_event(value), 5)


def test_other_state_at_the_same_place_is_judged_by_what_held_before() -> None:
    changed = line((1, "joined"), (5, "world_readable"))
    assert not sight(visibility=changed).sees(event("m.room.topic", {}, ""), 5)


def test_a_visibility_event_with_a_state_key_opens_nothing() -> None:
    closed = event("m.room.history_visibility", {"history_visibility": "world_readable"}, "x")
    assert not sight(visibility="joined").sees(closed, 5)


# The reader's own membership: before or after


@pytest.mark.parametrize("visibility", ["world_readable", "shared", "invited", "joined"])
@pytest.mark.parametrize(("position", "value"), BOBS_LIFE)
def test_the_readers_own_membership_change_is_seen(visibility: str, position: int, value: str) -> None:
    assert sight(*BOBS_LIFE, visibility=visibility).sees(membership(value), position)


def test_the_readers_own_ban_is_seen() -> None:
    assert sight((JOIN, "join"), (LEAVE, "ban"), visibility="joined").sees(membership("ban"), LEAVE)


def test_somebody_elses_membership_change_is_judged_like_a_message() -> None:
    assert not sight(*BOBS_LIFE, visibility="joined").sees(membership("join", EVE), BEFORE_INVITE)


def test_somebody_elses_leaving_is_not_seen_after_the_reader_left() -> None:
    assert not sight(*BOBS_LIFE, visibility="shared").sees(membership("leave", EVE), AFTER_LEAVE)


# What is laid over the line


def test_an_overlay_that_opens_the_visibility_beats_the_line() -> None:
    assert sight(visibility="joined").sees(event(), 5, overlay=Overlay("world_readable"))


def test_an_overlay_that_closes_the_visibility_beats_the_line() -> None:
    assert not sight(visibility="world_readable").sees(event(), 5, overlay=Overlay("joined"))


def test_an_overlay_says_whether_the_reader_was_joined() -> None:
    assert not sight(*BOBS_LIFE, visibility="joined").sees(event(), WHILE_JOINED, overlay=Overlay(membership="leave"))
    assert sight(*BOBS_LIFE, visibility="joined").sees(event(), AFTER_LEAVE, overlay=Overlay(membership="join"))


def test_where_the_state_is_unknown_nothing_is_seen() -> None:
    assert not sight(*BOBS_LIFE, visibility="world_readable").sees(event(), WHILE_JOINED, overlay=Overlay(unknown=True))


# unsigned.membership


@pytest.mark.parametrize(
    ("position", "value"),
    [(BEFORE_INVITE, "leave"), (WHILE_INVITED, "invite"), (WHILE_JOINED, "join"), (AFTER_LEAVE, "leave"), (JOIN, "invite")],
)
def test_membership_at_an_event_is_the_one_before_it(position: int, value: str) -> None:
    assert sight(*BOBS_LIFE, visibility="shared").membership_at(event(), position) == value


def test_membership_at_the_readers_own_change_is_the_new_one() -> None:
    assert sight(*BOBS_LIFE, visibility="shared").membership_at(membership("join"), JOIN) == "join"


def test_membership_at_an_event_with_an_overlay_is_the_overlays() -> None:
    assert sight(*BOBS_LIFE, visibility="shared").membership_at(event(), WHILE_JOINED, Overlay(membership="ban")) == "ban"


# Histories


def test_a_history_has_its_default_in_its_gaps() -> None:
    gaps = History([Interval(2, 4, "a"), Interval(6, 8, "b")], None)
    assert [gaps.at(position) for position in range(1, 10)] == [None, "a", "a", None, None, "b", "b", None, None]


def test_a_value_holds_after_a_position_only_if_it_goes_on_beyond_it() -> None:
    history = History([Interval(2, 4, "join")], None)
    assert [history.holds_after(position, "join") for position in range(5)] == [True, True, True, False, False]
    assert not history.holds_after(0, "leave")


# Spans of messages


@pytest.mark.parametrize("visibility", ["shared", "joined", "invited", "world_readable"])
@pytest.mark.parametrize("life", [(), BOBS_LIFE, (*BOBS_LIFE, (40, "join")), ((JOIN, "join"), (LEAVE, "join"), (40, "ban"))])
def test_spans_hold_just_the_messages_that_are_seen(visibility: str, life: tuple[tuple[int, str], ...]) -> None:
    for changing in (visibility, line((1, visibility), (12, "joined"), (25, "shared"), (38, visibility), default="shared")):
        found = sight(*life, visibility=changing)
        spans = found.message_spans()
        # Where the line itself changes stands what changed it, and no message.
        changes = {1, 12, 25, 38, *(start for start, _ in life)}
        for position in set(range(1, 60)) - changes:
            assert found.sees_message(position) is any(after < position <= until for after, until in spans), position
        assert spans == sorted(spans)
        assert all(first[1] < second[0] for first, second in pairwise(spans))
