import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from watchword.base import limits
from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.push_conditions import (
    AboutReader,
    MentionsReader,
    PushContext,
    PushEvent,
    Related,
    RepliesToReader,
    compile_body_match,
    compile_condition,
    parse_path,
    relations_in,
)

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "vectors" / "push-conditions.json").read_text())
KINDS = ("event_match", "event_property_is", "event_property_contains")
CASES = [(kind, case) for kind in KINDS for case in VECTORS[kind]]


def a_context(**changes: Any) -> PushContext:
    given = {"user_id": "@me:hs", "display_name": "Me", "member_count": 2, "sender_level": 0, **changes}
    return PushContext(notification_level={"room": 50}.get, **given)  # type: ignore[arg-type]


def holds(condition: object, event: Mapping[str, Any], context: PushContext | None = None) -> bool:
    compiled = compile_condition(condition)
    return compiled is not None and compiled.holds(PushEvent(event), context or a_context())


@pytest.mark.parametrize(("kind", "case"), CASES)
def test_a_condition_holds_as_specified(kind: str, case: Mapping[str, Any]) -> None:
    condition = {"kind": kind, **{name: case[name] for name in ("key", "pattern", "value") if name in case}}
    assert holds(condition, case["event"]) == case["match"]


@pytest.mark.parametrize("case", VECTORS["room_member_count"])
def test_members_are_counted_as_specified(case: Mapping[str, Any]) -> None:
    condition = {"kind": "room_member_count", "is": case["is"]}
    assert holds(condition, {}, a_context(member_count=case["members"])) == case["match"]


@pytest.mark.parametrize(
    "condition",
    [
        None,
        [],
        {},
        {"kind": "org.example.unknown", "key": "x"},
        {"kind": []},
        {"kind": "room_member_count"},
        {"kind": "room_member_count", "is": 2},
        {"kind": "room_member_count", "is": "~2"},
        {"kind": "room_member_count", "is": "9" * 50},
        {"kind": "event_match", "pattern": "*"},
        {"kind": "event_match", "key": 5, "pattern": "*"},
        {"kind": "event_match", "key": "type", "pattern": 5},
        {"kind": "event_match", "key": "type"},
        {"kind": "event_match", "key": "type", "pattern": "x" * (limits.push_pattern_characters_max + 1)},
        {"kind": "event_property_is", "key": "type"},
        {"kind": "event_property_is", "key": "content", "value": {}},
        {"kind": "event_property_is", "key": "type", "value": 1.5},
        {"kind": "sender_notification_permission", "key": None},
    ],
)
def test_what_is_unknown_or_malformed_never_holds(condition: object) -> None:
    assert compile_condition(condition) is None


def test_the_sender_needs_the_level_to_notify() -> None:
    condition = {"kind": "sender_notification_permission", "key": "room"}
    assert not holds(condition, {}, a_context(sender_level=49))
    assert holds(condition, {}, a_context(sender_level=50))


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("Alice", {"body": "hello ALICE!"}, True),
        ("Alice", {"body": "malice"}, False),
        ("A*", {"body": "ab"}, False),
        ("", {"body": "hello"}, False),
        (None, {"body": "hello"}, False),
        ("Alice", {"body": 5}, False),
        ("Alice", {}, False),
    ],
)
def test_a_display_name_is_found_in_the_body(name: str | None, content: Mapping[str, Any], found: bool) -> None:
    assert holds({"kind": "contains_display_name"}, {"content": content}, a_context(display_name=name)) == found


def test_an_invite_may_be_about_the_reader() -> None:
    assert AboutReader().holds(PushEvent({"state_key": "@me:hs"}), a_context())
    assert not AboutReader().holds(PushEvent({"state_key": "@you:hs"}), a_context())
    assert not AboutReader().holds(PushEvent({}), a_context())


@pytest.mark.parametrize(
    ("listed", "mentioned"), [(["@me:hs", 5], True), (["@you:hs"], False), ("@me:hs", False), (None, False), ([[]], False)]
)
def test_a_reader_may_be_mentioned(listed: object, mentioned: bool) -> None:
    event = PushEvent({"content": {"m.mentions": {"user_ids": listed}}})
    assert MentionsReader().holds(event, a_context()) == mentioned
    assert MentionsReader().holds(event, a_context()) == mentioned


def test_personal_conditions_do_not_hold_for_nobody() -> None:
    event = PushEvent({"state_key": "", "content": {"body": ""}})
    kinds = ({"kind": "room_member_count", "is": ">=0"}, {"kind": "contains_display_name"})
    for condition in (*map(compile_condition, kinds), AboutReader(), MentionsReader()):
        assert condition is not None
        assert condition.is_personal
        assert not condition.holds(event, None)
    permission = compile_condition({"kind": "sender_notification_permission", "key": "room"})
    assert permission is not None
    assert not permission.holds(event, None)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("type", ("type",)),
        ("content.body", ("content", "body")),
        (r"content.m\.relates_to", ("content", "m.relates_to")),
        (r"a\\b", (r"a\b",)),
        (r"a\\.b", ("a\\", "b")),
        (r"a\x", (r"a\x",)),
        ("a\\", ("a\\",)),
        ("", ("",)),
        ("a..b", ("a", "", "b")),
    ],
)
def test_a_property_path_is_split_at_dots(key: str, path: tuple[str, ...]) -> None:
    assert parse_path(key) == path


