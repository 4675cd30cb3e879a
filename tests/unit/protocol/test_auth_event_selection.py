from typing import Any

import pytest

from watchword.protocol.auth_event_selection import auth_events_for, auth_state_keys
from watchword.protocol.events import StateKey
from watchword.protocol.ids import EventId
from watchword.protocol.room_versions import V7, V10, V12, RoomVersion

CREATE: StateKey = ("m.room.create", "")
LEVELS: StateKey = ("m.room.power_levels", "")
RULES: StateKey = ("m.room.join_rules", "")
ALICE: StateKey = ("m.room.member", "@alice:hs")
BOB: StateKey = ("m.room.member", "@bob:hs")
CAROL: StateKey = ("m.room.member", "@carol:hs")


def member(content: dict[str, Any], state_key: str | None = "@bob:hs", version: RoomVersion = V10) -> set[StateKey]:
    keys = auth_state_keys("m.room.member", state_key, "@alice:hs", content, version)
    assert len(keys) == len(set(keys))
    return set(keys)


def test_a_create_event_needs_nothing() -> None:
    assert auth_state_keys("m.room.create", "", "@alice:hs", {}, V10) == []


def test_a_message_needs_create_levels_and_its_sender() -> None:
    assert auth_state_keys("m.room.message", None, "@alice:hs", {}, V10) == [CREATE, LEVELS, ALICE]


def test_version_12_never_cites_the_create_event() -> None:
    assert auth_state_keys("m.room.message", None, "@alice:hs", {}, V12) == [LEVELS, ALICE]


def test_a_kick_needs_the_target_too() -> None:
    assert member({"membership": "leave"}) == {CREATE, LEVELS, ALICE, BOB}


def test_ones_own_membership_is_named_once() -> None:
    assert member({"membership": "leave"}, "@alice:hs") == {CREATE, LEVELS, ALICE}


def test_a_member_event_without_state_key_is_like_a_message() -> None:
    assert member({"membership": "join"}, None) == {CREATE, LEVELS, ALICE}


@pytest.mark.parametrize("membership", ["join", "invite", "knock"])
def test_entering_needs_the_join_rules(membership: str) -> None:
    assert member({"membership": membership}) == {CREATE, LEVELS, ALICE, BOB, RULES}


def test_a_third_party_invite_needs_the_promise_of_its_token() -> None:
    content = {"membership": "invite", "third_party_invite": {"signed": {"token": "t"}}}
    assert ("m.room.third_party_invite", "t") in member(content)


@pytest.mark.parametrize("invite", [None, [], {}, {"signed": 5}, {"signed": {}}, {"signed": {"token": 5}}])
def test_a_malformed_third_party_invite_needs_no_promise(invite: object) -> None:
    assert member({"membership": "invite", "third_party_invite": invite}) == {CREATE, LEVELS, ALICE, BOB, RULES}


def test_a_restricted_join_needs_who_authorises_it() -> None:
    content = {"membership": "join", "join_authorised_via_users_server": "@carol:hs"}
    assert member(content) == {CREATE, LEVELS, ALICE, BOB, RULES, CAROL}


@pytest.mark.parametrize("authoriser", ["@alice:hs", "@bob:hs", 5, None])
def test_who_authorises_a_join_is_not_named_twice_nor_if_malformed(authoriser: object) -> None:
    content = {"membership": "join", "join_authorised_via_users_server": authoriser}
    assert member(content) == {CREATE, LEVELS, ALICE, BOB, RULES}


def test_authorised_joins_are_unknown_before_version_8() -> None:
    content = {"membership": "join", "join_authorised_via_users_server": "@carol:hs"}
    assert CAROL not in member(content, version=V7)


def test_only_state_that_exists_is_cited() -> None:
    state = {CREATE: EventId("$c"), ALICE: EventId("$a"), BOB: EventId("$b")}
    assert auth_events_for("m.room.message", None, "@alice:hs", {}, V10, state=state) == ["$c", "$a"]
