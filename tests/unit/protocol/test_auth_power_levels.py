import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from watchword.protocol.auth_power_levels import is_user_id
from watchword.protocol.auth_rules import check_auth
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.room_versions import ROOM_VERSIONS, V6, V11, V12, RoomVersion

VECTORS = Path(__file__).parents[2] / "data" / "vectors"
CASES: list[dict[str, Any]] = json.loads((VECTORS / "auth-power-levels.json").read_text())["cases"]

CREATOR = "@creator:hs"
SENDER = "@sender:hs"


def an_event(version: RoomVersion, event_type: str, sender: str, content: Mapping[str, Any], state_key: str) -> Pdu:
    room_id = RoomId("!create" if version.room_id_is_create_hash else "!room:hs")
    event_id = EventId("$create") if event_type == "m.room.create" else EventId("$x")
    return Pdu(event_id, room_id, UserId(sender), event_type, state_key, content, 1, 1, (EventId("$p"),), (), {})


def reason(version: RoomVersion, old: Mapping[str, Any] | None, new: Mapping[str, Any], sender: str = SENDER) -> str | None:
    create = an_event(version, "m.room.create", CREATOR, {"creator": CREATOR, "additional_creators": ["@also:hs"]}, "")
    state: dict[StateKey, Pdu] = {
        ("m.room.create", ""): create,
        ("m.room.member", sender): an_event(version, "m.room.member", sender, {"membership": "join"}, sender),
    }
    if old is not None:
        state["m.room.power_levels", ""] = an_event(version, "m.room.power_levels", CREATOR, old, "")
    return check_auth(an_event(version, "m.room.power_levels", sender, new, ""), state, version)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['room_version']} {case['case']}")
def test_a_change_of_power_levels_is_decided_as_everywhere(case: Mapping[str, Any]) -> None:
    answer = reason(ROOM_VERSIONS[case["room_version"]], case["old"], case["new"], case["sender"])
    assert (answer is None) == case["allow"], answer


def test_the_first_power_levels_may_be_anything() -> None:
    assert reason(V11, None, {"users": {SENDER: 1000}, "ban": 1000}, CREATOR) is None


@pytest.mark.parametrize("creator", [CREATOR, "@also:hs"])
def test_creators_are_not_listed_in_version_12(creator: str) -> None:
    assert reason(V12, None, {"users": {creator: 100}}, CREATOR) is not None


def test_creators_may_raise_anybody_in_version_12() -> None:
    assert reason(V12, {"users": {SENDER: 50}}, {"users": {SENDER: 2**53 - 1}}, CREATOR) is None


@pytest.mark.parametrize(
    "new",
    [
        {"ban": None},
        {"ban": []},
        {"events": []},
        {"events": {"x": {}}},
        {"notifications": "x"},
        {"users": None},
        {"users": {SENDER: None}},
        {"users": {"sender": 1}},
    ],
)
@pytest.mark.parametrize("version", [V6, V11, V12])
def test_levels_that_cannot_be_read_are_refused(version: RoomVersion, new: Mapping[str, Any]) -> None:
    assert reason(version, {"users": {SENDER: 100}}, {"users": {SENDER: 100}, **new}) is not None


def test_a_removed_entry_above_the_sender_is_refused() -> None:
    old = {"users": {SENDER: 50}, "notifications": {"room": 75}}
    assert reason(V11, old, {"users": {SENDER: 50}}) == "A level above the sender's own cannot be changed."


def test_notifications_are_not_looked_at_before_version_6() -> None:
    old = {"users": {SENDER: 50}, "notifications": {"room": 75}}
    assert reason(ROOM_VERSIONS["5"], old, {"users": {SENDER: 50}}) is None


def test_a_user_id_is_recognised() -> None:
    assert is_user_id(SENDER)
    assert not is_user_id("sender")