def test_a_content_rule_is_asked_of_the_body() -> None:
    compiled = compile_body_match("cat")
    assert compiled is not None
    assert compiled.holds(PushEvent({"content": {"body": "a cat"}}), None)
    assert compile_body_match(None) is None


def test_an_event_knows_its_room_and_id_wherever_its_format_keeps_them() -> None:
    raw = {"type": "m.room.message", "sender": "@a:hs", "content": {}}
    pdu = Pdu(EventId("$e"), RoomId("!r"), UserId("@a:hs"), "m.room.message", None, {}, 1, 1, (), (), raw)
    event = PushEvent.of(pdu)
    assert (event.room_id, event.sender, event.text(("event_id",))) == ("!r", "@a:hs", "$e")


def test_a_value_looked_up_before_is_the_same_again() -> None:
    event = PushEvent({"content": {"x": None}})
    condition = {"kind": "event_property_is", "key": "content.x", "value": None}
    for _ in range(2):
        compiled = compile_condition(condition)
        assert compiled is not None
        assert compiled.holds(event, None)


def test_nonsense_in_place_of_names_is_no_name() -> None:
    event = PushEvent({"room_id": [], "sender": 5})
    assert (event.room_id, event.sender) == ("", "")


# Subscribed threads


@pytest.mark.parametrize("subscribed", [True, False])
def test_a_subscription_is_asked_about_where_there_is_a_thread(subscribed: bool) -> None:
    condition = {"kind": "io.element.msc4306.thread_subscription", "subscribed": subscribed}
    assert holds(condition, {}, a_context(is_subscribed=subscribed))
    assert not holds(condition, {}, a_context(is_subscribed=not subscribed))
    assert not holds(condition, {}, a_context(is_subscribed=None))


def test_a_subscription_that_is_neither_never_holds() -> None:
    assert compile_condition({"kind": "io.element.msc4306.thread_subscription", "subscribed": "yes"}) is None


# Related events

REPLY_TO_ME = {"kind": "im.nheko.msc3664.related_event_match", "rel_type": "m.in_reply_to", "key": "sender", "pattern": "@me:*"}


def a_reply(to: str = "@me:hs", *, is_fallback: bool = False) -> PushContext:
    return a_context(related={"m.in_reply_to": Related(PushEvent({"sender": to}), is_fallback)})


def test_a_related_event_is_matched() -> None:
    assert holds(REPLY_TO_ME, {}, a_reply())
    assert not holds(REPLY_TO_ME, {}, a_reply("@you:hs"))
    assert not holds(REPLY_TO_ME, {}, a_context())
    assert not holds(REPLY_TO_ME, {}, a_context(related={"m.in_reply_to": Related(None)}))
    assert not holds(REPLY_TO_ME, {}, a_context(related={"m.thread": Related(PushEvent({"sender": "@me:hs"}))}))


def test_a_fallback_relation_counts_only_if_asked_for() -> None:
    assert not holds(REPLY_TO_ME, {}, a_reply(is_fallback=True))
    assert holds({**REPLY_TO_ME, "include_fallbacks": True}, {}, a_reply(is_fallback=True))


def test_a_relation_alone_may_be_enough() -> None:
    condition = {"kind": "im.nheko.msc3664.related_event_match", "rel_type": "m.replace"}
    assert holds(condition, {}, a_context(related={"m.replace": Related(None)}))
    assert not holds(condition, {}, a_reply())


@pytest.mark.parametrize(
    "changes",
    [{"rel_type": None}, {"key": None}, {"pattern": None}, {"include_fallbacks": "yes"}],
)
def test_a_malformed_relation_never_holds(changes: Mapping[str, Any]) -> None:
    assert compile_condition({**REPLY_TO_ME, **changes}) is None
    assert compile_condition({name: value for name, value in REPLY_TO_ME.items() if name != "key"}) is None


def test_the_rule_on_replies_asks_for_events_of_the_reader() -> None:
    asked, event = RepliesToReader(), PushEvent({})
    assert asked.holds(event, a_reply())
    assert not asked.holds(event, a_reply("@you:hs"))
    assert not asked.holds(event, a_reply(is_fallback=True))
    assert not asked.holds(event, a_context(related={"m.in_reply_to": Related(None)}))
    assert not asked.holds(event, a_context())
    assert not asked.holds(event, None)


def test_relations_are_read_from_the_content() -> None:
    assert relations_in({}) == {}
    reply = {"m.in_reply_to": {"event_id": "$a"}}
    assert relations_in({"m.relates_to": reply}) == {"m.in_reply_to": ("$a", False)}
    in_thread = {**reply, "rel_type": "m.thread", "event_id": "$root", "is_falling_back": True}
    assert relations_in({"m.relates_to": in_thread}) == {"m.thread": ("$root", False), "m.in_reply_to": ("$a", True)}
