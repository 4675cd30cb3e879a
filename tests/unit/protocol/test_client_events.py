import json
from typing import Any

import pytest

from watchword.protocol import client_events
from watchword.protocol.events import Pdu, parse_pdu
from watchword.protocol.ids import EventId, RoomId
from watchword.protocol.room_versions import V5, V10, V11, V12, RoomVersion

TARGET = "$" + "t" * 43


def a_pdu(version: RoomVersion = V10, **fields: Any) -> Pdu:
    event = {
        "room_id": "!" + "b" * 43 if version is V12 else "!room:example.org",
        "sender": "@alice:example.org",
        "type": "m.room.message",
        "content": {"body": "hello"},
        "origin_server_ts": 1_700_000_000_000,
        "depth": 7,
        "prev_events": [],
        "auth_events": [],
        "hashes": {"sha256": "abc"},
        "signatures": {},
        "custom": "not for clients",
    }
    return parse_pdu(event | fields, version)


def finished(pdu: Pdu, version: RoomVersion) -> Any:
    return json.loads(client_events.finish(client_events.client_event_base(pdu, version)))


def test_a_message_has_exactly_the_fields_of_a_client_event() -> None:
    pdu = a_pdu()
    assert finished(pdu, V10) == {
        "content": {"body": "hello"},
        "event_id": pdu.event_id,
        "origin_server_ts": 1_700_000_000_000,
        "sender": "@alice:example.org",
        "type": "m.room.message",
    }


def test_a_state_event_has_its_state_key() -> None:
    assert finished(a_pdu(V12, state_key=""), V12)["state_key"] == ""


@pytest.mark.parametrize(
    ("version", "fields"), [(V10, {"redacts": TARGET, "content": {}}), (V11, {"content": {"redacts": TARGET}})]
)
def test_a_redaction_names_its_target_in_both_places(version: RoomVersion, fields: dict[str, Any]) -> None:
    pdu = a_pdu(version, type="m.room.redaction", **fields)
    event = finished(pdu, version)
    assert event["redacts"] == event["content"]["redacts"] == TARGET
    assert pdu.content == fields["content"]


def test_floats_of_older_rooms_reach_clients() -> None:
    pdu = a_pdu(V5, content={"a": 1.5})
    assert finished(pdu, V5)["content"] == {"a": 1.5}
    assert client_events.encode_content(pdu, V5) == b'{"a":1.5}'


def test_the_room_id_and_unsigned_are_spliced_in() -> None:
    base = client_events.client_event_base(a_pdu(), V10)
    event = json.loads(client_events.finish(client_events.with_room_id(base, RoomId('!"\n:a.org')), b'{"age":1}'))
    assert event["room_id"] == '!"\n:a.org'
    assert event["unsigned"] == {"age": 1}
    assert event["content"] == {"body": "hello"}


def test_unsigned_holds_what_the_reader_may_know() -> None:
    because = client_events.finish(client_events.client_event_base(a_pdu(), V10))
    unsigned = client_events.encode_unsigned(
        age_ms=12,
        membership="join",
        transaction_id='"quoted"',
        replaces_state=EventId(TARGET),
        prev_content=client_events.encode_content(a_pdu(), V10),
        redacted_because=because,
        relations=b'{"m.annotation":{}}',
    )
    assert json.loads(unsigned) == {
        "age": 12,
        "membership": "join",
        "transaction_id": '"quoted"',
        "replaces_state": TARGET,
        "prev_content": {"body": "hello"},
        "redacted_because": json.loads(because),
        "m.relations": {"m.annotation": {}},
    }


def test_unsigned_without_members_is_left_out() -> None:
    assert client_events.encode_unsigned() == b""
    assert client_events.finish(b'{"a":1', client_events.encode_unsigned()) == b'{"a":1}'
