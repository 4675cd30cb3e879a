"""Servers that we ask for an invite, a profile, keys, media, history: what they answer is not what it should be."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.end_to_end.harness import wire
from tests.end_to_end.harness.peer_rooms import PeerRoom, Raw, tampered
from tests.end_to_end.harness.peers import FEDERATION, Asked, Peer, Replier, now_ms, segments
from tests.end_to_end.harness.people import Person, fresh, path
from tests.end_to_end.harness.servers import Server

_UNSERVED = {502, 504}


def _sends(data: bytes) -> Replier:
    def replier(asked: Asked) -> None:
        asked.send(data)

    return replier


# Invites, ours and theirs


_INVITE_ANSWERS: dict[str, Callable[[Raw, Peer], object]] = {
    "nothing": lambda event, peer: {},
    "a list": lambda event, peer: [],
    "not signed": lambda event, peer: {"event": event},
    "another event": lambda event, peer: {"event": {**event, "state_key": "@victim:" + peer.name}},
    "a join": lambda event, peer: {"event": {**event, "content": {"membership": "join"}}},
    "a number": lambda event, peer: {"event": 7},
    "garbage": lambda event, peer: b"garbage",
}


@pytest.mark.parametrize("lie", _INVITE_ANSWERS)
def test_an_invite_that_comes_back_as_something_else_is_not_sent(north: Server, peer: Peer, lie: str) -> None:
    alice = Person.provisioned(north, "alice")
    room_id = alice.makes_room()
    peer.answers("PUT", f"{FEDERATION}/v2/invite/.*", lambda asked: (200, _INVITE_ANSWERS[lie](asked.json["event"], peer)))
    answer = alice.ask("POST", path("rooms", room_id, "invite"), {"user_id": f"@guest:{peer.name}"})
    assert answer.status in {403, *_UNSERVED}, answer
    members = alice.get("rooms", room_id, "members")["chunk"]
    assert [member["state_key"] for member in members] == [alice.user_id]


def _invite(room: PeerRoom, target: str, **changes: Any) -> Raw:
    return room.event("m.room.member", {"membership": "invite"}, target, **changes)


_INVITES: dict[str, tuple[Callable[[PeerRoom, str], Raw], tuple[int, str]]] = {
    "for nobody here": (lambda room, user: _invite(room, "@nobody:north.example"), (404, "M_NOT_FOUND")),
    "for somebody elsewhere": (lambda room, user: _invite(room, "@x:south.example"), (400, "M_INVALID_PARAM")),
    "from somebody elsewhere": (lambda room, user: _invite(room, user, sender="@x:south.example"), (400, "M_INVALID_PARAM")),
    "a join": (lambda room, user: room.event("m.room.member", {"membership": "join"}, user), (400, "M_INVALID_PARAM")),
    "another event": (lambda room, user: room.event("m.room.name", {"membership": "invite"}, user), (400, "M_INVALID_PARAM")),
    "forged": (lambda room, user: tampered(_invite(room, user)), (403, "M_FORBIDDEN")),
    "of another room": (lambda room, user: _invite(room, user, room_id="!" + "F" * 43), (400, "M_INVALID_PARAM")),
    "malformed": (lambda room, user: {**_invite(room, user), "depth": "x"}, (400, "M_INVALID_PARAM")),
}


@pytest.mark.parametrize("lie", _INVITES)
def test_an_invite_that_is_none_is_not_signed(north: Server, peer: Peer, lie: str) -> None:
    alice, room = Person.provisioned(north, "alice"), PeerRoom.made_by(peer)
    make, refusal = _INVITES[lie]
    event = make(room, alice.user_id)
    answer = _handed_over(north, room, event)
    assert answer.refusal == refusal
    assert alice.syncs().get("rooms", {}).get("invite", {}) == {}
    assert _handed_over(north, room, _invite(room, alice.user_id)).status == 200
    alice.is_invited_to(room.room_id)


def _handed_over(server: Server, room: PeerRoom, event: Raw, changes: Mapping[str, object] | None = None) -> wire.Answer:
    shown = [room.events[room.state["m.room.create", ""]]]
    body = {"room_version": "12", "event": event, "invite_room_state": shown, **(changes or {})}
    return room.peer.ask(server, "PUT", segments(f"{FEDERATION}/v2/invite", room.room_id, room.id_of(event)), body)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"room_version": "org.example.99"}, (400, "M_INCOMPATIBLE_ROOM_VERSION")),
        ({"room_version": "9" * 40}, (400, "M_INVALID_PARAM")),
        ({"room_version": 12}, (400, "M_BAD_JSON")),
        ({"event": []}, (400, "M_BAD_JSON")),
        ({"invite_room_state": {}}, (400, "M_BAD_JSON")),
        ({"invite_room_state": [None]}, (400, "M_BAD_JSON")),
        ({"invite_room_state": []}, (400, "M_MISSING_PARAM")),
        ({"invite_room_state": [{}] * 101}, (400, "M_BAD_JSON")),
    ],
)
def test_an_invite_in_a_wrong_wrapping_is_refused(
    north: Server, peer: Peer, changes: dict[str, object], refusal: tuple[int, str]
) -> None:
    alice, room = Person.provisioned(north, "alice"), PeerRoom.made_by(peer)
    assert _handed_over(north, room, _invite(room, alice.user_id), changes).refusal == refusal


# What else we ask for


_JUNK: list[object] = [[], {}, b"garbage", b"", {"displayname": 7, "avatar_url": []}, {"device_keys": []}, b"\xff" * 100]


def test_a_profile_of_nonsense_is_not_passed_on(north: Server, peer: Peer) -> None:
    alice = Person.provisioned(north, "alice")
    for junk in _JUNK:
        peer.answers_plainly("GET", f"{FEDERATION}/v1/query/profile", junk)
        answer = alice.ask("GET", path("profile", f"@{fresh('x')}:{peer.name}"))
        assert answer.status in {200, 404, *_UNSERVED}
        if answer.status == 200:
            assert all(isinstance(answer.json.get(name, ""), str) for name in ("displayname", "avatar_url"))


def test_keys_of_somebody_else_are_not_passed_on(north: Server, peer: Peer) -> None:
    alice, room = Person.provisioned(north, "alice"), PeerRoom.made_by(peer)
    alice.joins(room.room_id, via=peer.name)
    mallory, victim = room.user, alice.user_id

    def keys(user_id: str, device_id: str) -> Raw:
        return {"user_id": user_id, "device_id": device_id, "algorithms": [], "keys": {}, "signatures": {}}

    lies: list[object] = [
        {"device_keys": {victim: {"EVIL": keys(victim, "EVIL")}, mallory: {}}},
        {"device_keys": {mallory: {"EVIL": keys(victim, "EVIL")}}},
        {"device_keys": {mallory: {"EVIL": keys(mallory, "OTHER")}}},
        {"device_keys": {mallory: {"EVIL": 7}}},
        {"device_keys": {mallory: []}},
        {"device_keys": {mallory: {}}, "master_keys": {victim: {"user_id": victim, "usage": ["master"], "keys": {}}}},
        {"device_keys": {mallory: {}}, "master_keys": {mallory: 7}},
        *_JUNK,
    ]
    for lie in lies:
        devices = lie.get("device_keys", {}) if isinstance(lie, dict) else {}
        mine = devices.get(mallory, {}) if isinstance(devices, dict) else {}
        listed = [{"device_id": name, "keys": value} for name, value in mine.items()] if isinstance(mine, dict) else mine
        peer.answers_plainly("POST", f"{FEDERATION}/v1/user/keys/query", lie)
        peer.answers_plainly("GET", f"{FEDERATION}/v1/user/devices/.*", {"user_id": mallory, "stream_id": 1, "devices": listed})
        answer = alice.post("keys", "query", device_keys={mallory: [], victim: []})
        assert "EVIL" not in answer["device_keys"].get(mallory, {}), lie
        assert "EVIL" not in answer["device_keys"].get(victim, {}), lie
        assert victim not in answer.get("master_keys", {}), lie
    for lie in ({"one_time_keys": {victim: {"A": {"signed_curve25519:B": {}}}}}, {"one_time_keys": {mallory: 5}}, *_JUNK):
        peer.answers_plainly("POST", f"{FEDERATION}/v1/user/keys/claim", lie)
        claimed = alice.post("keys", "claim", one_time_keys={mallory: {"D": "signed_curve25519"}})
        assert victim not in claimed["one_time_keys"]


_BOUNDARY = b"gap"
_PART = b"--gap\r\ncontent-type: application/json\r\n\r\n{}\r\n"
_FILE = b"--gap\r\ncontent-type: text/html\r\n\r\n<script>alert(1)</script>\r\n--gap--\r\n"


def _multipart(body: bytes, boundary: bytes = _BOUNDARY) -> Replier:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: multipart/mixed; boundary=" + boundary
    return _sends(head + b"\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body)


def test_media_in_a_wrong_wrapping_are_refused(north: Server, peer: Peer) -> None:
    alice = Person.provisioned(north, "alice")
    wrong: list[Replier] = [
        _multipart(b""),
        _multipart(_PART),
        _multipart(_FILE),
        _multipart(_PART + _FILE, b"other"),
        _multipart(_PART + b"--gap\r\nlocation: file:///etc/passwd\r\n\r\n\r\n--gap--\r\n"),
        _multipart(_PART + b"--gap\r\nlocation: https://127.0.0.1:22/\r\n\r\n\r\n--gap--\r\n"),
        _multipart(_PART + b"--gap\r\nx: " + b"y" * 100_000),
        lambda asked: (200, {"not": "multipart"}),
    ]
    for number, replier in enumerate(wrong):
        peer.answers("GET", f"{FEDERATION}/v1/media/download/.*", replier)
        answer = alice.ask("GET", f"/_matrix/client/v1/media/download/{peer.name}/file{number}")
        assert answer.status in {404, *_UNSERVED}, (number, answer)
    peer.answers("GET", f"{FEDERATION}/v1/media/download/.*", _multipart(_PART + _FILE))
    sound = alice.ask("GET", f"/_matrix/client/v1/media/download/{peer.name}/sound")
    assert (sound.status, sound.body) == (200, b"<script>alert(1)</script>")
    assert sound.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in sound.headers["content-security-policy"]


@pytest.mark.parametrize(
    "answer", [{}, [], {"room_id": 7, "servers": []}, {"room_id": "no room", "servers": []}, b"garbage", {"room_id": "!x:y"}]
)
def test_an_alias_that_resolves_to_nonsense_leads_nowhere(north: Server, peer: Peer, answer: object) -> None:
    alice = Person.provisioned(north, "alice")
    peer.answers_plainly("GET", f"{FEDERATION}/v1/query/directory", answer)
    found = alice.ask("POST", path("join", f"#square:{peer.name}"), {})
    assert found.status in {404, *_UNSERVED}, found


# History


def test_history_that_does_not_lead_up_to_what_we_have_is_not_believed(north: Server, peer: Peer) -> None:
    room = PeerRoom.made_by(peer)
    said = [room.message(f"long ago {number}") for number in range(1)]
    for event in said:
        room.keep(event)
    alice = Person.provisioned(north, "alice")
    alice.joins(room.room_id, via=peer.name)
    unrelated = room.message("never said in this place")
    foreign = PeerRoom.made_by(peer).message("of another room")
    forged = tampered(said[0])
    peer.answers_plainly(
        "GET",
        f"{FEDERATION}/v1/backfill/.*",
        {"origin": peer.name, "origin_server_ts": now_ms(), "pdus": [unrelated, foreign, forged, None, {}, 7]},
    )
    assert alice.history_bodies(room.room_id) == []


def test_missing_events_that_are_lies_do_not_get_in(north: Server, peer: Peer) -> None:
    room = PeerRoom.made_by(peer)
    alice = Person.provisioned(north, "alice")
    alice.joins(room.room_id, via=peer.name)
    between = room.message("between")
    room.keep(between)
    last = room.message("last")
    lies = [tampered(between), room.message("beside"), {}, None, 7, {"room_id": room.room_id}]
    peer.answers_plainly("POST", f"{FEDERATION}/v1/get_missing_events/.*", {"events": lies})
    for kind in ("state_ids", "state", "event_auth"):
        peer.answers_plainly("GET", f"{FEDERATION}/v1/{kind}/.*", {"pdu_ids": ["$x"], "auth_chain_ids": [7], "pdus": lies})
    assert "error" in peer.delivers(north, last)[room.id_of(last)]
    peer.answers_plainly("POST", f"{FEDERATION}/v1/get_missing_events/.*", {"events": [between]})
    assert peer.delivers(north, last) == {room.id_of(last): {}}
    alice.hears(room.room_id, "last")
    assert alice.history_bodies(room.room_id)[-2:] == ["between", "last"]
