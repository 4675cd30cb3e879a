from typing import Any

import pytest

from watchword.base.errors import RemoteProtocolError
from watchword.protocol import stripped_state
from watchword.protocol.events import parse_pdu
from watchword.protocol.ids import UserId
from watchword.protocol.room_versions import V10


def state(event_type: str, state_key: str = "", **fields: Any) -> dict[str, Any]:
    return {"type": event_type, "state_key": state_key, "sender": "@a:b.org", "content": {}} | fields


def test_an_outsider_sees_seven_types_and_the_members_named() -> None:
    keys = stripped_state.stripped_state_keys(UserId("@a:b.org"), UserId("@c:d.org"))
    assert keys[-2:] == (("m.room.member", "@a:b.org"), ("m.room.member", "@c:d.org"))
    assert {event_type for event_type, _ in keys[:-2]} == {
        "m.room.create",
        "m.room.name",
        "m.room.avatar",
        "m.room.topic",
        "m.room.join_rules",
        "m.room.canonical_alias",
        "m.room.encryption",
    }
    assert len(stripped_state.stripped_state_keys()) == 7


def test_a_stripped_event_has_four_keys() -> None:
    assert stripped_state.strip(state("m.room.name", unsigned={}, event_id="$a")) == state("m.room.name")


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "x",
        {},
        {"type": "a", "sender": "b", "content": {}},
        state("a", type=1),
        state("a", content=[]),
        state("a", sender=None),
        {**state("a"), "state_key": 0},
    ],
)
def test_what_is_no_state_event_is_not_stripped(event: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        stripped_state.strip(event)


def test_of_what_a_peer_sends_only_what_outsiders_may_see_is_kept() -> None:
    sent = [state("m.room.create"), state("m.room.member", "@x:y"), state("m.room.name", "key"), state("m.room.secret"), None]
    assert stripped_state.strip_all(sent) == [state("m.room.create"), state("m.room.member", "@x:y")]


def test_the_create_event_is_looked_for() -> None:
    assert stripped_state.has_create([state("m.room.name"), state("m.room.create")])
    assert not stripped_state.has_create([state("m.room.create", "key")])
    assert not stripped_state.has_create([])


def test_an_event_can_be_stripped_but_for_its_time() -> None:
    event = state("m.space.child", "!c:b.org", content={"via": ["b.org"]}) | {
        "room_id": "!r:b.org",
        "origin_server_ts": 12,
        "depth": 1,
        "prev_events": [],
        "auth_events": [],
        "hashes": {"sha256": ""},
        "signatures": {},
    }
    stripped = stripped_state.strip_dated(parse_pdu(event, V10))
    assert stripped == state("m.space.child", "!c:b.org", content={"via": ["b.org"]}, origin_server_ts=12)
