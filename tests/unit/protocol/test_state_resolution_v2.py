from collections.abc import Mapping
from typing import Any

import pytest

from watchword.protocol.auth_difference import AuthCycle, MissingAuthEvent
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.room_versions import V2, V11, V12, RoomVersion
from watchword.protocol.state_resolution import resolve_state
from watchword.protocol.state_resolution_v2 import is_power_event

ALICE, BOB, CAROL = "@alice:hs", "@bob:hs", "@carol:hs"
LEVELS: StateKey = ("m.room.power_levels", "")
TOPIC: StateKey = ("m.room.topic", "")


class ARoom:
    """Alice made it, Bob and Carol joined. `base` is what events cite, `common` the state that all forks share."""

    def __init__(self, version: RoomVersion = V11, users: Mapping[str, int] | None = None) -> None:
        self.version = version
        self.room_id = RoomId("!0" if version.room_id_is_create_hash else "!r:hs")
        self.events: dict[EventId, Pdu] = {}
        create = self.event("m.room.create", ALICE, {"creator": ALICE})
        self.base = [] if version.room_id_is_create_hash else [create]
        creator = {} if version.room_id_is_create_hash else {ALICE: 100}
        alice = self.event("m.room.member", ALICE, {"membership": "join"}, ALICE, prev=create)
        self.base += [alice]
        self.levels = self.event("m.room.power_levels", ALICE, {"users": {**creator, **(users or {})}})
        self.base += [self.levels]
        rules = self.event("m.room.join_rules", ALICE, {"join_rule": "public"})
        entering = [*self.base[:-2], self.levels, rules]
        self.bob = self.event("m.room.member", BOB, {"membership": "join"}, BOB, cites=entering)
        self.carol = self.event("m.room.member", CAROL, {"membership": "join"}, CAROL, cites=entering)
        self.common = self.state(create, alice, self.levels, rules, self.bob, self.carol)

    def event(
        self,
        event_type: str,
        sender: str,
        content: Mapping[str, Any],
        state_key: str | None = "",
        *,
        cites: list[EventId] | None = None,
        prev: str = "$p",
        ts: int | None = None,
    ) -> EventId:
        """An event; unless told otherwise it cites create, Alice and the first power levels, as far as they exist yet."""
        number = len(self.events)
        auth_events = tuple(getattr(self, "base", []) if cites is None else cites)
        at = number if ts is None else ts
        self.events[EventId(f"${number}")] = Pdu(
            EventId(f"${number}"), self.room_id, UserId(sender), event_type, state_key, content,
            at, number, (EventId(prev),), auth_events, {},
        )  # fmt: skip
        return EventId(f"${number}")

    def state(self, *event_ids: EventId) -> dict[StateKey, EventId]:
        return {(pdu.type, pdu.state_key or ""): pdu.event_id for pdu in map(self.events.__getitem__, event_ids)}

    def resolve(self, *forks: EventId, **more: Any) -> dict[StateKey, EventId]:
        states = [{**self.common, **self.state(fork)} for fork in forks]
        return resolve_state(states, self.events, self.version, **more)


def a_member_event(sender: str, membership: str) -> Pdu:
    room = ARoom()
    return room.events[room.event("m.room.member", sender, {"membership": membership}, BOB)]


@pytest.mark.parametrize(
    ("sender", "membership", "is_one"),
    [(ALICE, "ban", True), (ALICE, "leave", True), (BOB, "leave", False), (ALICE, "invite", False), (BOB, "join", False)],
)
def test_kicks_and_bans_are_power_events(sender: str, membership: str, is_one: bool) -> None:
    assert is_power_event(a_member_event(sender, membership)) == is_one


def test_power_levels_and_join_rules_are_power_events_and_others_are_not() -> None:
    room = ARoom()
    kinds = [room.events[event_id].type for event_id in room.common.values() if is_power_event(room.events[event_id])]
    assert sorted(kinds) == ["m.room.join_rules", "m.room.power_levels"]


