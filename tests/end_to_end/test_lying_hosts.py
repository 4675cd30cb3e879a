"""Servers that we ask: for a join, an invite, a profile, keys, media, history. They lie, stall, flood, or talk nonsense."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.end_to_end.conftest import Town
from tests.end_to_end.harness import wire
from tests.end_to_end.harness.peer_rooms import PeerRoom, Raw
from tests.end_to_end.harness.peers import FEDERATION, Asked, Peer, Replier, now_ms, segments
from tests.end_to_end.harness.people import Person, fresh, path
from tests.end_to_end.harness.servers import Server

_PATIENCE_SECONDS = 8  # the servers under test wait 2 s for an answer, 4 s for a large one
_UNSERVED = {502, 504}


@pytest.mark.parametrize("version", ["1", "3", "6", "8", "11", "12"])
def test_a_room_of_an_honest_host_is_joined(north: Server, peer: Peer, version: str) -> None:
    room = PeerRoom.made_by(peer, version)
    alice = Person.provisioned(north, "alice")
    assert alice.joins(room.room_id, via=peer.name) == room.room_id
    greeting = room.message("welcome")
    assert peer.delivers(north, greeting) == {room.keep(greeting): {}}
    alice.hears(room.room_id, "welcome")
    answered = alice.says(room.room_id, "thank you")
    assert room.id_of(peer.receives("m.room.message", body="thank you")) == answered


# An event to sign that is not ours


def _not_ours(**changes: object) -> Callable[[PeerRoom, str], Raw]:
    return lambda room, user_id: {"event": {**room.template(user_id), **changes}, "room_version": "12"}


_TEMPLATES: dict[str, Callable[[PeerRoom, str], object]] = {
    "another user": _not_ours(sender="@admin:north.example", state_key="@admin:north.example"),
    "another sender": _not_ours(sender="@admin:north.example"),
    "another target": _not_ours(state_key="@admin:north.example"),
    "no state key": lambda room, user_id: {"event": room.draft("m.room.member", {"membership": "join"}, sender=user_id)},
    "another room": _not_ours(room_id="!" + "D" * 43),
    "another type": _not_ours(type="m.room.power_levels", state_key="", content={"users": {"@mallory:evil": 100}}),
    "a leave": _not_ours(content={"membership": "leave"}),
    "a ban": _not_ours(content={"membership": "ban"}),
    "no content": _not_ours(content=None),
    "no depth": _not_ours(depth="1"),
    "a depth beyond the range": _not_ours(depth=1 << 53),
    "nothing before it": _not_ours(prev_events=[]),
    "nonsense before it": _not_ours(prev_events=[7]),
    "too much before it": _not_ours(prev_events=["$" + "E" * 43] * 21),
    "too many authorities": _not_ours(auth_events=["$" + "E" * 43] * 11),
    "an unknown version": lambda room, user_id: {"event": room.template(user_id), "room_version": "org.example.99"},
    "a version that is a number": lambda room, user_id: {"event": room.template(user_id), "room_version": 12},
    "another version": lambda room, user_id: {"event": room.template(user_id), "room_version": "9"},
    "no event": lambda room, user_id: {"room_version": "12"},
    "a list": lambda room, user_id: [],
    "garbage": lambda room, user_id: b"\x00\xff garbage",
    "half of an answer": lambda room, user_id: b'{"event":{"type":"m.room.member"',
    "a deep nest": lambda room, user_id: b'{"event":' * 50_000 + b"{}" + b"}" * 50_000,
    "a flood": lambda room, user_id: b'{"event":"' + b"x" * 9_000_000 + b'"}',
}


@pytest.mark.parametrize("lie", _TEMPLATES)
def test_an_event_that_is_not_ours_is_not_signed(north: Server, peer: Peer, lie: str) -> None:
    room = PeerRoom.made_by(peer)
    alice = Person.provisioned(north, "alice")
    peer.answers("GET", f"{FEDERATION}/v1/make_join/.*", lambda asked: (200, _TEMPLATES[lie](room, alice.user_id)))
    peer.answers_plainly("PUT", f"{FEDERATION}/v2/send_join/.*", {"errcode": "M_FORBIDDEN", "error": "no"}, 403)
    answer = alice.ask("POST", path("join", room.room_id), {}, via=peer.name)
    assert answer.status in {403, *_UNSERVED}, answer
    for asked in peer.was_asked("/send_join/"):
        sent = asked.json
        assert (sent["type"], sent["sender"], sent["state_key"]) == ("m.room.member", alice.user_id, alice.user_id)
        assert (sent["room_id"], sent["content"]["membership"]) == (room.room_id, "join")
    assert alice.get("joined_rooms")["joined_rooms"] == []


def test_what_a_template_adds_is_not_signed(north: Server, peer: Peer) -> None:
    room = PeerRoom.made_by(peer)
    alice = Person.provisioned(north, "alice")
    added = {"membership": "join", "displayname": "Fool", "org.example.debt": 1_000}
    template = _not_ours(content=added, origin_server_ts=5, **{"org.example.more": True})
    peer.answers("GET", f"{FEDERATION}/v1/make_join/.*", lambda asked: (200, template(room, alice.user_id)))
    alice.joins(room.room_id, via=peer.name)
    (asked,) = peer.was_asked("/send_join/")
    assert asked.json["content"].keys() <= {"membership", "displayname", "avatar_url"}
    assert asked.json["content"].get("displayname") != "Fool"
    assert "org.example.more" not in asked.json
    assert asked.json["origin_server_ts"] != 5


# The answer to our join


def _without(room: PeerRoom, *kinds: str) -> list[Raw]:
    return [room.events[event_id] for (kind, _), event_id in room.state.items() if kind not in kinds]


def _answered(room: PeerRoom, state: object, chain: object = None, **more: object) -> Raw:
    return {"state": state, "auth_chain": state if chain is None else chain, "members_omitted": False, **more}


def _tampered(event: Raw) -> Raw:
    return {**event, "signatures": {name: dict.fromkeys(keys, "A" * 86) for name, keys in event["signatures"].items()}}


_JOIN_ANSWERS: dict[str, Callable[[PeerRoom, PeerRoom], object]] = {
    "nothing": lambda room, other: {},
    "no state": lambda room, other: _answered(room, []),
    "state that is no list": lambda room, other: _answered(room, {}),
    "state of numbers": lambda room, other: _answered(room, [1, None, "x", [], {}]),
    "no create event": lambda room, other: _answered(room, _without(room, "m.room.create")),
    "no join rules": lambda room, other: _answered(room, _without(room, "m.room.join_rules")),
    "no creator": lambda room, other: _answered(room, _without(room, "m.room.member")),
    "another room's state": lambda room, other: _answered(room, _without(other)),
    "forged state": lambda room, other: _answered(room, [_tampered(event) for event in _without(room)]),
    "members left out": lambda room, other: _answered(room, _without(room), members_omitted=True),
    "the same address twice": lambda room, other: _answered(
        room, [*_without(room), room.event("m.room.join_rules", {"join_rule": "knock"}, "")]
    ),
    "a list": lambda room, other: [],
    "garbage": lambda room, other: b"garbage",
}


@pytest.mark.parametrize("lie", _JOIN_ANSWERS)
def test_a_join_whose_answer_does_not_carry_it_fails(town: Town, north: Server, peer: Peer, lie: str) -> None:
    room, other = PeerRoom.made_by(peer), PeerRoom.made_by(town.hub.peer())
    alice = Person.provisioned(north, "alice")
    peer.answers("PUT", f"{FEDERATION}/v2/send_join/.*", lambda asked: (200, _JOIN_ANSWERS[lie](room, other)))
    answer = alice.ask("POST", path("join", room.room_id), {}, via=peer.name)
    assert answer.status in {403, *_UNSERVED}, answer
    assert alice.get("joined_rooms")["joined_rooms"] == []
    assert room.room_id not in alice.syncs().get("rooms", {}).get("join", {})
    # Nothing is left behind that would keep the honest answer out.
    peer.answers("PUT", f"{FEDERATION}/v2/send_join/.*", room.answer_send_join)
    assert alice.joins(room.room_id, via=peer.name) == room.room_id


def test_bad_events_in_the_answer_to_a_join_are_left_out(north: Server, peer: Peer) -> None:
    room = PeerRoom.made_by(peer)
    room.keep(room.event("m.room.topic", {"topic": "honest"}, ""))
    alice = Person.provisioned(north, "alice")
    forged = _tampered(room.event("m.room.name", {"name": "forged"}, ""))
    stranger = "@stranger:" + peer.name
    unauthorised = room.event("m.room.avatar", {"url": "mxc://evil/x"}, "", sender=stranger)
    state = [*_without(room), forged, unauthorised, None, {"type": "m.room.encryption"}]
    peer.answers("PUT", f"{FEDERATION}/v2/send_join/.*", lambda asked: (200, _answered(room, state)))
    alice.joins(room.room_id, via=peer.name)
    kinds = {event["type"] for event in alice.get("rooms", room.room_id, "state")}
    assert "m.room.topic" in kinds
    assert kinds.isdisjoint({"m.room.name", "m.room.avatar", "m.room.encryption"})


# Slowness, endlessness, nonsense


def _head(length: int | str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n".encode()


def _never(asked: Asked) -> None:
    asked.stopping.wait(60)


def _dribble(start: bytes) -> Replier:
    def replier(asked: Asked) -> None:
        asked.send(start)
        while not asked.stopping.wait(0.2):
            asked.send(b"x")

    return replier


def _flood(asked: Asked) -> None:
    asked.send(_head(1 << 40) + b'{"event":"')
    while not asked.stopping.is_set():
        asked.send(b"x" * 65_536)


def _chunks(asked: Asked) -> None:
    asked.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while not asked.stopping.is_set():
        asked.send(b"10000\r\n" + b" " * 65_536 + b"\r\n")


def _sends(data: bytes) -> Replier:
    def replier(asked: Asked) -> None:
        asked.send(data)

    return replier


_REDIRECT = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: https://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
_STALLS: dict[str, Replier] = {
    "never answers": _never,
    "a head that never ends": _dribble(b"HTTP/1.1 200 OK\r\nx-more: "),
    "a body that never ends": _dribble(_head(1_000_000) + b'{"event":"'),
    "a flood": _flood,
    "a flood of chunks": _chunks,
    "no HTTP": _sends(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "nothing at all": _sends(b""),
    "less than was promised": _sends(_head(1_000) + b"{}"),
    "a length that is none": _sends(_head("many") + b"{}"),
    "a head too large": _sends(b"HTTP/1.1 200 OK\r\nx-more: " + b"x" * 200_000 + b"\r\n\r\n{}"),
    "elsewhere": _sends(_REDIRECT),
}


@pytest.mark.parametrize("stall", _STALLS)
def test_a_host_that_stalls_or_talks_nonsense_costs_little(north: Server, peer: Peer, stall: str) -> None:
    room = PeerRoom.made_by(peer)
    alice, bob = Person.provisioned(north, "alice"), Person.provisioned(north, "bob")
    peer.answers("GET", f"{FEDERATION}/v1/make_join/.*", _STALLS[stall])
    memory = north.resident_bytes
    answers: list[wire.Answer] = []

    def joins() -> None:
        answers.append(alice.ask("POST", path("join", room.room_id), {}, via=peer.name))

    began = time.monotonic()
    waiting = threading.Thread(target=joins)
    waiting.start()
    mine = bob.makes_room()
    for number in range(5):
        asked = time.monotonic()
        bob.says(mine, f"meanwhile {number}")
        assert time.monotonic() - asked < 2
    waiting.join()
    assert time.monotonic() - began < _PATIENCE_SECONDS
    assert answers[0].status in _UNSERVED, answers
    assert north.resident_bytes - memory < 60_000_000


def test_a_server_that_stalls_does_not_keep_news_from_others(town: Town, north: Server, peer: Peer) -> None:
    slow = town.hub.peer()
    alice = Person.provisioned(north, "alice")
    room_id = alice.makes_room(preset="public_chat")
    for each in (peer, slow):
        room = PeerRoom.joined_by(each, north, room_id)
        alice.sees_membership(room_id, room.user, "join")
    slow.answers("PUT", f"{FEDERATION}/v1/send/.*", _never)
    for number in range(20):
        alice.says(room_id, f"news {number}")
    began = time.monotonic()
    peer.receives("m.room.message", body="news 19")
    assert time.monotonic() - began < 3
    bodies = [event["content"]["body"] for event in peer.events if event["type"] == "m.room.message"]
    assert bodies == [f"news {number}" for number in range(20)]


def test_what_a_server_refused_is_sent_again_in_order(north: Server, peer: Peer) -> None:
    alice = Person.provisioned(north, "alice")
    room = PeerRoom.joined_by(peer, north, alice.makes_room(preset="public_chat"))
    down = threading.Event()
    down.set()
    peer.answers("PUT", f"{FEDERATION}/v1/send/.*", lambda asked: (503, {}) if down.is_set() else peer.takes(asked))
    for number in range(5):
        alice.says(room.room_id, f"news {number}")
    peer.waits_for(lambda: peer.was_asked("/send/"))
    down.clear()
    peer.delivers(north)  # who is heard from is tried again
    peer.receives("m.room.message", body="news 4")
    bodies = [event["content"]["body"] for event in peer.events if event["type"] == "m.room.message"]
    assert bodies == [f"news {number}" for number in range(5)]


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
    "forged": (lambda room, user: _tampered(_invite(room, user)), (403, "M_FORBIDDEN")),
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
    forged = _tampered(said[0])
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
    lies = [_tampered(between), room.message("beside"), {}, None, 7, {"room_id": room.room_id}]
    peer.answers_plainly("POST", f"{FEDERATION}/v1/get_missing_events/.*", {"events": lies})
    for kind in ("state_ids", "state", "event_auth"):
        peer.answers_plainly("GET", f"{FEDERATION}/v1/{kind}/.*", {"pdu_ids": ["$x"], "auth_chain_ids": [7], "pdus": lies})
    assert "error" in peer.delivers(north, last)[room.id_of(last)]
    peer.answers_plainly("POST", f"{FEDERATION}/v1/get_missing_events/.*", {"events": [between]})
    assert peer.delivers(north, last) == {room.id_of(last): {}}
    alice.hears(room.room_id, "last")
    assert alice.history_bodies(room.room_id)[-2:] == ["between", "last"]
