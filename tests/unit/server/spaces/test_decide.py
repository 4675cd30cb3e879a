"""Who is shown which room, and what other servers' words are worth."""

from typing import Any

import pytest

from watchword.protocol.ids import RoomId
from watchword.server.spaces.commands import Described, Looker
from watchword.server.spaces.decide import child_of, children_of, described_by_peer, is_open_to_all, may_see, servers_in

ROOM, CHILD = RoomId("!space:x.example"), RoomId("!child:x.example")
LEAST = {"room_id": ROOM, "num_joined_members": 1, "world_readable": False, "guest_can_join": False}


@pytest.mark.parametrize(
    ("entry", "looker", "shown"),
    [
        ({}, Looker(), True),
        ({"join_rule": "public"}, Looker(), True),
        ({"join_rule": "invite"}, Looker(), False),
        ({"join_rule": "private"}, Looker(), False),
        ({"join_rule": "invite", "world_readable": True}, Looker(), True),
        ({"join_rule": "invite"}, Looker("join"), True),
        ({"join_rule": "invite"}, Looker("invite"), True),
        ({"join_rule": "invite"}, Looker("leave"), False),
        ({"join_rule": "public"}, Looker("ban"), False),
        ({"join_rule": "public", "world_readable": True}, Looker("ban"), True),
        ({"join_rule": "knock"}, Looker(), True),
        ({"join_rule": "knock", "room_version": "7"}, Looker(), True),
        ({"join_rule": "knock", "room_version": "6"}, Looker(), False),
        ({"join_rule": "knock", "room_version": "of tomorrow"}, Looker(), True),
        ({"join_rule": "knock_restricted", "room_version": "10"}, Looker(), True),
        ({"join_rule": "knock_restricted", "room_version": "9"}, Looker(None, True), False),
        ({"join_rule": "restricted"}, Looker(), False),
        ({"join_rule": "restricted", "room_version": "8"}, Looker(None, True), True),
        ({"join_rule": "restricted", "room_version": "7"}, Looker(None, True), False),
    ],
)
def test_a_room_is_shown_to_those_inside_and_to_those_who_may_come_in(
    entry: dict[str, Any], looker: Looker, shown: bool
) -> None:
    assert may_see(entry, looker) is shown


def test_a_room_that_is_open_is_shown_to_whoever_asks() -> None:
    assert is_open_to_all({"join_rule": "public"})
    assert not is_open_to_all({"join_rule": "restricted"})


def event(state_key: str = CHILD, *, ts: Any = 1, kind: str = "m.space.child", **content: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "state_key": state_key,
        "sender": "@a:x.example",
        "content": {"via": ["x.example"], **content},
        "origin_server_ts": ts,
    }


def test_a_child_is_named_with_servers_and_stripped() -> None:
    child = child_of({**event(suggested=True), "event_id": "$x", "unsigned": {}})
    assert child is not None
    assert (child.room_id, child.via, child.suggested) == (CHILD, ["x.example"], True)
    assert child.stripped == event(suggested=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        event("child"),
        event(via=[]),
        event(via="x.example"),
        event(kind="m.space.parent"),
        event(ts="1"),
        {**event(), "sender": None},
    ],
)
def test_what_names_no_child_is_none(wrong: dict[str, Any]) -> None:
    assert child_of(wrong) is None


def test_children_come_in_their_order_each_once() -> None:
    events = [
        event("!a:x", ts=3),
        event("!b:x", ts=2),
        event("!c:x", order="b"),
        event("!d:x", order="a"),
        event("!a:x", ts=3),
        "nonsense",
    ]
    assert [child.room_id for child in children_of(events)] == ["!d:x", "!c:x", "!b:x", "!a:x"]
    assert children_of([event("!a:x"), event("!b:x", suggested=True)], suggested_only=True)[0].room_id == "!b:x"


@pytest.mark.parametrize(("listed", "names"), [(["a", 5, "b:1", "b c"], ["a", "b:1"]), ("a", []), (None, [])])
def test_servers_are_those_with_a_name(listed: object, names: list[str]) -> None:
    assert servers_in(listed) == names


def test_another_servers_answer_is_believed_as_far_as_it_goes() -> None:
    told = {**LEAST, "room_id": CHILD}
    answer = {
        "room": {**LEAST, "children_state": [event(), event("!gone:x"), event("!unknown:x")]},
        "children": [told, {**LEAST, "room_id": "!stranger:x"}, "nonsense", {}],
        "inaccessible_children": ["!gone:x", "!elsewhere:x"],
    }
    described = described_by_peer(answer, ROOM)
    assert described is not None
    assert described.entry == LEAST
    assert [child.room_id for child in described.children] == [CHILD, "!gone:x", "!unknown:x"]
    assert described.relatives == {CHILD: Described(told), "!gone:x": None}


@pytest.mark.parametrize(
    "answer", [{}, {"room": None}, {"room": {**LEAST, "room_id": "!other:x"}}, {"room": {"room_id": ROOM}}]
)
def test_an_answer_about_something_else_is_no_answer(answer: dict[str, Any]) -> None:
    assert described_by_peer(answer, ROOM) is None


def test_an_answer_may_be_without_children() -> None:
    answer = {"room": {**LEAST, "children_state": 5}, "children": 5, "inaccessible_children": 5}
    assert described_by_peer(answer, ROOM) == Described(LEAST, [], {})