@pytest.mark.parametrize("version", [V2, V11, V12])
def test_a_ban_beats_what_the_banned_did_meanwhile(version: RoomVersion) -> None:
    room = ARoom(version, {BOB: 50})
    ban = room.event("m.room.member", ALICE, {"membership": "ban"}, BOB, cites=[*room.base, room.bob])
    topic = room.event("m.room.topic", BOB, {}, cites=[*room.base, room.bob])
    resolved = room.resolve(ban, topic)
    assert resolved["m.room.member", BOB] == ban
    assert TOPIC not in resolved


@pytest.mark.parametrize("version", [V2, V11, V12])
def test_the_higher_sender_goes_first(version: RoomVersion) -> None:
    room = ARoom(version, {BOB: 50})
    cites = [*room.base, room.bob]
    users = {BOB: 50} if version is V12 else {ALICE: 100, BOB: 50}
    mine = room.event("m.room.power_levels", BOB, {"users": users, "kick": 40}, cites=cites, ts=1)
    demoted = room.event("m.room.power_levels", ALICE, {"users": {**users, BOB: 0}}, ts=99)
    assert room.resolve(mine, demoted)[LEVELS] == demoted


def test_the_later_topic_wins() -> None:
    room = ARoom()
    topics = [room.event("m.room.topic", ALICE, {}, ts=ts) for ts in (5, 9, 7)]
    assert room.resolve(*topics)[TOPIC] == topics[1]


def test_a_topic_under_newer_power_levels_wins_over_a_later_one_under_older_ones() -> None:
    room = ARoom()
    newer = room.event("m.room.power_levels", ALICE, {"users": {ALICE: 100}})
    old = room.event("m.room.topic", ALICE, {}, ts=99)
    new = room.event("m.room.topic", ALICE, {}, cites=[*room.base[:-1], newer], ts=1)
    unplaced = room.event("m.room.topic", ALICE, {}, cites=room.base[:-1], ts=100)
    states = [
        {**room.common, **room.state(old)},
        {**room.common, **room.state(newer, new)},
        {**room.common, **room.state(unplaced)},
    ]
    assert resolve_state(states, room.events, V11)[TOPIC] == new


def test_power_levels_off_the_mainline_count_by_their_nearest_ancestor_on_it() -> None:
    room = ARoom()
    lost = room.event("m.room.power_levels", CAROL, {"users": {CAROL: 100}})
    first = room.event("m.room.topic", ALICE, {}, cites=[*room.base[:-1], lost], ts=3)
    second = room.event("m.room.topic", ALICE, {}, ts=2)
    third = room.event("m.room.topic", ALICE, {}, cites=[*room.base[:-1], lost], ts=1)
    assert room.resolve(first, second, third)[TOPIC] == first


def test_without_power_levels_only_time_counts() -> None:
    room = ARoom()
    topics = [room.event("m.room.topic", ALICE, {}, cites=room.base[:-1], ts=ts) for ts in (9, 5)]
    states = [{key: event_id for key, event_id in room.common.items() if key != LEVELS} | room.state(topic) for topic in topics]
    assert resolve_state(states, room.events, V11)[TOPIC] == topics[0]


def test_without_power_levels_the_creators_power_events_go_first() -> None:
    room = ARoom()
    del room.common[LEVELS]
    cites = room.base[:-1]
    ban = room.event("m.room.member", ALICE, {"membership": "ban"}, BOB, cites=[*cites, room.bob], ts=99)
    kick = room.event("m.room.member", BOB, {"membership": "leave"}, CAROL, cites=[cites[0], room.bob, room.carol], ts=1)
    resolved = room.resolve(ban, kick)
    assert (resolved["m.room.member", BOB], resolved["m.room.member", CAROL]) == (ban, room.carol)


