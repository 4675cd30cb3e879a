"""A room in memory: counting members, taking state over, keeping what is recent."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, RoomId, ServerName, UserId, domain_of
from watchword.protocol.room_versions import V10, V12
from watchword.server.rooms.room import Members, Room
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.visibility import History, visibility_of

HERE, THERE = ServerName("here.example"), ServerName("there.example")
ALICE, BOB = UserId("@alice:here.example"), UserId("@bob:here.example")
EVE, ZOE = UserId("@eve:there.example"), UserId("@zoe:there.example")
LEVELS, TOPIC, RULES = ("m.room.power_levels", ""), ("m.room.topic", ""), ("m.room.join_rules", "")


def state(event_id: str, key: tuple[str, str], content: Mapping[str, Any], sender: UserId = ALICE) -> Pdu:
    return Pdu(EventId(event_id), RoomId("!r"), sender, key[0], key[1], dict(content), 0, 1, (), (), {}, None)


def room_with(*pdus: Pdu) -> Room:
    room = Room(RoomId("!r"), 1, V10, Members(HERE))
    for pdu in pdus:
        take(room, pdu)
    return room


def take(room: Room, pdu: Pdu) -> None:
    assert pdu.state_address is not None
    room.apply_state({pdu.state_address: pdu.event_id}, {pdu.event_id: pdu})


def appended(number: int) -> StoredEvent:
    pdu = Pdu(EventId(f"${number}"), RoomId("!r"), ALICE, "m.room.message", None, {}, 0, 1, (), (), {}, None)
    return StoredEvent(number, number << 24, 0, pdu, V10, b"{}")


# Members


def test_joined_members_are_counted_per_server() -> None:
    members = Members(HERE)
    for user_id in (ALICE, BOB, EVE):
        members.set(user_id, "join")
    assert members.servers == {HERE: 2, THERE: 1}


def test_a_server_whose_last_user_leaves_is_not_counted_any_more() -> None:
    members = Members(HERE)
    members.set(EVE, "join")
    members.set(EVE, "leave")
    assert members.servers == {}


def test_a_repeated_membership_counts_once() -> None:
    members = Members(HERE)
    members.set(ALICE, "join")
    members.set(ALICE, "join")
    assert members.servers == {HERE: 1}


def test_an_invite_that_is_accepted_is_no_invite_any_more() -> None:
    members = Members(HERE)
    members.set(BOB, "invite")
    members.set(BOB, "join")
    assert (members.invited, members.joined) == (set(), {BOB})


def test_only_users_of_this_server_are_local() -> None:
    members = Members(HERE)
    members.set(ALICE, "join")
    members.set(EVE, "join")
    assert members.joined_local == {ALICE}


def test_a_membership_that_is_taken_away_leaves_no_trace() -> None:
    members = Members(HERE)
    members.set(BOB, "join")
    members.set(BOB, None)
    members.set(EVE, "invite")
    members.set(EVE, None)
    assert members == Members(HERE)


def test_taking_away_a_membership_that_is_not_there_does_nothing() -> None:
    members = Members(HERE)
    members.set(BOB, None)
    assert members == Members(HERE)


@given(
    st.lists(
        st.tuples(st.sampled_from([ALICE, BOB, EVE, ZOE]), st.sampled_from(["join", "invite", "leave", "ban", "knock", None]))
    )
)
def test_the_counts_are_those_of_the_memberships_whatever_came_before(changes: list[tuple[UserId, str | None]]) -> None:
    members = Members(HERE)
    model: dict[UserId, str] = {}
    for user_id, membership in changes:
        members.set(user_id, membership)
        model.pop(user_id, None)
        if membership is not None:
            model[user_id] = membership
    joined = {user_id for user_id, value in model.items() if value == "join"}
    assert members.membership == model
    assert members.joined == joined
    assert members.joined_local == {user_id for user_id in joined if domain_of(user_id) == HERE}
    assert members.invited == {user_id for user_id, value in model.items() if value == "invite"}
    counts = {server: sum(domain_of(user_id) == server for user_id in joined) for server in (HERE, THERE)}
    assert members.servers == {server: count for server, count in counts.items() if count}


# State


def test_state_that_decisions_read_is_at_hand() -> None:
    room = room_with(state("$rules", RULES, {"join_rule": "public"}))
    assert room.join_rule == "public"


def test_other_state_is_known_by_its_id_alone() -> None:
    room = room_with(state("$topic", TOPIC, {"topic": "x"}))
    assert room.state[TOPIC] == "$topic"
    assert room.pdus == {}


def test_state_that_was_replaced_is_let_go() -> None:
    room = room_with(state("$1", RULES, {"join_rule": "public"}), state("$2", RULES, {"join_rule": "knock"}))
    assert room.join_rule == "knock"
    assert set(room.pdus) == {"$2"}


def test_an_address_can_be_taken_away() -> None:
    room = room_with(state("$1", RULES, {"join_rule": "public"}))
    room.apply_state({RULES: None}, {})
    assert (room.state, room.pdus, room.join_rule) == ({}, {}, "invite")


def test_new_power_levels_count_at_once() -> None:
    room = room_with(state("$create", ("m.room.create", ""), {"creator": ALICE}), state("$1", LEVELS, {"users": {BOB: 10}}))
    assert room.levels().user_level(BOB) == 10
    take(room, state("$2", LEVELS, {"users": {BOB: 20}}))
    assert room.levels().user_level(BOB) == 20


def test_a_pruned_state_event_stays_with_what_redaction_left() -> None:
    room = room_with(state("$1", RULES, {"join_rule": "public"}))
    room.prune(state("$1", RULES, {}))
    assert (room.state[RULES], room.join_rule) == ("$1", "invite")


def test_pruning_an_event_that_is_not_at_hand_does_nothing() -> None:
    room = room_with(state("$1", RULES, {"join_rule": "public"}))
    room.prune(state("$0", RULES, {}))
    assert room.join_rule == "public"


def test_a_new_visibility_makes_the_history_of_visibility_be_read_anew() -> None:
    room = room_with()
    room.visibility = History([], "shared")
    take(room, state("$1", ("m.room.history_visibility", ""), {"history_visibility": "joined"}))
    assert room.history_visibility == "joined"
    assert room.visibility is None


def test_the_creator_of_an_old_room_is_named_in_its_content() -> None:
    assert room_with(state("$1", ("m.room.create", ""), {"creator": BOB})).creators == {BOB}


def test_a_room_of_version_12_has_its_additional_creators() -> None:
    room = room_with()
    room.version = V12
    take(room, state("$1", ("m.room.create", ""), {"additional_creators": [BOB]}))
    assert room.creators == {ALICE, BOB}


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ({}, "shared"),
        ({"history_visibility": "nonsense"}, "shared"),
        ({"history_visibility": ["joined"]}, "shared"),
        ({"history_visibility": "joined"}, "joined"),
        ({"history_visibility": "invited"}, "invited"),
        ({"history_visibility": "world_readable"}, "world_readable"),
    ],
)
def test_an_unknown_visibility_means_shared(content: Mapping[str, object], value: str) -> None:
    assert visibility_of(content) == value


@pytest.mark.parametrize("content", [{}, {"join_rule": 7}])
def test_without_a_rule_one_joins_by_invite(content: Mapping[str, object]) -> None:
    assert room_with(state("$1", RULES, content)).join_rule == "invite"


@pytest.mark.parametrize(
    ("joined", "extremities", "is_alive"),
    [(ALICE, {EventId("$1"): 1}, True), (EVE, {EventId("$1"): 1}, False), (ALICE, {}, False)],
)
def test_a_room_lives_while_one_of_us_is_in_it_and_there_is_something_to_cite(
    joined: UserId, extremities: dict[EventId, int], is_alive: bool
) -> None:
    room = room_with()
    room.members.set(joined, "join")
    room.extremities = extremities
    assert room.is_alive is is_alive


# Recent events


def test_recent_events_are_all_that_came_above_the_floor() -> None:
    room = room_with()
    for number in range(1, 1_000):
        room.remember(appended(number))
        orderings = [event.ordering for event in room.recent]
        assert orderings == [each << 24 for each in range((room.recent_floor >> 24) + 1, number + 1)]


def test_recent_events_are_bounded() -> None:
    room = room_with()
    for number in range(1, 1_000):
        room.remember(appended(number))
    assert 64 <= len(room.recent) <= 128


def test_when_all_recent_events_are_dropped_the_floor_is_the_last_of_them() -> None:
    room = room_with()
    room.remember(appended(1))
    room.remember(appended(2))
    room.forget_recent()
    assert (room.recent, room.recent_floor) == ([], 2 << 24)


def test_dropping_nothing_leaves_the_floor() -> None:
    room = room_with()
    room.recent_floor = 7
    room.forget_recent()
    assert room.recent_floor == 7
