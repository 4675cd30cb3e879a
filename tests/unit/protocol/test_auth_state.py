from collections.abc import Mapping
from typing import Any

import pytest

from watchword.protocol.auth_rules import check
from watchword.protocol.auth_state import AuthState, join_rule_of, parse_power_levels, stated_membership
from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.power_levels import CREATOR_LEVEL, PowerLevels
from watchword.protocol.room_versions import V6, V7, V8, V9, V10, V11, V12, RoomVersion

ALICE = UserId("@alice:hs")


def an_event(event_type: str, content: Mapping[str, Any], state_key: str | None = "") -> Pdu:
    return Pdu(EventId("$c"), RoomId("!r:hs"), ALICE, event_type, state_key, content, 1, 1, (), (), {})


CREATE = an_event("m.room.create", {"creator": ALICE})


def a_state(version: RoomVersion = V11, join_rule: object = None) -> AuthState:
    rules = None if join_rule is None else an_event("m.room.join_rules", {"join_rule": join_rule})
    return AuthState.build(version, CREATE, None, rules, {ALICE: "join"}.get, lambda _: None)


def test_levels_parsed_before_are_taken_over() -> None:
    levels = PowerLevels.absent((), V11)
    state = AuthState.build(V11, CREATE, None, None, lambda _: None, lambda _: None, levels)
    assert state.power_levels is levels


def test_members_are_asked_when_needed() -> None:
    assert check(an_event("m.room.message", {}, None), a_state()) is None


def test_a_state_without_events_knows_nothing() -> None:
    state = AuthState.of({}, V12)
    assert (state.create, state.room_id, state.only_local, state.join_rule) == (None, None, None, "invite")
    assert state.membership_of(ALICE) is None
    assert state.third_party_invite("t") is None


@pytest.mark.parametrize(
    ("rule", "version", "knocking", "restricted"),
    [
        ("knock", V6, False, False),
        ("knock", V7, True, False),
        ("restricted", V7, False, False),
        ("restricted", V8, False, True),
        ("knock_restricted", V9, False, False),
        ("knock_restricted", V10, True, True),
        ("public", V12, False, False),
    ],
)
def test_join_rules_mean_what_the_room_version_knows(rule: str, version: RoomVersion, knocking: bool, restricted: bool) -> None:
    state = a_state(version, rule)
    assert (state.allows_knocking, state.allows_restricted_joins) == (knocking, restricted)


def test_creators_are_found_in_the_create_event() -> None:
    levels = an_event("m.room.power_levels", {"users": {ALICE: 7}})
    assert parse_power_levels(levels, CREATE, V12).user_level(ALICE) == CREATOR_LEVEL
    assert parse_power_levels(levels, CREATE, V11).user_level(ALICE) == 7
    assert parse_power_levels(None, CREATE, V11).user_level(ALICE) == 100
    assert parse_power_levels(None, None, V11).user_level(ALICE) == 0


@pytest.mark.parametrize(("content", "membership"), [({"membership": "join"}, "join"), ({"membership": 5}, None), ({}, None)])
def test_a_membership_is_what_the_event_says(content: Mapping[str, Any], membership: str | None) -> None:
    assert stated_membership(an_event("m.room.member", content)) == membership


@pytest.mark.parametrize(("content", "rule"), [({"join_rule": "public"}, "public"), ({"join_rule": 5}, ""), ({}, "invite")])
def test_a_join_rule_is_what_the_event_says(content: Mapping[str, Any], rule: str) -> None:
    assert join_rule_of(an_event("m.room.join_rules", content)) == rule
