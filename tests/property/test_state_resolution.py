"""Whatever order servers learn of things in, they resolve to the same state."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.base.errors import WatchwordError
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.room_versions import ROOM_VERSIONS, V1, V2, V11, V12, RoomVersion
from watchword.protocol.state_resolution import resolve_state

VECTORS = Path(__file__).parents[1] / "data" / "vectors"
CASES: list[dict[str, Any]] = json.loads((VECTORS / "state-resolution.json").read_text())["cases"]
USERS = ("@alice:hs", "@bob:hs", "@carol:other")

Room = tuple[list[dict[StateKey, EventId]], dict[EventId, Pdu], RoomVersion]


def a_pdu(raw: Mapping[str, Any]) -> Pdu:
    room_id = RoomId(raw.get("room_id", "!" + raw["event_id"][1:]))
    return Pdu(
        raw["event_id"], room_id, raw["sender"], raw["type"], raw["state_key"], raw["content"],
        raw["origin_server_ts"], raw.get("depth", 0), raw["prev_events"], raw["auth_events"], raw,
    )  # fmt: skip


def a_vector(case: Mapping[str, Any]) -> Room:
    events = {pdu.event_id: pdu for pdu in map(a_pdu, case["events"])}
    states = [{(events[i].type, events[i].state_key or ""): i for i in ids} for ids in case["state_sets"]]
    return states, events, ROOM_VERSIONS[case["room_version"]]


@st.composite
def rooms(draw: st.DrawFn) -> Room:
    """Small rooms of chance: events with plausible types and contents that cite any events before them, and forks made of
    any of them."""
    version = draw(st.sampled_from([V1, V2, V11, V12]))
    room_id = RoomId("!0" if version is V12 else "!r:hs")
    create = Pdu(EventId("$0"), room_id, UserId(USERS[0]), "m.room.create", "", {"creator": USERS[0]}, 0, 0, (), (), {})
    events = {create.event_id: create}
    for number in range(1, draw(st.integers(4, 14))):
        event_type, state_key, content = draw(contents)
        before = list(events)[1 if version is V12 else 0 :]
        cited = draw(st.lists(st.sampled_from(before), max_size=4, unique=True)) if before else []
        prev = (draw(st.sampled_from(list(events))),)
        event_id = EventId(f"${number}")
        events[event_id] = Pdu(
            event_id, room_id, UserId(draw(st.sampled_from(USERS))), event_type, state_key, content,
            draw(st.integers(0, 3)), draw(st.integers(0, 3)), prev, cited, {},
        )  # fmt: skip
    states = []
    for _ in range(draw(st.integers(2, 4))):
        chosen = draw(st.lists(st.sampled_from(list(events)[1:]), min_size=1, max_size=8))
        states.append({(events[i].type, events[i].state_key or ""): i for i in (create.event_id, *chosen)})
    return states, events, version


contents: st.SearchStrategy[tuple[str, str, dict[str, Any]]] = st.one_of(
    st.tuples(
        st.just("m.room.member"),
        st.sampled_from(USERS),
        st.sampled_from(["join", "leave", "ban", "invite"]).map(lambda membership: {"membership": membership}),
    ),
    st.tuples(
        st.just("m.room.power_levels"),
        st.just(""),
        st.dictionaries(st.sampled_from(USERS), st.sampled_from([0, 50, 100])).map(lambda users: {"users": users}),
    ),
    st.tuples(st.just("m.room.join_rules"), st.just(""), st.sampled_from(["public", "invite"]).map(lambda r: {"join_rule": r})),
    st.tuples(st.just("m.room.topic"), st.just(""), st.just({})),
)


def outcome(states: list[dict[StateKey, EventId]], events: Mapping[EventId, Pdu], version: RoomVersion) -> object:
    return resolve_state(states, events, version)


@given(st.one_of(st.sampled_from(CASES).map(a_vector), rooms()), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_the_order_of_states_and_events_does_not_matter(room: Room, chance: Any) -> None:
    states, events, version = room
    resolved = outcome(states, events, version)
    shuffled_states = [dict(sorted(state.items(), key=lambda _: chance.random())) for state in states]
    chance.shuffle(shuffled_states)
    ids = sorted(events, key=lambda _: chance.random())
    shuffled = {i: msgspec.structs.replace(events[i], auth_events=list(events[i].auth_events)) for i in ids}
    assert outcome(shuffled_states, shuffled, version) == resolved


@given(rooms(), st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_equal_states_resolve_to_themselves(room: Room, times: int) -> None:
    states, events, version = room
    assert outcome([states[0]] * times, events, version) == states[0]


@given(rooms())
@settings(max_examples=50, deadline=None)
def test_what_all_states_agree_on_stays(room: Room) -> None:
    states, events, version = room
    resolved = resolve_state(states, events, version)
    for key, event_id in states[0].items():
        if all(state.get(key) == event_id for state in states):
            assert resolved[key] == event_id
    assert set(resolved) <= {pdu.state_address for pdu in events.values()}


@given(rooms(), st.data())
@settings(max_examples=100, deadline=None)
def test_circles_and_gaps_are_errors_not_endless(room: Room, data: st.DataObject) -> None:
    states, events, version = room
    ids = st.lists(st.sampled_from([*events, EventId("$lost")]), max_size=4)
    knotted = {i: msgspec.structs.replace(pdu, auth_events=data.draw(ids)) for i, pdu in events.items()}
    with suppress(WatchwordError):
        resolve_state(states, knotted, version)
