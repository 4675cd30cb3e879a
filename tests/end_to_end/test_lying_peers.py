"""A peer that is in a room with us sends what it should not: each lie costs only itself, never its honest neighbours."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.end_to_end.harness import junk, wire
from tests.end_to_end.harness.peer_rooms import PeerRoom, Raw, event_id_of, hashed, signed
from tests.end_to_end.harness.peers import FEDERATION, Peer, now_ms, segments
from tests.end_to_end.harness.people import Person, fresh
from tests.end_to_end.harness.servers import Server
from tests.end_to_end.harness.shapes import Operation

_VERSIONS = ("1", "5", "10", "12")


def _met(north: Server, peer: Peer, version: str = "12", **options: Any) -> tuple[Person, PeerRoom]:
    """alice, and a peer whose user is in a public room of hers."""
    alice = Person.provisioned(north, "alice")
    room_id = alice.makes_room(preset="public_chat", room_version=version, **options)
    room = PeerRoom.joined_by(peer, north, room_id)
    alice.sees_membership(room_id, room.user, "join")
    return alice, room


@pytest.mark.parametrize("version", _VERSIONS)
def test_an_honest_peer_joins_speaks_and_is_spoken_to(north: Server, peer: Peer, version: str) -> None:
    alice, room = _met(north, peer, version)
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


def _forged(room: PeerRoom) -> Raw:
    event = room.message("forged")
    signatures = dict.fromkeys(event["signatures"][room.peer.name], "A" * 86)
    return {**event, "signatures": {room.peer.name: signatures}}


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
    "forged": _forged,
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
    alice, room = _met(north, peer)
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
    alice, room = _met(north, peer)
    pdus: list[Raw] = []
    for number in range(50):
        if number == 25:
            pdus.append(_forged(room))
            continue
        pdus.append(room.message(f"number {number}"))
        room.keep(pdus[-1])
    results = peer.delivers(north, *pdus)
    assert [index for index, pdu in enumerate(pdus) if results[room.id_of(pdu)]] == [25]
    alice.hears(room.room_id, "number 49")
    assert alice.history_bodies(room.room_id) == [f"number {number}" for number in range(50) if number != 25]


def test_events_in_the_wrong_order_are_put_right(north: Server, peer: Peer) -> None:
    alice, room = _met(north, peer)
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
    alice, room = _met(north, peer, version)
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
    alice, room = _met(north, peer, "1")
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
    alice, room = _met(north, peer)
    event = room.message("how deep am I?", depth=depth)
    event_id = room.keep(event)
    assert peer.delivers(north, event) == {event_id: {}}
    alice.hears(room.room_id, "how deep am I?")
    answered = alice.says(room.room_id, "deep enough")
    assert room.id_of(peer.receives("m.room.message", body="deep enough")) == answered
    assert alice.history_bodies(room.room_id) == ["how deep am I?", "deep enough"]


def test_an_event_that_cites_events_of_another_room_is_refused(north: Server, peer: Peer) -> None:
    alice, room = _met(north, peer)
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
    alice, room = _met(north, peer)
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
    alice, room = _met(north, peer)
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
    alice, room = _met(north, peer)
    late_id, late = _message(room, "I was still in when I said this")
    alice.post("rooms", room.room_id, "ban", user_id=room.user)
    results = peer.delivers(north, late)
    assert results.keys() == {late_id}
    alice.says(room.room_id, "is he gone?")
    assert alice.history_bodies(room.room_id) == ["is he gone?"]


# Transactions


def test_a_repeated_transaction_is_answered_alike_and_changes_nothing(north: Server, peer: Peer) -> None:
    alice, room = _met(north, peer)
    event = room.message("only once")
    room.keep(event)
    letter = _letter(peer, alice, "once")
    answers = [peer.transact(north, [event], [letter], txn_id="same") for _ in range(3)]
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert peer.delivers(north, event, edus=[letter]) == {room.ends[0]: {}}
    alice.hears(room.room_id, "only once")
    alice.syncs()
    assert alice.history_bodies(room.room_id) == ["only once"]
    assert len(alice.letters) == 1


def test_a_transaction_with_too_much_in_it_is_refused_whole(north: Server, peer: Peer) -> None:
    alice, room = _met(north, peer)
    event = room.message("one of too many")
    room.keep(event)
    assert peer.transact(north, [event] * 51).refusal == (400, "M_BAD_JSON")
    assert peer.transact(north, [event], [{"edu_type": "m.nothing", "content": {}}] * 101).refusal == (400, "M_BAD_JSON")
    assert alice.history_bodies(room.room_id) == []
    assert peer.delivers(north, event) == {room.ends[0]: {}}


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b"", (400, "M_NOT_JSON")),
        (b"{", (400, "M_NOT_JSON")),
        (b'{"pdus":[],"edus":"\xff"}', (400, "M_NOT_JSON")),
        (b"[]", (400, "M_BAD_JSON")),
        (b'{"pdus":{}}', (400, "M_BAD_JSON")),
        (b'{"pdus":[],"edus":7}', (400, "M_BAD_JSON")),
        (b'{"pdus":' + b"[" * 100_000 + b"]" * 100_000 + b"}", (400, "M_BAD_JSON")),
        (b'{"pdus":[],"x":"' + b"x" * 13_000_000 + b'"}', (413, "M_TOO_LARGE")),
    ],
    ids=["empty", "cut off", "wrong UTF-8", "a list", "pdus no list", "edus no list", "nested", "huge"],
)
def test_a_transaction_that_is_none_is_refused(north: Server, peer: Peer, body: bytes, refusal: tuple[int, str]) -> None:
    answer = peer.ask(north, "PUT", segments(f"{FEDERATION}/v1/send", fresh("txn")), body)
    assert answer.refusal == refusal


# Ephemeral data


def _letter(peer: Peer, to: Person, text: str, sender: str | None = None) -> Raw:
    content = {
        "sender": sender or f"@mallory:{peer.name}",
        "type": "m.room.encrypted",
        "message_id": fresh(text),
        "messages": {to.user_id: {to.device_id: {"text": text}}},
    }
    return {"edu_type": "m.direct_to_device", "content": content}


def test_ephemeral_data_about_other_servers_users_is_dropped(north: Server, peer: Peer) -> None:
    alice, room = _met(north, peer)
    event_id = alice.says(room.room_id, "read me")
    alice.syncs()
    alice.changed.clear()
    receipt = {"m.read": {alice.user_id: {"event_ids": [event_id], "data": {"ts": now_ms()}}}}
    lies = [
        {"edu_type": "m.typing", "content": {"room_id": room.room_id, "user_id": alice.user_id, "typing": True}},
        {"edu_type": "m.receipt", "content": {room.room_id: receipt}},
        {"edu_type": "m.device_list_update", "content": {"user_id": alice.user_id, "device_id": "EVIL", "stream_id": 1}},
        {"edu_type": "m.signing_key_update", "content": {"user_id": alice.user_id, "master_key": {}}},
        {"edu_type": "m.presence", "content": {"push": [{"user_id": alice.user_id, "presence": "offline"}]}},
        _letter(peer, alice, "from a false friend", sender="@friend:south.example"),
        _letter(peer, alice, "from herself", sender=alice.user_id),
    ]
    assert peer.delivers(north, edus=[*lies, _letter(peer, alice, "from mallory")]) == {}
    alice.waits_for(lambda: alice.letters)
    alice.syncs()
    assert [letter["content"]["text"] for letter in alice.letters] == ["from mallory"]
    assert alice.ephemeral.get(room.room_id, []) == []
    assert alice.changed == set()


@pytest.mark.parametrize(
    "kind", ["m.typing", "m.receipt", "m.presence", "m.device_list_update", "m.signing_key_update", "m.direct_to_device"]
)
def test_malformed_ephemeral_data_harms_no_neighbour(north: Server, peer: Peer, kind: str) -> None:
    alice, room = _met(north, peer)
    user = room.user
    wrong: list[object] = [None, 7, "x", [], {}, {"edu_type": 7}, {"edu_type": kind}, {"edu_type": kind, "content": []}]
    junk: list[object] = [None, True, -1, 1.5, "x", "\x00", [], {}, [[]], {"": {"": {}}}, 1 << 60]
    for name in (
        "room_id",
        "user_id",
        "typing",
        "push",
        "device_id",
        "stream_id",
        "prev_id",
        "keys",
        "sender",
        "type",
        "messages",
    ):
        sound = {"room_id": room.room_id, "user_id": user, "sender": user, "device_id": "D", "stream_id": 1, "typing": True}
        wrong += [{"edu_type": kind, "content": {**sound, name: value}} for value in junk]
    for value in junk:
        wrong.append({"edu_type": kind, "content": {room.room_id: value}})
        wrong.append({"edu_type": kind, "content": {room.room_id: {"m.read": value}}})
        wrong.append({"edu_type": kind, "content": {room.room_id: {"m.read": {user: value}}}})
        wrong.append({"edu_type": kind, "content": {room.room_id: {"m.read": {user: {"event_ids": value, "data": value}}}}})
        wrong.append(
            {"edu_type": kind, "content": {room.room_id: {"m.read": {user: {"event_ids": ["$x"], "data": {"ts": value}}}}}}
        )
        wrong.append({"edu_type": kind, "content": {"push": [{"user_id": user, "presence": value, "last_active_ago": value}]}})
        wrong.append(
            {"edu_type": kind, "content": {"sender": user, "type": "m", "message_id": "x", "messages": {alice.user_id: value}}}
        )
    for start in range(0, len(wrong), 99):
        assert peer.delivers(north, edus=wrong[start : start + 99]) == {}
    peer.delivers(north, edus=[_letter(peer, alice, "still here")])
    alice.waits_for(lambda: any(letter["content"].get("text") == "still here" for letter in alice.letters))


# Who asks


def test_a_request_that_is_not_signed_as_it_must_be_is_refused(north: Server, peer: Peer) -> None:
    target = segments(f"{FEDERATION}/v1/send", fresh("txn"))
    body = wire.compact({"origin": peer.name, "origin_server_ts": 0, "pdus": [], "edus": []})
    sound = peer.signed(north, "PUT", target, body)["authorization"]
    for header in (
        "",
        "Bearer token",
        "X-Matrix",
        'X-Matrix origin="",key="",sig=""',
        sound.replace(peer.name, "north.example"),
        sound.replace(peer.name, "south.example"),
        sound.replace(peer.name, "not a name"),
        sound.replace("ed25519:played", "ed25519:other"),
        sound.replace("ed25519:played", "rsa:played"),
        sound.replace("north.example", "south.example"),
        sound[:-10] + 'AAAAAAAA"',
        "X-Matrix " + "a=b," * 5_000,
        peer.signed(north, "PUT", target + "2", body)["authorization"],
        peer.signed(north, "PUT", target, body + b" ")["authorization"],
        peer.signed(north, "GET", target, body)["authorization"],
        peer.signed(north, "PUT", target, None)["authorization"],
    ):
        answer = wire.ask(north.federation, "PUT", target, body, {"authorization": header})
        assert answer.refusal == (401, "M_UNAUTHORIZED"), header
    assert wire.ask(north.federation, "PUT", target, body, {"authorization": sound}).status == 200


@pytest.mark.parametrize(
    "keys",
    [
        lambda peer: {},
        lambda peer: {**peer.published_keys(), "server_name": "north.example"},
        lambda peer: {**peer.published_keys(), "signatures": {}},
        lambda peer: {**peer.published_keys(), "verify_keys": {"ed25519:played": {"key": "A" * 43}}},
        lambda peer: {**peer.published_keys(), "verify_keys": []},
        lambda peer: {**peer.published_keys(), "valid_until_ts": "tomorrow"},
        lambda peer: b"garbage",
        lambda peer: b"[" * 100_000,
        lambda peer: b"x" * 3_000_000,
    ],
    ids=["none", "another's", "unsigned", "changed", "no object", "no time", "garbage", "nested", "huge"],
)
def test_a_server_whose_keys_are_not_sound_is_nobody(north: Server, peer: Peer, keys: Callable[[Peer], object]) -> None:
    peer.answers("GET", "/_matrix/key/v2/server", lambda asked: (200, keys(peer)))
    assert peer.transact(north).refusal == (401, "M_UNAUTHORIZED")


# Joins that a peer makes here


_LYING_JOINS: dict[str, Callable[[PeerRoom, Raw], Raw]] = {
    "another's user": lambda room, join: room.seal({**join, "sender": "@x:south.example", "state_key": "@x:south.example"}),
    "another's state key": lambda room, join: room.seal({**join, "state_key": "@x:" + room.peer.name}),
    "no member event": lambda room, join: room.seal({**join, "type": "m.room.message"}),
    "another membership": lambda room, join: room.seal({**join, "content": {"membership": "leave"}}),
    "another room": lambda room, join: room.seal({**join, "room_id": "!" + "B" * 43}),
    "not signed": lambda room, join: {**room.seal(join), "signatures": {}},
    "no event": lambda room, join: {"membership": "join"},
}


@pytest.mark.parametrize("lie", _LYING_JOINS)
def test_a_join_that_is_not_what_it_should_be_is_refused(north: Server, peer: Peer, lie: str) -> None:
    alice = Person.provisioned(north, "alice")
    room = PeerRoom(peer, PeerRoom.made_by(peer).version, alice.makes_room(preset="public_chat"))
    join = {**room.make_join(north).json["event"], "origin_server_ts": now_ms()}
    wrong = _LYING_JOINS[lie](room, join)
    event_id = "$" + "C" * 43 if lie == "no event" else event_id_of(wrong, room.version)
    target = segments(f"{FEDERATION}/v2/send_join", room.room_id, event_id)
    expected = (403, "M_FORBIDDEN") if lie == "not signed" else (400, "M_INVALID_PARAM")
    assert peer.ask(north, "PUT", target, wrong).refusal == expected
    assert alice.get("rooms", room.room_id, "joined_members")["joined"].keys() == {alice.user_id}


def test_a_join_with_versions_that_the_room_is_not_of_is_refused(north: Server, peer: Peer) -> None:
    alice = Person.provisioned(north, "alice")
    room = PeerRoom(peer, PeerRoom.made_by(peer).version, alice.makes_room(preset="public_chat"))
    for versions in (["1", "11"], ["13"], [""], ["org.example.unknown"]):
        answer = room.make_join(north, versions)
        assert answer.refusal == (400, "M_INCOMPATIBLE_ROOM_VERSION")
        assert answer.json["room_version"] == "12"


def test_who_is_not_in_a_room_reads_nothing_of_it(north: Server, peer: Peer) -> None:
    alice = Person.provisioned(north, "alice")
    room_id = alice.makes_room()
    event_id = alice.says(room_id, "among us")
    query = f"?event_id={event_id}"
    for target in (
        segments(f"{FEDERATION}/v1/state", room_id) + query,
        segments(f"{FEDERATION}/v1/state_ids", room_id) + query,
        segments(f"{FEDERATION}/v1/backfill", room_id) + f"?v={event_id}&limit=10",
        segments(f"{FEDERATION}/v1/event_auth", room_id, event_id),
        segments(f"{FEDERATION}/v1/make_join", room_id, f"@x:{peer.name}") + "?ver=12",
    ):
        assert peer.ask(north, "GET", target).refusal == (403, "M_FORBIDDEN"), target
    assert peer.ask(north, "GET", segments(f"{FEDERATION}/v1/event", event_id)).status in (403, 404)
    missing = {"earliest_events": [], "latest_events": [event_id]}
    target = segments(f"{FEDERATION}/v1/get_missing_events", room_id)
    assert peer.ask(north, "POST", target, missing).refusal == (403, "M_FORBIDDEN")


# Every operation for servers, every field


@pytest.mark.parametrize("operation", junk.served_operations("server-server"), ids=lambda each: " ".join(each.name))
def test_nothing_that_a_peer_asks_makes_an_operation_fail(north: Server, peer: Peer, operation: Operation) -> None:
    _, room = _met(north, peer)
    needs_body = operation.method in ("POST", "PUT")
    for target in junk.wrong_targets(operation, room.room_id):
        _refused_at_most(peer.ask(north, operation.method, target, {} if needs_body else None))
    for body in junk.wrong_bodies(operation) if needs_body else ():
        _refused_at_most(peer.ask(north, operation.method, junk.filled(operation, room.room_id), body))


def _refused_at_most(answer: wire.Answer) -> None:
    assert answer.status < 500 or answer.status in (502, 504), answer
    assert answer.status < 400 or answer.refusal
