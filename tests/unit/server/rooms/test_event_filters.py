"""Which events a RoomEventFilter lets through."""

from typing import Any

import pytest

from watchword.base.errors import BadRequest
from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.rooms.event_filters import EVERYTHING, parse_filter


def event(kind: str = "m.room.message", sender: str = "@a:x", **content: Any) -> Pdu:
    return Pdu(EventId("$e"), RoomId("!r:x"), UserId(sender), kind, None, content, 0, 1, (), (), {}, None)


@pytest.mark.parametrize(
    ("given", "kind", "allowed"),
    [
        ({}, "m.room.message", True),
        ({"types": None}, "m.room.message", True),
        ({"types": []}, "m.room.message", False),
        ({"not_types": []}, "m.room.message", True),
        ({"types": ["m.room.message"]}, "m.room.message", True),
        ({"types": ["m.room.message"]}, "m.room.messages", False),
        ({"types": ["m.room.*"]}, "m.room.message", True),
        ({"types": ["m.room.*"]}, "xm.room.message", False),
        ({"types": ["*"]}, "", True),
        ({"types": ["*"]}, "a\nb", True),
        ({"types": ["*.message"]}, "m.room.message", True),
        ({"types": ["*.message"]}, "m.room.message.x", False),
        ({"types": ["m.*.m*e"]}, "m.room.message", True),
        ({"types": ["m*m"]}, "m", False),
        ({"types": ["m**room*"]}, "m.room.x", True),
        ({"types": ["a", "b*"]}, "bc", True),
        ({"types": ["m.room?message"]}, "m.room.message", False),
        ({"types": ["m.room.message"], "not_types": ["m.room.*"]}, "m.room.message", False),
        ({"not_types": ["m.reaction"]}, "m.room.message", True),
    ],
)
def test_types(given: dict[str, Any], kind: str, allowed: bool) -> None:
    assert parse_filter(given).allows(event(kind)) is allowed
    assert parse_filter(given).allows_type(kind) is allowed


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ({"senders": ["@a:x"]}, True),
        ({"senders": []}, False),
        ({"senders": ["@b:x"]}, False),
        ({"not_senders": ["@a:x"]}, False),
        ({"senders": ["@a:x"], "not_senders": ["@a:x"]}, False),
        ({"not_senders": ["@b:x"]}, True),
    ],
)
def test_senders(given: dict[str, Any], allowed: bool) -> None:
    assert parse_filter(given).allows(event()) is allowed


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ({"rooms": ["!r:x"]}, True),
        ({"rooms": []}, False),
        ({"rooms": ["!r:x"], "not_rooms": ["!r:x"]}, False),
        ({"not_rooms": ["!s:x"]}, True),
        ({}, True),
    ],
)
def test_rooms(given: dict[str, Any], allowed: bool) -> None:
    assert parse_filter(given).allows_room("!r:x") is allowed


def test_contains_url_looks_for_a_string() -> None:
    wanted, unwanted = parse_filter({"contains_url": True}), parse_filter({"contains_url": False})
    assert wanted.allows(event(url="mxc://x/y"))
    assert not wanted.allows(event())
    assert not wanted.allows(event(url=1))
    assert not unwanted.allows(event(url="mxc://x/y"))
    assert unwanted.allows(event(url=1))


def test_what_limits_nothing_is_known_to() -> None:
    assert EVERYTHING.allows_everything
    assert parse_filter({"limit": 3, "rooms": [], "lazy_load_members": True}).allows_everything
    assert not parse_filter({"types": []}).allows_everything
    assert not parse_filter({"contains_url": False}).allows_everything


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        "x",
        {"limit": -1},
        {"limit": True},
        {"limit": 1.5},
        {"limit": "1"},
        {"types": "m.room.message"},
        {"types": [1]},
        {"not_senders": {}},
        {"senders": ["x"] * 1_001},
        {"contains_url": 1},
        {"lazy_load_members": "yes"},
        {"unread_thread_notifications": None},
    ],
)
def test_what_is_no_filter_is_refused(given: object) -> None:
    with pytest.raises(BadRequest, match="M_BAD_JSON"):
        parse_filter(given)


@pytest.mark.parametrize("pattern", ["*a" * 120 + "b", "*" * 1_000 + "b", ("a*" * 100 + "b") * 3])
def test_no_pattern_is_slow(pattern: str) -> None:
    wanted = parse_filter({"types": [pattern] * 50})
    assert not wanted.allows_type("a" * 255)


@pytest.mark.parametrize("prefix", ["", "org.matrix.msc3874."])
def test_relations_of_an_event_are_asked_of_itself(prefix: str) -> None:
    relation: dict[str, Any] = {"m.relates_to": {"rel_type": "m.thread", "event_id": "$x"}}
    thread = event(**relation)
    plain = event()
    only = parse_filter({f"{prefix}rel_types": ["m.thread"]})
    assert [only.allows(pdu) for pdu in (thread, plain)] == [True, False]
    none = parse_filter({f"{prefix}not_rel_types": ["m.thread"]})
    assert [none.allows(pdu) for pdu in (thread, plain)] == [False, True]
    both = parse_filter({f"{prefix}rel_types": ["m.thread"], f"{prefix}not_rel_types": ["m.thread"]})
    assert not both.allows(thread)
    assert not parse_filter({f"{prefix}rel_types": []}).allows(thread)
    assert not only.allows_everything
    assert not none.allows_everything


def test_relations_to_an_event_are_left_to_who_can_look_them_up() -> None:
    assert not parse_filter({}).asks_for_relations
    found = parse_filter({"related_by_rel_types": ["m.thread"], "related_by_senders": ["@a:b"]})
    assert found.asks_for_relations
    assert (found.related_by_rel_types, found.related_by_senders) == (frozenset({"m.thread"}), frozenset({"@a:b"}))
    old = parse_filter({"io.element.relation_types": ["m.thread"], "io.element.relation_senders": []})
    assert (old.related_by_rel_types, old.related_by_senders) == (frozenset({"m.thread"}), frozenset())