def test_a_rejected_auth_event_does_not_authorise() -> None:
    room = ARoom(V12)
    topics = [room.event("m.room.topic", ALICE, {}, ts=ts) for ts in (1, 2)]
    assert room.resolve(*topics)[TOPIC] == topics[1]
    alice = room.base[0]
    assert TOPIC not in room.resolve(*topics, rejected={alice})


def test_an_event_that_is_not_state_is_passed_over() -> None:
    room = ARoom()
    topic = room.event("m.room.topic", ALICE, {})
    message = room.event("m.room.topic", ALICE, {}, None)
    assert room.resolve(topic, message)[TOPIC] == topic


def test_a_promise_and_its_invite_resolve_together() -> None:
    room = ARoom()
    promise = room.event("m.room.third_party_invite", ALICE, {}, "t")
    content = {"membership": "invite", "third_party_invite": {"signed": {"token": "t", "mxid": "@dan:hs"}}}
    invite = room.event("m.room.member", ALICE, content, "@dan:hs", cites=[*room.base, promise])
    states = [{**room.common, **room.state(promise, invite)}, room.common]
    resolved = resolve_state(states, room.events, V11)
    assert ("m.room.third_party_invite", "t") in resolved
    assert ("m.room.member", "@dan:hs") not in resolved


@pytest.mark.parametrize("version", [V11, V12])
def test_absent_events_are_named_all_at_once(version: RoomVersion) -> None:
    room = ARoom(version)
    topics = [room.event("m.room.topic", BOB, {}, cites=[*room.base[:-2], room.levels]) for _ in range(2)]
    absent = {room.levels, room.bob} if version is V11 else {room.levels}
    for event_id in absent:
        del room.events[event_id]
    states = [{**room.common, TOPIC: topic} for topic in topics]
    with pytest.raises(MissingAuthEvent) as caught:
        resolve_state(states, room.events, version, auth_difference=())
    assert caught.value.event_ids == absent


def test_the_create_event_of_version_12_is_needed() -> None:
    room = ARoom(V12)
    topics = [room.event("m.room.topic", ALICE, {}) for _ in range(2)]
    states = [{**room.common, TOPIC: topic} for topic in topics]
    del room.events[EventId("$0")]
    with pytest.raises(MissingAuthEvent) as caught:
        resolve_state(states, room.events, V12, auth_difference=())
    assert caught.value.event_ids == {"$0"}


def test_events_of_a_given_difference_are_needed() -> None:
    room = ARoom()
    topics = [room.event("m.room.topic", ALICE, {}) for _ in range(2)]
    with pytest.raises(MissingAuthEvent) as caught:
        room.resolve(*topics, auth_difference={EventId("$lost")})
    assert caught.value.event_ids == {"$lost"}


def circle(room: ARoom, event_type: str) -> list[EventId]:
    first, second = EventId(f"${len(room.events)}"), EventId(f"${len(room.events) + 1}")
    made = [room.event(event_type, ALICE, {}, cites=[*room.base[:2], cited]) for cited in (second, first)]
    assert made == [first, second]
    return made


def test_power_events_in_a_circle_are_an_error() -> None:
    room = ARoom(V2)
    with pytest.raises(AuthCycle):
        room.resolve(*circle(room, "m.room.power_levels"))


def test_a_mainline_in_a_circle_is_an_error() -> None:
    room = ARoom(V2)
    first, _ = circle(room, "m.room.power_levels")
    room.common[LEVELS] = first
    topics = [room.event("m.room.topic", ALICE, {}) for _ in range(2)]
    with pytest.raises(AuthCycle):
        room.resolve(*topics, auth_difference=())


def test_power_levels_in_a_circle_beside_the_mainline_are_an_error() -> None:
    room = ARoom(V2)
    first, _ = circle(room, "m.room.power_levels")
    topics = [room.event("m.room.topic", ALICE, {}, cites=[*room.base[:2], first]) for _ in range(2)]
    with pytest.raises(AuthCycle):
        room.resolve(*topics, auth_difference=())
