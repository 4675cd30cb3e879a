from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from watchword.base.errors import LocalProtocolError, RemoteProtocolError
from watchword.protocol import canonical_json, events, signatures
from watchword.protocol.event_building import BuiltEvent, EventDraft, build_event
from watchword.protocol.events import EventTooLarge, parse_pdu
from watchword.protocol.ids import EventId, RoomId, ServerName, UserId
from watchword.protocol.room_versions import ROOM_VERSIONS, V1, V5, V10, V11, V12, RoomVersion
from watchword.protocol.signatures import SigningKey

KEY = SigningKey(b"\x07" * 32, "a")
SERVER = ServerName("example.org")
OPAQUE_ID = EventId("$0:example.org")
HASH_ID = EventId("$" + "a" * 43)


@dataclass(frozen=True)
class _Case:
    draft: EventDraft
    version: RoomVersion

    def build(self) -> BuiltEvent:
        return build_event(self.draft, self.version, SERVER, KEY)


def a_draft(version: RoomVersion, **fields: Any) -> _Case:
    reference = OPAQUE_ID if version.event_ids_in_events else HASH_ID
    draft = EventDraft(
        "m.room.message",
        UserId("@alice:example.org"),
        RoomId("!" + "b" * 43) if version.room_id_is_create_hash else RoomId("!room:example.org"),
        {"body": "hello"},
        1_700_000_000_000,
        7,
        [reference],
        [reference],
    )
    if version.event_ids_in_events:
        draft = msgspec.structs.replace(draft, event_id=EventId("$1:example.org"), reference_hashes={OPAQUE_ID: b"\x01" * 32})
    return _Case(msgspec.structs.replace(draft, **fields), version)


@pytest.mark.parametrize("version", ROOM_VERSIONS.values(), ids=lambda version: version.identifier)
@pytest.mark.parametrize(
    "fields", [{}, {"type": "m.room.topic", "state_key": ""}, {"type": "m.room.redaction", "redacts": HASH_ID}]
)
def test_what_we_build_is_what_others_parse(version: RoomVersion, fields: dict[str, Any]) -> None:
    built = a_draft(version, **fields).build()
    raw = canonical_json.decode(built.encoded)
    pdu = parse_pdu(raw, version)
    assert canonical_json.encode(raw) == built.encoded
    assert msgspec.structs.replace(built.pdu, json=raw) == pdu
    assert canonical_json.encode(built.pdu.json) == built.encoded
    assert events.content_hash_matches(raw)
    assert all(
        signatures.verify_event(raw, version, signer, KEY.verify_key) for signer in signatures.required_signers(raw, version)
    )
    assert pdu.redacts == fields.get("redacts")


def test_a_create_event_of_version_12_makes_its_room() -> None:
    built = a_draft(V12, type="m.room.create", state_key="", room_id=None, prev_events=[], auth_events=[]).build()
    assert built.pdu.room_id == "!" + built.pdu.event_id[1:]
    assert parse_pdu(canonical_json.decode(built.encoded), V12).room_id == built.pdu.room_id


def test_building_leaves_the_draft_as_it_was() -> None:
    content = {"reason": "spam"}
    built = a_draft(V11, type="m.room.redaction", redacts=HASH_ID, content=content).build()
    assert content == {"reason": "spam"}
    assert built.pdu.content == {"reason": "spam", "redacts": HASH_ID}


def test_floats_are_sent_only_to_rooms_that_know_them() -> None:
    built = a_draft(V5, content={"a": 1.5, "b": 2**60}).build()
    assert b'"a":1.5,"b":1152921504606846976' in built.encoded
    with pytest.raises(RemoteProtocolError):
        a_draft(V10, content={"a": 1.5}).build()


@pytest.mark.parametrize("content", [{"a": "\ud800"}, {"a": 2**53}, {"a": float("nan")}])
def test_content_without_canonical_json_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        a_draft(V12, content=content).build()


def test_content_that_is_nested_too_deeply_is_refused() -> None:
    content: dict[str, Any] = {}
    for _ in range(128):
        content = {"a": content}
    with pytest.raises(RemoteProtocolError):
        a_draft(V12, content=content).build()


@pytest.mark.parametrize(
    "fields", [{"content": {"body": "a" * 65_536}}, {"type": "a" * 256}, {"type": "é" * 128}, {"state_key": "a" * 256}]
)
def test_what_is_too_large_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(EventTooLarge):
        a_draft(V12, **fields).build()


@pytest.mark.parametrize(
    "case",
    [
        a_draft(V12, prev_events=[HASH_ID] * 21),
        a_draft(V12, auth_events=[HASH_ID] * 11),
        a_draft(V12, depth=-1),
        a_draft(V12, depth=2**53),
        a_draft(V12, event_id=OPAQUE_ID),
        a_draft(V1, event_id=None),
        a_draft(V12, room_id=None),
        a_draft(V11, type="m.room.create", room_id=None),
        a_draft(V12, type="m.room.create"),
        a_draft(V1, reference_hashes={}),
    ],
)
def test_our_own_mistakes_are_named_as_ours(case: _Case) -> None:
    with pytest.raises(LocalProtocolError):
        case.build()


def test_a_reference_of_which_the_hash_is_not_known_is_a_pair_without_it() -> None:
    built = a_draft(V1, event_id=EventId("$1:example.org"), reference_hashes={OPAQUE_ID: b""}).build()
    assert built.pdu.json["prev_events"] == [[OPAQUE_ID, {}]]
    assert list(parse_pdu(dict(built.pdu.json), V1).prev_events) == [OPAQUE_ID]
