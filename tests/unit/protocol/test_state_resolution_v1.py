from collections.abc import Mapping
from typing import Any

import pytest

from watchword.protocol.auth_difference import MissingAuthEvent
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.room_versions import V1
from watchword.protocol.state_resolution import resolve_state

ALICE, BOB = "@alice:hs", "@bob:hs"


class ARoom:
    """Alice made it; `common` is what all forks share. Depths grow with each event."""

    def __init__(self) -> None:
        self.events: dict[EventId, Pdu] = {}
        self.common = self.state(
            self.event("m.room.create", ALICE, {"creator": ALICE}),
            self.event("m.room.member", ALICE, {"membership": "join"}, ALICE),
        )

    def event(
        self, event_type: str, sender: str, content: Mapping[str, Any], state_key: str | None = "", depth: int | None = None
    ) -> EventId:
        event_id = EventId(f"${len(self.events)}:hs")
        at = len(self.events) if depth is None else depth
        self.events[event_id] = Pdu(
            event_id, RoomId("!r:hs"), UserId(sender), event_type, state_key, content, 1, at, (EventId("$p"),), (), {}
        )
        return event_id

    def state(self, *event_ids: EventId) -> dict[StateKey, EventId]:
        return {(pdu.type, pdu.state_key or ""): pdu.event_id for pdu in map(self.events.__getitem__, event_ids)}

    def resolve(self, *forks: EventId) -> dict[StateKey, EventId]:
        return resolve_state([{**self.common, **self.state(fork)} for fork in forks], self.events, V1)


def test_what_one_fork_lacks_is_taken_over() -> None:
    room = ARoom()
    topic, name = room.event("m.room.topic", ALICE, {}), room.event("m.room.name", ALICE, {})
    assert room.resolve(topic, name) == {**room.common, **room.state(topic, name)}


def test_the_deepest_allowed_event_wins() -> None:
    room = ARoom()
    old, new = room.event("m.room.topic", ALICE, {}), room.event("m.room.topic", ALICE, {})
    forbidden = room.event("m.room.topic", BOB, {})
    assert room.resolve(old, new, forbidden)["m.room.topic", ""] == new


def test_the_least_deep_wins_if_none_is_allowed() -> None:
    room = ARoom()
    old, new = room.event("m.room.topic", BOB, {}), room.event("m.room.topic", BOB, {})
    assert room.resolve(old, new)["m.room.topic", ""] == old


def test_equal_depths_are_told_apart_by_a_hash_of_the_ids() -> None:
    room = ARoom()
    topics = [room.event("m.room.topic", ALICE, {}, depth=9) for _ in range(2)]
    # SHA-1 of $2:hs begins with 6e, of $3:hs with 0f: the smaller counts as newer.
    assert room.resolve(*topics)["m.room.topic", ""] == topics[1]


def test_power_levels_are_applied_in_turn_until_one_is_not_allowed() -> None:
    room = ARoom()
    first = room.event("m.room.power_levels", ALICE, {"users": {ALICE: 100}})
    second = room.event("m.room.power_levels", ALICE, {"users": {ALICE: 50}})
    third = room.event("m.room.power_levels", ALICE, {"users": {ALICE: 100}})
    fourth = room.event("m.room.power_levels", ALICE, {"users": {ALICE: 50}, "ban": 40})
    assert room.resolve(first, second)["m.room.power_levels", ""] == second
    assert room.resolve(first, second, third, fourth)["m.room.power_levels", ""] == second


def test_members_and_join_rules_are_settled_before_the_rest() -> None:
    room = ARoom()
    public = room.event("m.room.join_rules", ALICE, {"join_rule": "public"})
    closed = room.event("m.room.join_rules", ALICE, {"join_rule": "invite"})
    joined = room.event("m.room.member", BOB, {"membership": "join"}, BOB)
    banned = room.event("m.room.member", ALICE, {"membership": "ban"}, BOB)
    forks = [{**room.common, **room.state(public, joined)}, {**room.common, **room.state(closed, banned)}]
    resolved = resolve_state(forks, room.events, V1)
    assert (resolved["m.room.join_rules", ""], resolved["m.room.member", BOB]) == (closed, banned)


def test_absent_events_are_named() -> None:
    room = ARoom()
    forks = [room.event("m.room.topic", ALICE, {}), room.event("m.room.topic", ALICE, {})]
    lost = room.common["m.room.create", ""]
    states = [{**room.common, **room.state(fork)} for fork in forks]
    del room.events[lost]
    with pytest.raises(MissingAuthEvent) as caught:
        resolve_state(states, room.events, V1)
    assert caught.value.event_ids == {lost}


def test_an_event_that_is_not_state_harms_nobody() -> None:
    room = ARoom()
    forks = [room.event("m.room.power_levels", ALICE, {}, None), room.event("m.room.power_levels", ALICE, {}, None)]
    assert room.resolve(*forks)["m.room.power_levels", ""] in forks
