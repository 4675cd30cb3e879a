from typing import Any

import pytest

from watchword.base.errors import RemoteProtocolError
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.server.rooms.commands import ChangeMembership
from watchword.server.rooms.templates import draft_at, read_template, with_signatures_of

BOB = UserId("@bob:b.example")
ROOM = RoomId("!room:a.example")
COMMAND = ChangeMembership(ROOM, BOB, BOB, "join", {"displayname": "Bob"})


def a_template(**changes: Any) -> dict[str, Any]:
    template: dict[str, Any] = {
        "type": "m.room.member",
        "sender": BOB,
        "state_key": BOB,
        "room_id": ROOM,
        "content": {"membership": "join"},
        "prev_events": ["$prev"],
        "auth_events": ["$auth"],
        "depth": 7,
    }
    return {**template, **changes}


def test_only_the_place_is_taken() -> None:
    place = read_template(a_template(origin_server_ts=1, hashes={}, unsigned={}), COMMAND, ROOM_VERSIONS["10"])
    draft = draft_at(place, COMMAND, None, 99)
    assert (draft.prev_events, draft.auth_events, draft.depth, draft.origin_server_ts) == (["$prev"], ["$auth"], 7, 99)
    assert draft.content == {"displayname": "Bob", "membership": "join"}
    assert (draft.type, draft.sender, draft.state_key, draft.room_id) == ("m.room.member", BOB, BOB, ROOM)


def test_who_vouches_is_taken_where_joins_can_be_restricted() -> None:
    template = a_template(content={"membership": "join", "join_authorised_via_users_server": "@alice:a.example"})
    vouched = draft_at(read_template(template, COMMAND, ROOM_VERSIONS["8"]), COMMAND, None, 1)
    assert vouched.content["join_authorised_via_users_server"] == "@alice:a.example"
    assert (
        "join_authorised_via_users_server"
        not in draft_at(read_template(template, COMMAND, ROOM_VERSIONS["7"]), COMMAND, None, 1).content
    )
    for bad in (5, "alice"):
        with pytest.raises(RemoteProtocolError):
            read_template(
                a_template(content={"membership": "join", "join_authorised_via_users_server": bad}), COMMAND, ROOM_VERSIONS["8"]
            )


@pytest.mark.parametrize(
    "changes",
    [
        {"content": {"membership": "leave"}},
        {"content": None},
        {"type": "m.room.create"},
        {"sender": "@alice:a.example"},
        {"state_key": ""},
        {"room_id": "!other:a.example"},
        {"prev_events": []},
        {"prev_events": ["$x"] * 21},
        {"auth_events": [5]},
        {"auth_events": [["$x", {"sha256": "AA"}]]},
        {"depth": True},
        {"depth": 1 << 53},
    ],
)
def test_a_template_of_something_else_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        read_template(a_template(**changes), COMMAND, ROOM_VERSIONS["10"])


def test_old_rooms_cite_with_hashes() -> None:
    pairs = [["$prev:a.example", {"sha256": "AAAA"}]]
    place = read_template(a_template(prev_events=pairs, auth_events=[]), COMMAND, ROOM_VERSIONS["1"])
    assert place.reference_hashes == {EventId("$prev:a.example"): b"\0\0\0"}
    with pytest.raises(RemoteProtocolError):
        read_template(a_template(), COMMAND, ROOM_VERSIONS["1"])


def test_of_the_copy_only_the_server_s_signatures_are_taken() -> None:
    ours = {"content": {"a": 1}, "signatures": {"b.example": {"ed25519:1": "ours"}}}
    copy = {
        "content": {"a": 2},
        "signatures": {"a.example": {"ed25519:1": "x"}, "b.example": {"ed25519:1": "y"}, "c": {"k": "z"}},
    }
    assert with_signatures_of(ours, copy, "a.example") == {
        "content": {"a": 1},
        "signatures": {"a.example": {"ed25519:1": "x"}, "b.example": {"ed25519:1": "ours"}},
    }
    assert with_signatures_of(ours, {}, "a.example") == ours
