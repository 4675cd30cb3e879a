import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from watchword.protocol.auth_difference import auth_difference
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.room_versions import ROOM_VERSIONS, V11, V12
from watchword.protocol.state_resolution import MissingAuthEvent, conflicted, resolve_state

VECTORS = Path(__file__).parents[2] / "data" / "vectors"
CASES: list[dict[str, Any]] = json.loads((VECTORS / "state-resolution.json").read_text())["cases"]

TOPIC: StateKey = ("m.room.topic", "")
NAME: StateKey = ("m.room.name", "")
State = Mapping[StateKey, EventId]


def a_pdu(raw: Mapping[str, Any]) -> Pdu:
    event_id = EventId(raw["event_id"])
    return Pdu(
        event_id=event_id,
        room_id=RoomId(raw.get("room_id", "!" + event_id[1:])),
        sender=UserId(raw["sender"]),
        type=raw["type"],
        state_key=raw["state_key"],
        content=raw["content"],
        origin_server_ts=raw["origin_server_ts"],
        depth=raw.get("depth", 0),
        prev_events=raw["prev_events"],
        auth_events=raw["auth_events"],
        json=raw,
    )


def read(case: Mapping[str, Any]) -> tuple[list[State], dict[EventId, Pdu], dict[StateKey, EventId]]:
    events = {pdu.event_id: pdu for pdu in map(a_pdu, case["events"])}
    states: list[State] = [dict(addresses(events, ids)) for ids in case["state_sets"]]
    return states, events, {(kind, state_key): event_id for kind, state_key, event_id in case["resolved"]}


def addresses(events: Mapping[EventId, Pdu], ids: Sequence[EventId]) -> Iterator[tuple[StateKey, EventId]]:
    for event_id in ids:
        address = events[event_id].state_address
        assert address is not None
        yield address, event_id


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_forks_are_merged_as_every_server_merges_them(case: Mapping[str, Any]) -> None:
    states, events, resolved = read(case)
    assert resolve_state(states, events, ROOM_VERSIONS[case["room_version"]]) == resolved


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_difference_known_beforehand_gives_the_same(case: Mapping[str, Any]) -> None:
    states, events, resolved = read(case)
    difference = auth_difference(states, *conflicted(states), events)
    assert resolve_state(states, events, ROOM_VERSIONS[case["room_version"]], auth_difference=difference) == resolved


def test_what_all_states_say_is_not_in_conflict() -> None:
    one: State = {TOPIC: EventId("$a"), NAME: EventId("$n")}
    other: State = {TOPIC: EventId("$b"), NAME: EventId("$n")}
    assert conflicted([one, other]) == ({NAME: "$n"}, {TOPIC: {"$a", "$b"}})


def test_what_one_state_lacks_is_in_conflict() -> None:
    one: State = {TOPIC: EventId("$a")}
    other: State = {NAME: EventId("$n")}
    assert conflicted([one, other]) == ({}, {TOPIC: {"$a"}, NAME: {"$n"}})


def test_one_state_given_twice_is_not_in_conflict() -> None:
    one: State = {TOPIC: EventId("$a")}
    assert conflicted([one, one]) == ({TOPIC: "$a"}, {})


def test_no_states_make_the_empty_state() -> None:
    assert resolve_state([], {}, V12) == {}


def test_equal_states_need_no_events() -> None:
    assert resolve_state([{TOPIC: EventId("$a")}, {TOPIC: EventId("$a")}], {}, V11) == {TOPIC: "$a"}


def test_absent_events_are_named() -> None:
    with pytest.raises(MissingAuthEvent) as caught:
        resolve_state([{TOPIC: EventId("$a")}, {TOPIC: EventId("$b")}], {}, V11, auth_difference=())
    assert caught.value.event_ids == {"$a", "$b"}
