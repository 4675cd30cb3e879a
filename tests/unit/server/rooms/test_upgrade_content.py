from typing import Any

import pytest

from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.server.rooms.upgrade_content import (
    closed_levels,
    create_content,
    join_rules,
    moved_link,
    power_levels,
    split_aliases,
)

V5, V6, V9, V11, V12 = (ROOM_VERSIONS[name] for name in ("5", "6", "9", "11", "12"))
OLD = RoomId("!old:hs")
ME, OTHER = UserId("@me:hs"), UserId("@other:hs")


def test_the_type_of_room_and_whether_it_federates_are_copied() -> None:
    old = {"type": "m.space", "m.federate": False, "creator": "@x:hs", "predecessor": {"room_id": "!older:hs"}, "else": 1}
    assert create_content(old, V11, (OLD, EventId("$last")), ME) == {
        "type": "m.space",
        "m.federate": False,
        "room_version": "11",
        "predecessor": {"room_id": OLD, "event_id": "$last"},
    }


def test_old_versions_name_the_creator() -> None:
    assert create_content({}, V9, (OLD, EventId("$last")), ME)["creator"] == ME


def test_additional_creators_come_from_the_request_alone() -> None:
    old = {"additional_creators": ["@once:hs"]}
    content = create_content(old, V12, (OLD, None), ME, [OTHER, ME, OTHER])
    assert content["additional_creators"] == [OTHER]
    assert content["predecessor"] == {"room_id": OLD}
    assert "additional_creators" not in create_content(old, V12, (OLD, None), ME)


def test_creators_of_version_12_are_not_listed_and_replacing_the_room_is_theirs() -> None:
    old = {"users": {ME: 100, OTHER: 50}, "ban": 60, "events": {"m.room.name": 30}, "strange": 1}
    assert power_levels(old, (V11, V12), [ME], [ME]) == {
        "users": {OTHER: 50},
        "ban": 60,
        "events": {"m.room.name": 30, "m.room.tombstone": 150},
    }


def test_the_level_for_replacing_the_room_is_above_state_default() -> None:
    content = power_levels({"state_default": 400}, (V11, V12), [ME], [ME])
    assert content["events"]["m.room.tombstone"] == 401


def test_who_made_a_room_of_version_12_gets_the_highest_level_in_an_older_one() -> None:
    content = power_levels({"users": {OTHER: 120}}, (V12, V11), [ME], [OTHER])
    assert content["users"] == {OTHER: 120, ME: 120}


def test_a_room_without_power_levels_leaves_its_creator_his() -> None:
    assert power_levels(None, (V9, V11), [ME], [ME])["users"] == {ME: 100}


def test_levels_are_integers_in_the_new_room_whatever_they_were() -> None:
    old = {"ban": "60", "kick": 1.5, "redact": [], "users": {ME: "100", OTHER: {}}, "notifications": {"room": "20"}}
    assert power_levels(old, (V5, V11), [ME], [ME]) == {
        "ban": 60,
        "kick": 1,
        "users": {ME: 100},
        "events": {},
        "notifications": {"room": 20},
    }
    assert power_levels({"ban": str(10**30)}, (V5, V11), [ME], [ME])["ban"] == (1 << 53) - 1


@pytest.mark.parametrize(
    ("rule", "version", "expected"),
    [
        ("public", V5, "public"),
        ("knock", V6, "invite"),
        ("knock", V9, "knock"),
        ("restricted", V6, "invite"),
        ("restricted", V9, "restricted"),
        ("knock_restricted", V9, "invite"),
        (7, V9, "invite"),
    ],
)
def test_a_join_rule_that_the_new_version_does_not_know_becomes_invite(rule: Any, version: Any, expected: str) -> None:
    assert join_rules({"join_rule": rule, "allow": []}, version)["join_rule"] == expected


def test_the_old_room_is_closed_to_talk_and_invites() -> None:
    assert closed_levels({"users": {ME: 100}}, V11) == {"users": {ME: 100}, "events_default": 50, "invite": 50}
    assert closed_levels({"users_default": 70, "invite": 90}, V11) == {"users_default": 70, "invite": 90, "events_default": 71}


def test_a_room_that_is_closed_already_stays_as_it_is() -> None:
    assert closed_levels({"events_default": 100, "invite": 50}, V11) is None


def test_the_names_that_moved_are_named_in_the_new_room_alone() -> None:
    content = {"alias": "#a:hs", "alt_aliases": ["#b:hs", "#c:else", 5]}
    assert split_aliases(content, ["#a:hs", "#b:hs"]) == (
        {"alias": "#a:hs", "alt_aliases": ["#b:hs"]},
        {"alt_aliases": ["#c:else"]},
    )
    assert split_aliases({"alias": "#c:else", "alt_aliases": "none"}, ["#a:hs"]) == ({}, {"alias": "#c:else"})


def test_a_link_to_the_new_room_goes_by_this_server() -> None:
    assert moved_link({"via": ["a", "b"], "order": "1"}, "hs") == {"via": ["hs"], "order": "1"}
    assert moved_link({}, "hs") is None
