"""A peer that is in a room with us wraps things wrongly: transactions, ephemeral data, signatures of requests, joins."""

from collections.abc import Callable

import pytest

from tests.end_to_end.harness import junk, wire
from tests.end_to_end.harness.peer_rooms import PeerRoom, Raw, event_id_of, met
from tests.end_to_end.harness.peers import FEDERATION, Peer, now_ms, segments
from tests.end_to_end.harness.people import Person, fresh
from tests.end_to_end.harness.servers import Server
from tests.end_to_end.harness.shapes import Operation


def test_a_repeated_transaction_is_answered_alike_and_changes_nothing(north: Server, peer: Peer) -> None:
    alice, room = met(north, peer)
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
    alice, room = met(north, peer)
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
    alice, room = met(north, peer)
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
    alice, room = met(north, peer)
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
    _, room = met(north, peer)
    needs_body = operation.method in ("POST", "PUT")
    for target in junk.wrong_targets(operation, room.room_id):
        _refused_at_most(peer.ask(north, operation.method, target, {} if needs_body else None))
    for body in junk.wrong_bodies(operation) if needs_body else ():
        _refused_at_most(peer.ask(north, operation.method, junk.filled(operation, room.room_id), body))


def _refused_at_most(answer: wire.Answer) -> None:
    assert answer.status < 500 or answer.status in (502, 504), answer
    assert answer.status < 400 or answer.refusal
