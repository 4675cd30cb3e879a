import json
from pathlib import Path
from typing import Any

import pytest

from watchword.base import limits
from watchword.base.errors import RemoteProtocolError
from watchword.protocol import events
from watchword.protocol.events import EventTooLarge, parse_pdu
from watchword.protocol.room_versions import ROOM_VERSIONS, V1, V3, V5, V6, V10, V11, V12, RoomVersion

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "vectors" / "redaction-and-event-ids.json").read_text())
HASH_ID = "$" + "a" * 43
ROOM_12 = "!" + "b" * 43


def an_event(version: RoomVersion = V12, **fields: Any) -> dict[str, Any]:
    """A well-formed message; a field given as None is left out."""
    event: dict[str, Any] = {
        "room_id": ROOM_12 if version is V12 else "!room:example.org",
        "sender": "@alice:example.org",
        "type": "m.room.message",
        "content": {"body": "hello"},
        "origin_server_ts": 1_700_000_000_000,
        "depth": 7,
        "prev_events": [HASH_ID],
        "auth_events": [HASH_ID],
        "hashes": {"sha256": "abc"},
        "signatures": {"example.org": {"ed25519:1": "abc"}},
    }
    if version.event_ids_in_events:
        event |= {"event_id": "$1:example.org", "prev_events": [], "auth_events": [["$0:example.org", {"sha256": "abc"}]]}
    event |= fields
    return {key: value for key, value in event.items() if value is not None}


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: f"{case['case']}-{case['room_version']}")
def test_events_of_every_room_version_get_their_hash_and_their_id(case: dict[str, Any]) -> None:
    version = ROOM_VERSIONS[case["room_version"]]
    pdu = parse_pdu(case["event"], version)
    assert pdu.event_id == case.get("event_id", case["event"].get("event_id"))
    assert events.event_id_of(case["redacted"], version) == pdu.event_id
    assert events.content_hash(case["event"]) == case["content_hash"]
    assert events.content_hash_matches(case["event"])
    assert "unsigned" not in pdu.json


def test_a_parsed_event_says_what_was_sent() -> None:
    raw = an_event(state_key="", unsigned={"age": 1})
    pdu = parse_pdu(raw, V12)
    assert pdu.room_id == ROOM_12
    assert pdu.sender == "@alice:example.org"
    assert pdu.state_address == ("m.room.message", "")
    assert pdu.content == {"body": "hello"}
    assert (pdu.depth, pdu.origin_server_ts) == (7, 1_700_000_000_000)
    assert (pdu.prev_events, pdu.auth_events) == ([HASH_ID], [HASH_ID])
    assert pdu.json == {key: value for key, value in raw.items() if key != "unsigned"}
    assert raw["unsigned"] == {"age": 1}


def test_an_event_without_state_key_has_no_state_address() -> None:
    assert parse_pdu(an_event(), V12).state_address is None


@pytest.mark.parametrize("raw", [None, [], "event", 1, 1.5, True])
def test_an_event_is_an_object(raw: object) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_pdu(raw, V12)


REQUIRED = ["room_id", "sender", "type", "content", "origin_server_ts", "depth"]
REQUIRED += ["prev_events", "auth_events", "hashes", "signatures"]


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("version", [V1, V3, V10, V12], ids=lambda version: version.identifier)
def test_a_missing_field_is_refused(name: str, version: RoomVersion) -> None:
    with pytest.raises(RemoteProtocolError, match=name):
        parse_pdu(an_event(version, **{name: None}), version)


WRONG: list[tuple[str, Any]] = [
    ("room_id", 1),
    ("room_id", "room"),
    ("room_id", "!no-domain"),
    ("room_id", "!room:example.org"),
    ("sender", "alice"),
    ("sender", 1),
    ("sender", "@a\x00:example.org"),
    ("sender", "@\ud800:example.org"),
    ("type", 1),
    ("type", "\ud800"),
    ("state_key", 1),
    ("state_key", ["a"]),
    ("content", []),
    ("content", "text"),
    ("content", {"body": "\ud800"}),
    ("content", {"\udc00": 1}),
    ("content", {"a": 1.5}),
    ("content", {"a": 2**53}),
    ("content", {"a": float("nan")}),
    ("origin_server_ts", "1"),
    ("origin_server_ts", 1.0),
    ("origin_server_ts", True),
    ("origin_server_ts", 2**53),
    ("depth", "1"),
    ("depth", True),
    ("depth", -1),
    ("depth", 2**53),
    ("prev_events", "$a"),
    ("prev_events", {}),
    ("prev_events", [1]),
    ("prev_events", ["a"]),
    ("prev_events", [["$a:b", {}]]),
    ("prev_events", ["$" + "a" * 255]),
    ("prev_events", [HASH_ID] * 21),
    ("auth_events", [None]),
    ("auth_events", [HASH_ID] * 11),
    ("auth_events", ["$" + ROOM_12[1:]]),
    ("hashes", []),
    ("hashes", {}),
    ("hashes", {"sha256": 1}),
    ("signatures", []),
    ("signatures", {"a": "b"}),
    ("signatures", {"a": {"b": 1}}),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda value: repr(value)[:30])
