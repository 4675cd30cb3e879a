"""Servers that we join rooms through and send to: they lie, stall, flood, or talk nonsense."""

import threading
import time
from collections.abc import Callable

import pytest

from tests.end_to_end.conftest import Town
from tests.end_to_end.harness import wire
from tests.end_to_end.harness.peer_rooms import PeerRoom, Raw, tampered
from tests.end_to_end.harness.peers import FEDERATION, Asked, Peer, Replier
from tests.end_to_end.harness.people import Person, path
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


_JOIN_ANSWERS: dict[str, Callable[[PeerRoom, PeerRoom], object]] = {
    "nothing": lambda room, other: {},
    "no state": lambda room, other: _answered(room, []),
    "state that is no list": lambda room, other: _answered(room, {}),
    "state of numbers": lambda room, other: _answered(room, [1, None, "x", [], {}]),
    "no create event": lambda room, other: _answered(room, _without(room, "m.room.create")),
    "no join rules": lambda room, other: _answered(room, _without(room, "m.room.join_rules")),
    "no creator": lambda room, other: _answered(room, _without(room, "m.room.member")),
    "another room's state": lambda room, other: _answered(room, _without(other)),
    "forged state": lambda room, other: _answered(room, [tampered(event) for event in _without(room)]),
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
    forged = tampered(room.event("m.room.name", {"name": "forged"}, ""))
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
