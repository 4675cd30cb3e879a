"""A peer that is in a room with us sends what it should not: each lie costs only itself, never its honest neighbours."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.end_to_end.harness.peer_rooms import PeerRoom, Raw, hashed, met, signed, tampered
from tests.end_to_end.harness.peers import FEDERATION, Peer
from tests.end_to_end.harness.people import fresh
from tests.end_to_end.harness.servers import Server

_VERSIONS = ("1", "5", "10", "12")


@pytest.mark.parametrize("version", _VERSIONS)
def test_an_honest_peer_joins_speaks_and_is_spoken_to(north: Server, peer: Peer, version: str) -> None:
    alice, room = met(north, peer, version)
    event = room.message("hello from elsewhere")
    event_id = room.keep(event)
    assert peer.delivers(north, event) == {event_id: {}}
    assert alice.hears(room.room_id, "hello from elsewhere")["event_id"] == event_id
    answered = alice.says(room.room_id, "welcome")
    received = peer.receives("m.room.message", body="welcome")
    assert room.id_of(received) == answered
    assert room.version.event_ids_in_events or received["prev_events"] == [event_id]
    assert hashed(received)["hashes"] == received["hashes"]


# Lies in one event among many


def _wrong_type(field: str, value: object) -> Callable[[PeerRoom], Raw]:
    return lambda room: room.message(f"lie about {field}", **{field: value})


def _for_somebody_else(room: PeerRoom) -> Raw:
    return room.message("said by nobody", sender=_alice_of(room))


def _alice_of(room: PeerRoom) -> str:
    return next(user for kind, user in room.state if kind == "m.room.member" and user != room.user)


def _nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"deeper": value}
    return value


_MALFORMED: dict[str, Callable[[PeerRoom], Any]] = {
    "not an object": lambda room: "an event",
    "null": lambda room: None,
    "empty": lambda room: {},
    "no type": _wrong_type("type", ...),
    "type is a number": _wrong_type("type", 7),
    "content is a list": lambda room: room.seal({**room.draft("m.room.message", {}), "content": []}),
    "content is missing": lambda room: {name: value for name, value in room.message("x").items() if name != "content"},
    "sender is a number": lambda room: {**room.message("x"), "sender": 5},
    "sender is no user": lambda room: {**room.message("x"), "sender": "mallory"},
    "sender has a NUL and no domain": lambda room: {**room.message("x"), "sender": "@\x00"},
    "depth is a string": _wrong_type("depth", "7"),
    "depth is negative": _wrong_type("depth", -1),
    "depth is true": _wrong_type("depth", True),
    "depth is beyond the range": _wrong_type("depth", 1 << 53),
    "depth is a float": _wrong_type("depth", 7.5),
    "time is a list": _wrong_type("origin_server_ts", []),
    "time is huge": _wrong_type("origin_server_ts", 1 << 70),
    "prev_events is an object": _wrong_type("prev_events", {}),
    "prev_events holds a number": _wrong_type("prev_events", [5]),
    "prev_events are too many": _wrong_type("prev_events", [f"${number:043}" for number in range(21)]),
    "auth_events are too many": _wrong_type("auth_events", [f"${number:043}" for number in range(11)]),
    "auth_events is null": _wrong_type("auth_events", None),
    "hashes is a string": lambda room: {**room.message("x"), "hashes": "sha256"},
    "signatures is a list": lambda room: {**room.message("x"), "signatures": []},
    "signatures hold numbers": lambda room: {**room.message("x"), "signatures": {room.peer.name: {"ed25519:played": 5}}},
    "unsigned": lambda room: {**room.message("x"), "signatures": {}},
    "forged": lambda room: tampered(room.message("forged")),
    "signed by somebody else": lambda room: signed(
        hashed(room.draft("m.room.message", {"body": "x"})), room.version, "other.example", room.peer.key
    ),
    "said for somebody else": _for_somebody_else,
    "an integer beyond the range": lambda room: room.event("m.room.message", {"body": "x", "n": 1 << 53}),
    "a float": lambda room: room.event("m.room.message", {"body": "x", "n": 1.5}),
    "a huge integer": lambda room: room.event("m.room.message", {"body": "x", "n": 10**300}),
    "nested too deeply": lambda room: room.event("m.room.message", {"body": "x", **_nested(200)}),
    "too large": lambda room: room.event("m.room.message", {"body": "x" * 66_000}),
    "type is too long": lambda room: room.event("t" * 256, {"body": "x"}),
    "state key is too long": lambda room: room.event("org.example", {}, "k" * 256),
    "of an unknown room": lambda room: {**room.message("x"), "room_id": "!" + "A" * 43},
    "of a room that is none": lambda room: {**room.message("x"), "room_id": 5},
}


@pytest.mark.parametrize("lie", _MALFORMED)
def test_a_malformed_event_is_dropped_and_its_neighbours_stand(north: Server, peer: Peer, lie: str) -> None:
    alice, room = met(north, peer)
    before, wrong = room.message("before"), None
    room.keep(before)
    wrong = _MALFORMED[lie](room)
    after = room.message("after")
    room.keep(after)
    results = peer.delivers(north, before, wrong, after)
    assert results[room.id_of(before)] == {}
    assert results[room.id_of(after)] == {}
    assert all(result.keys() == {"error"} for name, result in results.items() if name not in (room.ends[0], room.id_of(before)))
    alice.hears(room.room_id, "before")
    alice.hears(room.room_id, "after")
    assert alice.history_bodies(room.room_id) == ["before", "after"]


def test_one_bad_event_among_fifty_costs_only_itself(north: Server, peer: Peer) -> None:
    alice, room = met(north, peer)
    pdus: list[Raw] = []
    for number in range(50):
        if number == 25:
            pdus.append(tampered(room.message("forged")))
            continue
        pdus.append(room.message(f"number {number}"))
        room.keep(pdus[-1])
    results = peer.delivers(north, *pdus)
    assert [index for index, pdu in enumerate(pdus) if results[room.id_of(pdu)]] == [25]
    alice.hears(room.room_id, "number 49")
    assert alice.history_bodies(room.room_id) == [f"number {number}" for number in range(50) if number != 25]


def test_events_in_the_wrong_order_are_put_right(north: Server, peer: Peer) -> None:
    alice, room = met(north, peer)
    pdus = []
    for number in range(10):
        pdus.append(room.message(f"number {number}"))
        room.keep(pdus[-1])
    results = peer.delivers(north, *reversed(pdus))
    assert list(results.values()) == [{}] * 10
    alice.hears(room.room_id, "number 9")
    assert alice.history_bodies(room.room_id) == [f"number {number}" for number in range(10)]


# Content that is not what was hashed


@pytest.mark.parametrize("version", _VERSIONS)
def test_an_event_with_another_content_than_was_hashed_is_taken_redacted(north: Server, peer: Peer, version: str) -> None:
    alice, room = met(north, peer, version)
    event = room.message("what was signed")
    tampered = {**event, "content": {"msgtype": "m.text", "body": "what was put in its place"}}
    event_id = room.keep(event)
    assert peer.delivers(north, tampered) == {event_id: {}}
    seen = alice.sees(room.room_id, event_id)
    assert seen["content"] == {}
    later = room.message("after it")
    room.keep(later)
    assert peer.delivers(north, later) == {room.id_of(later): {}}
    alice.hears(room.room_id, "after it")


# Lies about the graph


def _message(room: PeerRoom, text: str, **changes: Any) -> tuple[str, Raw]:
    event = room.message(text, **changes)
    return room.id_of(event), event


def test_an_event_that_cites_itself_in_a_circle_ends(north: Server, peer: Peer) -> None:
    # With names made of hashes nobody can close a circle; in the first room versions the sender chooses the names.
    alice, room = met(north, peer, "1")
    names = [f"${fresh('circle')}:{peer.name}" for _ in range(2)]
    pairs = [[name, {"sha256": "A" * 43}] for name in names]
    circle = [room.message("round", event_id=names[at], prev_events=[pairs[1 - at]]) for at in range(2)]
    itself = f"${fresh('itself')}:{peer.name}"
    circle.append(room.message("and round", event_id=itself, prev_events=[[itself, {"sha256": "A" * 43}]]))
    auth = f"${fresh('auth')}:{peer.name}"
    circle.append(room.message("auth", event_id=auth, auth_events=[[auth, {"sha256": "A" * 43}]]))
    by_name = {event["event_id"]: event for event in circle}
    peer.answers(
        "GET",
        f"{FEDERATION}/v1/event/.*",
        lambda asked: (200, {"pdus": [by_name.get(asked.target.rpartition("/")[2].replace("%24", "$").replace("%3A", ":"))]}),
    )
    peer.answers_plainly("POST", f"{FEDERATION}/v1/get_missing_events/.*", {"events": circle})
    peer.answers_plainly("GET", f"{FEDERATION}/v1/event_auth/.*", {"auth_chain": circle})
    peer.answers_plainly("GET", f"{FEDERATION}/v1/state_ids/.*", {"pdu_ids": names, "auth_chain_ids": names})
    good_id, good = _message(room, "a straight line")
    began = time.monotonic()
    results = peer.delivers(north, *circle, good)
    assert time.monotonic() - began < 10
    assert results.pop(good_id) == {}
    assert all("error" in result for result in results.values())
    alice.hears(room.room_id, "a straight line")
    assert alice.history_bodies(room.room_id) == ["a straight line"]


@pytest.mark.parametrize("depth", [0, 1, (1 << 53) - 1])
def test_a_lie_about_the_depth_does_not_stop_the_room(north: Server, peer: Peer, depth: int) -> None:
    alice, room = met(north, peer)
    event = room.message("how deep am I?", depth=depth)
    event_id = room.keep(event)
    assert peer.delivers(north, event) == {event_id: {}}
    alice.hears(room.room_id, "how deep am I?")
    answered = alice.says(room.room_id, "deep enough")
    assert room.id_of(peer.receives("m.room.message", body="deep enough")) == answered
    assert alice.history_bodies(room.room_id) == ["how deep am I?", "deep enough"]


def test_an_event_that_cites_events_of_another_room_is_refused(north: Server, peer: Peer) -> None:
    alice, room = met(north, peer)
    other = PeerRoom.joined_by(peer, north, alice.makes_room(preset="public_chat"))
    foreign = room.event(
        "m.room.message",
        {"body": "with foreign papers"},
        auth_events=[other.state["m.room.power_levels", ""], other.state["m.room.member", room.user]],
    )
    moved = room.seal({**other.message("moved"), "room_id": room.room_id})
    good_id, good = _message(room, "with papers of its own")
    results = peer.delivers(north, foreign, moved, good)
    assert results[good_id] == {}
    assert "error" in results[room.id_of(foreign)]
    assert "error" in results[room.id_of(moved)]
    alice.hears(room.room_id, "with papers of its own")
    assert alice.history_bodies(room.room_id) == ["with papers of its own"]


def test_an_event_after_nothing_that_anybody_has_is_refused(north: Server, peer: Peer) -> None:
    alice, room = met(north, peer)
    for kind in ("get_missing_events", "event_auth", "state_ids", "state", "event", "backfill"):
        peer.answers_plainly("GET", f"{FEDERATION}/v1/{kind}/.*", {"errcode": "M_NOT_FOUND", "error": "no"}, 404)
    peer.answers_plainly("POST", f"{FEDERATION}/v1/get_missing_events/.*", {"events": []})
    lost_id, lost = _message(room, "from nowhere", prev_events=["$" + "A" * 43])
    good_id, good = _message(room, "from here")
    results = peer.delivers(north, lost, good)
    assert "error" in results[lost_id]
    assert results[good_id] == {}
    alice.hears(room.room_id, "from here")
    assert alice.history_bodies(room.room_id) == ["from here"]


def test_who_may_not_send_state_does_not(north: Server, peer: Peer) -> None:
    alice, room = met(north, peer)
    levels = room.event("m.room.power_levels", {"users": {room.user: 100}}, "")
    ban = room.event("m.room.member", {"membership": "ban"}, alice.user_id)
    good_id, good = _message(room, "only a message")
    results = peer.delivers(north, levels, ban, good)
    assert "error" in results[room.id_of(levels)]
    assert "error" in results[room.id_of(ban)]
    assert results[good_id] == {}
    alice.hears(room.room_id, "only a message")
    assert alice.get("rooms", room.room_id, "joined_members")["joined"].keys() == {alice.user_id, room.user}


def test_who_was_banned_is_not_heard_even_if_he_cites_a_time_before(north: Server, peer: Peer) -> None:
    alice, room = met(north, peer)
    late_id, late = _message(room, "I was still in when I said this")
    alice.post("rooms", room.room_id, "ban", user_id=room.user)
    results = peer.delivers(north, late)
    assert results.keys() == {late_id}
    alice.says(room.room_id, "is he gone?")
    assert alice.history_bodies(room.room_id) == ["is he gone?"]