def test_a_field_of_the_wrong_form_is_refused(name: str, value: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_pdu(an_event(**{name: value}), V12)


def test_a_null_state_key_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        parse_pdu({**an_event(), "state_key": None}, V12)


@pytest.mark.parametrize("name", ["type", "state_key", "sender", "room_id"])
def test_255_bytes_are_the_most_for_a_name(name: str) -> None:
    prefix = {"sender": "@", "room_id": "!"}.get(name, "")
    suffix = {"sender": ":a.org", "room_id": ":a.org"}.get(name, "")
    longest = prefix + "a" * (255 - len(prefix + suffix)) + suffix
    assert parse_pdu(an_event(V10, **{name: longest}), V10)
    with pytest.raises(EventTooLarge):
        parse_pdu(an_event(V10, **{name: "é" + longest[1:]}), V10)


def test_65536_bytes_with_signatures_are_the_most_for_an_event() -> None:
    size = len(json.dumps(an_event(), separators=(",", ":")))
    body = "a" * (limits.event_bytes_max - size + len("hello"))
    assert parse_pdu(an_event(content={"body": body}, unsigned={"x": "a" * 70_000}), V12)
    with pytest.raises(EventTooLarge):
        parse_pdu(an_event(content={"body": body + "a"}), V12)
    with pytest.raises(EventTooLarge):
        parse_pdu(an_event(content={"body": "a" * 10_000_000}), V12)


@pytest.mark.parametrize("depth", [limits.json_depth_max, 250, 5_000])
def test_a_deeply_nested_event_is_refused(depth: int) -> None:
    content: dict[str, Any] = {}
    for _ in range(depth):
        content = {"a": content}
    with pytest.raises(RemoteProtocolError):
        parse_pdu(an_event(content=content), V12)


def test_backfilled_events_may_have_more_references() -> None:
    raw = an_event(prev_events=[HASH_ID] * 21, auth_events=[HASH_ID] * 11)
    assert len(parse_pdu(raw, V12, references_bounded=False).prev_events) == 21


def test_twenty_and_ten_references_are_allowed() -> None:
    assert parse_pdu(an_event(prev_events=[HASH_ID] * 20, auth_events=[HASH_ID] * 10), V12)


@pytest.mark.parametrize("references", ["$a:b", [1], ["$a:b"], [["$a:b"]], [["$a:b", "hash"]], [["a", {}]], [[1, {}]]])
def test_before_version_3_references_are_pairs(references: Any) -> None:
    assert parse_pdu(an_event(V1), V1).auth_events == ["$0:example.org"]
    with pytest.raises(RemoteProtocolError):
        parse_pdu(an_event(V1, prev_events=references), V1)


@pytest.mark.parametrize("event_id", [None, 1, "a:b", "$a", "$a:under_score.org", "$" + "a" * 255 + ":b", HASH_ID])
def test_before_version_3_an_event_names_itself_and_its_server(event_id: Any) -> None:
    assert parse_pdu(an_event(V1), V1).event_id == "$1:example.org"
    with pytest.raises(RemoteProtocolError):
        parse_pdu(an_event(V1, event_id=event_id), V1)


def test_before_version_6_numbers_are_free() -> None:
    raw = an_event(V5, content={"a": 1.5, "b": 2**60}, depth=2**53)
    assert parse_pdu(raw, V5).depth == 2**53
    assert events.content_hash_matches(events.with_content_hash(raw))
    with pytest.raises(RemoteProtocolError):
        parse_pdu(raw, V6)
    with pytest.raises(RemoteProtocolError):
        parse_pdu(an_event(V5, depth=2**63), V5)


def test_a_create_event_of_version_12_makes_its_room() -> None:
    pdu = parse_pdu(an_event(type="m.room.create", state_key="", room_id=None, prev_events=[], auth_events=[]), V12)
    assert pdu.room_id == "!" + pdu.event_id[1:]


def test_a_create_event_of_version_12_has_no_room_id() -> None:
    with pytest.raises(RemoteProtocolError):
        parse_pdu(an_event(type="m.room.create", state_key=""), V12)


def test_a_create_event_of_version_11_has_a_room_id() -> None:
    assert parse_pdu(an_event(V11, type="m.room.create", state_key=""), V11).room_id == "!room:example.org"
    with pytest.raises(RemoteProtocolError):
        parse_pdu(an_event(V11, type="m.room.create", state_key="", room_id=None), V11)


def test_the_target_of_a_redaction_is_found_where_the_version_keeps_it() -> None:
    at_top = {"type": "m.room.redaction", "redacts": HASH_ID, "content": {}}
    inside = {"type": "m.room.redaction", "content": {"redacts": HASH_ID}}
    assert parse_pdu(an_event(V10, **at_top), V10).redacts == HASH_ID
    assert parse_pdu(an_event(V10, **inside), V10).redacts is None
    assert parse_pdu(an_event(V11, **at_top), V11).redacts is None
    assert parse_pdu(an_event(V11, **inside), V11).redacts == HASH_ID
    assert parse_pdu(an_event(V11, content={"redacts": HASH_ID}), V11).redacts is None
    assert parse_pdu(an_event(V11, type="m.room.redaction", content={"redacts": 1}), V11).redacts is None


def test_a_changed_event_does_not_match_its_content_hash() -> None:
    raw = events.with_content_hash(an_event())
    assert events.content_hash_matches({**raw, "unsigned": {"age": 1}, "signatures": {}})
    assert not events.content_hash_matches({**raw, "depth": 8})


@pytest.mark.parametrize("hashes", [None, [], {}, {"sha256": 1}, {"sha256": "!"}, {"sha256": "abcd"}, {"sha256": "\ud800"}])
def test_a_missing_or_malformed_content_hash_does_not_match(hashes: Any) -> None:
    assert not events.content_hash_matches({**an_event(), "hashes": hashes})


def test_an_event_that_cannot_be_hashed_does_not_match() -> None:
    assert not events.content_hash_matches(an_event(content={"a": "\ud800"}))
