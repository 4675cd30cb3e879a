"""What another server proposes as our member event: taken for its place, never for what it says."""

from typing import Any

import pytest

from watchword.base.errors import RemoteProtocolError
from watchword.protocol.ids import RoomId, UserId
from watchword.protocol.room_versions import V1, V11, RoomVersion
from watchword.server.rooms.commands import ChangeMembership
from watchword.server.rooms.templates import draft_at, read_template, with_signatures_of

ROOM = RoomId("!room:there.example")
ALICE = UserId("@alice:here.example")
JOIN = ChangeMembership(ROOM, ALICE, ALICE, "join", {"displayname": "Alice"})
HASH_ID = "$" + "a" * 43


def a_template(version: RoomVersion = V11, **fields: Any) -> dict[str, Any]:
    reference: Any = ["$1:there.example", {}] if version.event_ids_in_events else HASH_ID
    template = {
        "type": "m.room.member",
        "sender": ALICE,
        "state_key": ALICE,
        "room_id": ROOM,
        "content": {"membership": "join"},
        "depth": 5,
        "prev_events": [reference],
        "auth_events": [reference],
    }
    return {**template, **fields}


def test_the_place_is_taken_and_the_content_is_ours() -> None:
    template = a_template(content={"membership": "join", "displayname": "Mallory", "extra": 1})
    draft = draft_at(read_template(template, JOIN, V11), JOIN, None, 7)
    assert (draft.depth, list(draft.prev_events)) == (5, [HASH_ID])
    assert draft.content == {"displayname": "Alice", "membership": "join"}


@pytest.mark.parametrize(
    "lie",
    [
        {"type": "m.room.message"},
        {"sender": "@mallory:there.example"},
        {"state_key": "@mallory:there.example"},
        {"room_id": "!other:there.example"},
        {"content": {"membership": "ban"}},
        {"content": None},
        {"prev_events": []},
        {"prev_events": [HASH_ID] * 21},
        {"prev_events": [7]},
        {"depth": -1},
        {"depth": "5"},
        {"depth": True},
        {"content": {"membership": "join", "join_authorised_via_users_server": 5}},
    ],
)
def test_a_template_of_something_else_is_refused(lie: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        read_template(a_template(**lie), JOIN, V11)


def test_who_vouches_for_a_restricted_join_is_taken_over() -> None:
    voucher = "@bob:there.example"
    template = a_template(content={"membership": "join", "join_authorised_via_users_server": voucher})
    draft = draft_at(read_template(template, JOIN, V11), JOIN, None, 7)
    assert draft.content["join_authorised_via_users_server"] == voucher


def test_old_references_are_read_with_and_without_their_hash() -> None:
    references = [["$1:there.example", {}], ["$2:there.example", {"sha256": "AQ"}]]
    place = read_template(a_template(V1, prev_events=references), JOIN, V1)
    assert list(place.prev_events) == ["$1:there.example", "$2:there.example"]
    assert [place.reference_hashes[event_id] for event_id in place.prev_events] == [b"", b"\x01"]


def test_bare_event_ids_are_no_references_in_old_versions() -> None:
    with pytest.raises(RemoteProtocolError):
        read_template(a_template(V1, prev_events=["$1:there.example"]), JOIN, V1)


def test_only_signatures_are_taken_from_the_other_servers_copy() -> None:
    own = {"content": {}, "signatures": {"here.example": {"ed25519:1": "x"}}}
    copy = {"content": {"evil": 1}, "signatures": {"there.example": {"ed25519:2": "y"}, "third.example": {"ed25519:3": "z"}}}
    signed = with_signatures_of(own, copy, "there.example")
    assert signed == {
        "content": {},
        "signatures": {"here.example": {"ed25519:1": "x"}, "there.example": {"ed25519:2": "y"}},
    }
