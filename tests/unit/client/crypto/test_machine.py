"""Whole conversations between machines, over a server in memory."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.client.crypto.key_server import ALICE, BOB, ROOM, KeyServer, a_device, with_identity
from watchword.base.clock import ManualClock
from watchword.client.crypto.devices import Trust
from watchword.client.crypto.failures import DecryptionFailure, IdentitiesChanged, NotPrepared, Undecryptable
from watchword.client.crypto.inbound import SenderTrust
from watchword.client.crypto.outbound import Sharing
from watchword.client.crypto.requests import (
    IdentityChanged,
    KeysClaim,
    RoomKeyReceived,
    RoomKeyWithheld,
    ToDevice,
    ToDeviceReceived,
)


def test_two_devices_of_alice_and_one_of_bob_read_each_other() -> None:
    server = KeyServer()
    alice1, alice2, bob = a_device(server, ALICE, "A1"), a_device(server, ALICE, "A2"), a_device(server, BOB, "B1")
    alice1.sync()
    first = alice1.encrypt("labas", ALICE, BOB)
    bob.sync()
    alice2.sync()
    assert (bob.read(first), alice2.read(first), alice1.read(first)) == ("labas", "labas", "labas")
    answer = bob.encrypt("hallo", ALICE, BOB)
    alice1.sync()
    alice2.sync()
    assert (alice1.read(answer), alice2.read(answer)) == ("hallo", "hallo")


def test_the_sender_of_a_message_is_known() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    event = alice.encrypt("x", ALICE, BOB)
    bob.sync()
    opened = bob.open(event)
    assert (opened.sender, opened.sender_device, opened.trust) == (ALICE, "A1", SenderTrust.UNSIGNED)


def test_a_message_is_signed_once_its_sender_has_an_identity() -> None:
    server = KeyServer()
    alice, bob = with_identity(a_device(server, ALICE, "A1")), a_device(server, BOB, "B1")
    event = alice.encrypt("x", ALICE, BOB)
    bob.sync()
    bob.sync()
    assert bob.open(event).trust is SenderTrust.SIGNED


def test_a_second_message_needs_no_requests() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    alice.encrypt("one", ALICE, BOB)
    before = len(alice.sent)
    second = alice.encrypt("two", ALICE, BOB)
    bob.sync()
    assert (len(alice.sent), bob.read(second)) == (before, "two")


def test_nothing_is_encrypted_before_the_key_is_shared() -> None:
    alice = a_device(KeyServer(), ALICE, "A1")
    alice.enter()
    with pytest.raises(NotPrepared):
        alice.machine.encrypt(ROOM, "m.room.message", {}, [ALICE])


def test_nothing_is_encrypted_while_the_key_is_not_delivered() -> None:
    server = KeyServer()
    alice = a_device(server, ALICE, "A1")
    a_device(server, BOB, "B1")
    alice.enter()
    while not isinstance((requests := alice.machine.prepare_room(ROOM, [ALICE, BOB]))[0], ToDevice):
        alice.carry(requests)
    with pytest.raises(NotPrepared):
        alice.machine.encrypt(ROOM, "m.room.message", {}, [ALICE, BOB])


def test_nothing_is_encrypted_with_an_unknown_algorithm() -> None:
    alice = a_device(KeyServer(), ALICE, "A1")
    alice.enter(algorithm="org.example.rot13")
    alice.prepare(ALICE)
    with pytest.raises(NotPrepared):
        alice.machine.encrypt(ROOM, "m.room.message", {}, [ALICE])


def test_a_member_who_left_cannot_read_what_follows() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    before = alice.encrypt("before", ALICE, BOB)
    bob.sync()
    after = alice.encrypt("after", ALICE)
    bob.sync()
    assert bob.read(before) == "before"
    with pytest.raises(DecryptionFailure) as failure:
        bob.read(after)
    assert failure.value.reason is Undecryptable.NO_KEY


def test_a_leaving_that_was_undone_rotates_the_session_all_the_same() -> None:
    server = KeyServer()
    alice = a_device(server, ALICE, "A1")
    a_device(server, BOB, "B1")
    before = alice.encrypt("before", ALICE, BOB)
    alice.machine.receive_room_state(ROOM, "m.room.member", BOB, {"membership": "leave"})
    alice.machine.receive_room_state(ROOM, "m.room.member", BOB, {"membership": "join"})
    after = alice.encrypt("after", ALICE, BOB)
    assert before["content"]["session_id"] != after["content"]["session_id"]


def test_a_new_member_cannot_read_what_came_before() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    before = alice.encrypt("before", ALICE)
    after = alice.encrypt("after", ALICE, BOB)
    bob.sync()
    assert bob.read(after) == "after"
    with pytest.raises(DecryptionFailure) as failure:
        bob.read(before)
    assert failure.value.reason is Undecryptable.TOO_EARLY


def test_a_new_device_of_a_member_gets_the_key_from_the_next_message_on() -> None:
    server = KeyServer()
    alice = a_device(server, ALICE, "A1")
    a_device(server, BOB, "B1")
    alice.encrypt("before", ALICE, BOB)
    bob2 = a_device(server, BOB, "B2")
    alice.sync()
    after = alice.encrypt("after", ALICE, BOB)
    bob2.sync()
    assert bob2.read(after) == "after"


def test_a_device_that_disappears_rotates_the_session() -> None:
    server = KeyServer()
    alice, _, bob2 = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1"), a_device(server, BOB, "B2")
    alice.encrypt("before", ALICE, BOB)
    del server.devices[BOB]["B2"]
    server.tell(BOB)
    alice.sync()
    after = alice.encrypt("after", ALICE, BOB)
    bob2.sync()
    with pytest.raises(DecryptionFailure):
        bob2.read(after)


def test_a_device_that_its_owner_has_not_signed_is_told_that_it_gets_no_key() -> None:
    server = KeyServer()
    alice = a_device(server, ALICE, "A1")
    with_identity(a_device(server, BOB, "B1"))
    stranger = a_device(server, BOB, "B2")
    event = alice.encrypt("secret", ALICE, BOB)
    news = stranger.sync()
    session_id = event["content"]["session_id"]
    assert RoomKeyWithheld(ROOM, session_id, "m.unverified") in news
    with pytest.raises(DecryptionFailure) as failure:
        stranger.read(event)
    assert (failure.value.reason, failure.value.withheld_code) == (Undecryptable.WITHHELD, "m.unverified")


def test_a_device_that_becomes_signed_gets_the_key_of_the_next_message() -> None:
    server = KeyServer()
    alice = a_device(server, ALICE, "A1")
    bob1 = with_identity(a_device(server, BOB, "B1"))
    bob2 = a_device(server, BOB, "B2")
    alice.encrypt("before", ALICE, BOB)
    bob1.sync()
    assert bob1.machine.cross_signing.sign_own_device("B2")
    bob1.settle()
    alice.sync()
    after = alice.encrypt("after", ALICE, BOB)
    bob2.sync()
    assert bob2.read(after) == "after"


def test_a_blocked_device_gets_no_key_and_is_told() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    alice.encrypt("before", ALICE, BOB)
    alice.machine.devices.mark_device(BOB, "B1", "blocked")
    event = alice.encrypt("after", ALICE, BOB)
    news = bob.sync()
    assert RoomKeyWithheld(ROOM, event["content"]["session_id"], "m.blacklisted") in news
    with pytest.raises(DecryptionFailure):
        bob.read(event)


def test_only_verified_users_get_keys_if_our_user_wants_so() -> None:
    server = KeyServer()
    alice = with_identity(a_device(server, ALICE, "A1"))
    bob = with_identity(a_device(server, BOB, "B1"))
    alice.machine.set_sharing(Sharing.VERIFIED)
    withheld = alice.encrypt("withheld", ALICE, BOB)
    bob.sync()
    with pytest.raises(DecryptionFailure):
        bob.read(withheld)
    identity = alice.machine.devices.identity(BOB)
    assert identity is not None
    assert alice.machine.cross_signing.sign_user(BOB, identity.master)
    given = alice.encrypt("given", ALICE, BOB)
    bob.sync()
    assert bob.read(given) == "given"


def test_a_device_without_keys_to_claim_is_told_once_and_holds_nothing_up() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    server.one_time_keys[(BOB, "B1")].clear()
    server.fallback_keys.clear()
    alice.encrypt("one", ALICE, BOB)
    alice.machine.rooms.discard(ROOM)
    alice.encrypt("two", ALICE, BOB)
    told = [event["content"]["code"] for event in server.to_device[(BOB, "B1")] if event["type"] == "m.room_key.withheld"]
    assert told == ["m.no_olm"]
    del bob


def test_a_device_that_was_unreachable_gets_the_key_once_it_has_keys_again() -> None:
    server = KeyServer()
    clock = ManualClock()
    alice, bob = a_device(server, ALICE, "A1", clock), a_device(server, BOB, "B1", clock)
    keys, server.one_time_keys[(BOB, "B1")] = server.one_time_keys[(BOB, "B1")], {}
    server.fallback_keys.clear()
    alice.encrypt("lost", ALICE, BOB)
    server.one_time_keys[(BOB, "B1")] = keys
    clock.advance(700_000)
    event = alice.encrypt("found", ALICE, BOB)
    bob.sync()
    assert bob.read(event) == "found"


def test_a_device_told_of_no_channel_opens_one_itself() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    bob.encrypt("so that Bob knows Alice's device", ALICE, BOB, room_id="!other:one.test")
    alice.machine.channels._peers.remove(bob.machine.account.curve25519)
    server.one_time_keys[(BOB, "B1")].clear()
    server.fallback_keys.clear()
    server.to_device.clear()
    alice.encrypt("lost", ALICE, BOB)
    bob.sync()
    alice.sync()
    event = alice.encrypt("found", ALICE, BOB)
    bob.sync()
    assert bob.read(event) == "found"


def test_the_fallback_key_is_used_when_one_time_keys_are_gone_and_then_replaced() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    bob.clock.advance(3_700_000)
    server.one_time_keys[(BOB, "B1")].clear()
    old = server.fallback_keys[(BOB, "B1")]
    event = alice.encrypt("x", ALICE, BOB)
    bob.sync()
    assert bob.read(event) == "x"
    assert server.fallback_keys[(BOB, "B1")] != old
    assert len(server.one_time_keys[(BOB, "B1")]) == 25


def test_the_same_ciphertext_as_another_event_is_refused() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    event = alice.encrypt("pay 10", ALICE, BOB)
    bob.sync()
    assert bob.read(event) == "pay 10"
    assert bob.read(event) == "pay 10", "the same event may be read again"
    with pytest.raises(DecryptionFailure) as failure:
        bob.read({**event, "event_id": "$another"})
    assert failure.value.reason is Undecryptable.REPLAYED


def test_a_replay_is_refused_after_a_restart() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    event = alice.encrypt("pay 10", ALICE, BOB)
    bob.sync()
    bob.read(event)
    bob.save()
    bob.restart()
    assert bob.read(event) == "pay 10"
    with pytest.raises(DecryptionFailure):
        bob.read({**event, "origin_server_ts": 1})


def test_a_message_cannot_be_moved_to_another_room() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    event = alice.encrypt("x", ALICE, BOB)
    bob.sync()
    with pytest.raises(DecryptionFailure):
        bob.open(event, "!other:one.test")


def test_a_message_cannot_be_given_another_sender() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    event = alice.encrypt("x", ALICE, BOB)
    bob.sync()
    with pytest.raises(DecryptionFailure) as failure:
        bob.open({**event, "sender": BOB})
    assert failure.value.reason is Undecryptable.WRONG_SENDER


def test_everything_survives_a_restart() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    first = alice.encrypt("one", ALICE, BOB)
    bob.sync()
    alice.restart()
    bob.restart()
    second = alice.encrypt("two", ALICE, BOB)
    bob.sync()
    answer = bob.encrypt("three", ALICE, BOB)
    alice.sync()
    assert (bob.read(first), bob.read(second), alice.read(answer)) == ("one", "two", "three")
    assert first["content"]["session_id"] == second["content"]["session_id"]
    assert bob.open(second).message_index == 1


def test_a_key_being_delivered_survives_a_crash_and_arrives_once() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    alice.enter()
    while not isinstance((requests := alice.machine.prepare_room(ROOM, [ALICE, BOB]))[0], ToDevice):
        alice.carry(requests)
    alice.save()
    for request in requests:
        server.answer(ALICE, "A1", request)
    alice.restart()
    alice.enter()
    event = alice.encrypt("x", ALICE, BOB)
    assert len(server.to_device[(BOB, "B1")]) == 1
    bob.sync()
    assert bob.read(event) == "x"


def test_a_wedged_channel_is_replaced_once_an_hour() -> None:
    server = KeyServer()
    clock = ManualClock()
    alice, bob = a_device(server, ALICE, "A1", clock), a_device(server, BOB, "B1", clock)
    alice.encrypt("x", ALICE, BOB)
    bob.sync()
    answer = bob.encrypt("y", ALICE, BOB)
    alice.sync()
    assert alice.read(answer) == "y"
    alice.machine.channels._peers.remove(bob.machine.account.curve25519)
    for _ in range(3):
        bob.machine.rooms.discard(ROOM)
        lost = bob.encrypt("lost", ALICE, BOB)
        alice.sync()
    with pytest.raises(DecryptionFailure):
        alice.read(lost)
    assert sum(isinstance(request, KeysClaim) for request in alice.sent) == 2, "the first channel, and one replacement"
    bob.sync()
    bob.machine.rooms.discard(ROOM)
    found = bob.encrypt("found", ALICE, BOB)
    alice.sync()
    assert alice.read(found) == "found"


def test_a_changed_identity_stops_encryption_until_it_is_acknowledged() -> None:
    server = KeyServer()
    alice = a_device(server, ALICE, "A1")
    bob = with_identity(a_device(server, BOB, "B1"))
    alice.encrypt("x", ALICE, BOB)
    with_identity(bob)
    news = alice.sync()
    assert IdentityChanged(BOB, was_verified=False) in news
    with pytest.raises(IdentitiesChanged) as refusal:
        alice.encrypt("y", ALICE, BOB)
    assert refusal.value.users == {BOB}
    alice.machine.devices.acknowledge_identity(BOB)
    event = alice.encrypt("z", ALICE, BOB)
    bob.sync()
    assert bob.read(event) == "z"


def test_verifying_a_user_makes_their_signed_devices_verified_on_all_our_devices() -> None:
    server = KeyServer()
    alice = with_identity(a_device(server, ALICE, "A1"))
    with_identity(a_device(server, BOB, "B1"))
    alice.encrypt("x", ALICE, BOB)
    assert alice.machine.trust_of(BOB, "B1") is Trust.SIGNED
    identity = alice.machine.devices.identity(BOB)
    assert identity is not None
    assert alice.machine.cross_signing.sign_user(BOB, identity.master)
    alice.settle()
    assert alice.machine.trust_of(BOB, "B1") is Trust.VERIFIED
    alice2 = a_device(server, ALICE, "A2")
    assert alice2.machine.cross_signing.receive_secrets(alice.machine.cross_signing.secrets())
    alice2.settle()
    alice2.encrypt("y", ALICE, BOB, room_id="!second:one.test")
    assert alice2.machine.trust_of(BOB, "B1") is Trust.VERIFIED


@pytest.mark.parametrize(
    "event",
    [
        None,
        7,
        [],
        {},
        {"type": "m.room.encrypted"},
        {"sender": BOB, "type": 5, "content": {}},
        {"sender": BOB, "type": "m.room.encrypted", "content": None},
        {"sender": BOB, "type": "m.room.encrypted", "content": {"algorithm": "m.olm.v1.curve25519-aes-sha2"}},
        {"sender": BOB, "type": "m.room_key", "content": {"room_id": ROOM, "session_id": "x", "session_key": "y"}},
        {"sender": BOB, "type": "m.room_key.withheld", "content": {"code": 5}},
        {"sender": BOB, "type": "m.room_key.withheld", "content": {"code": "m.no_olm", "algorithm": "m.megolm.v1.aes-sha2"}},
        {"sender": BOB, "type": "m.key.verification.start", "content": {"transaction_id": "t"}},
        {"sender": BOB, "type": "m.key.verification.request", "content": {"transaction_id": ["t"], "methods": 5}},
        {"sender": "\ud800", "type": "m.room.encrypted", "content": {"ciphertext": {"\ud800": 1}, "sender_key": "\ud800"}},
    ],
)
def test_a_malformed_to_device_event_is_dropped(event: object) -> None:
    alice = a_device(KeyServer(), ALICE, "A1")
    alice.machine.receive_sync([event])
    assert not [notice for notice in alice.machine.take_notices() if isinstance(notice, RoomKeyReceived)]


@pytest.mark.parametrize(
    ("message_type", "body"),
    [(0, "AAAA"), (1, "AAAA"), (7, "AAAA"), (-1, "AAAA"), (1 << 70, "AAAA"), (0, ""), (0, "*"), (True, "AAAA"), (0, None)],
)
def test_a_malformed_olm_message_is_dropped(message_type: Any, body: Any) -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    content = {
        "algorithm": "m.olm.v1.curve25519-aes-sha2",
        "sender_key": bob.machine.account.curve25519,
        "ciphertext": {alice.machine.account.curve25519: {"type": message_type, "body": body}},
    }
    alice.machine.receive_sync([{"sender": BOB, "type": "m.room.encrypted", "content": content}])
    alice.settle()
    assert alice.machine.take_notices() == []


def test_one_bad_message_does_not_hide_the_next() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    event = alice.encrypt("x", ALICE, BOB)
    good = server.to_device.pop((BOB, "B1"))
    bad = copy.deepcopy(good[0])
    bad["content"]["ciphertext"][bob.machine.account.curve25519]["body"] = "AwogAAAA"
    server.to_device[(BOB, "B1")] = [bad, *good]
    bob.sync()
    assert bob.read(event) == "x"


def test_an_olm_event_sent_on_by_another_user_is_refused() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    event = alice.encrypt("x", ALICE, BOB)
    for message in server.to_device[(BOB, "B1")]:
        message["sender"] = "@mallory:two.test"
    bob.sync()
    with pytest.raises(DecryptionFailure):
        bob.read(event)


def test_a_room_key_in_plain_text_is_no_key() -> None:
    alice = a_device(KeyServer(), ALICE, "A1")
    alice.machine.receive_sync([{"sender": BOB, "type": "m.room_key", "content": {"room_id": ROOM}}])
    assert alice.machine.take_notices() == []


def test_foreign_to_device_events_are_handed_on() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    alice.encrypt("x", ALICE, BOB)
    device = alice.machine.devices.device(BOB, "B1")
    assert device is not None
    alice.machine.send_encrypted(device, "org.example.ping", {"n": 1})
    alice.settle()
    bob.machine.receive_sync([{"sender": ALICE, "type": "org.example.plain", "content": {"n": 2}}])
    key = alice.machine.account.curve25519
    assert set(map(repr, bob.sync())) >= {
        repr(ToDeviceReceived(ALICE, "org.example.plain", {"n": 2}, encrypted=False)),
        repr(ToDeviceReceived(ALICE, "org.example.ping", {"n": 1}, encrypted=True, sender_key=key)),
    }


def test_an_unreachable_server_does_not_hold_up_the_others() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    server.failing.add("@carol:down.test")
    event = alice.encrypt("x", ALICE, BOB, "@carol:down.test")
    bob.sync()
    assert bob.read(event) == "x"


def test_a_failed_claim_is_given_up_for_now() -> None:
    server = KeyServer()
    alice = a_device(server, ALICE, "A1")
    a_device(server, BOB, "B1")
    alice.enter()
    while not isinstance((requests := alice.machine.prepare_room(ROOM, [ALICE, BOB]))[0], KeysClaim):
        alice.carry(requests)
    alice.machine.receive_failure(requests[0].request_id)
    assert not any(isinstance(request, KeysClaim) for request in alice.machine.prepare_room(ROOM, [ALICE, BOB]))


_KEYS = st.sampled_from(
    (
        "type content sender keys signatures device_keys one_time_keys master_keys user_id usage algorithm ciphertext "
        "sender_key session_id room_id code transaction_id from_device method A1 B1 ed25519:B1 curve25519:B1 "
        f"signed_curve25519:AAAAAA key body {ALICE} {BOB}"
    ).split()
)
_TEXTS = st.sampled_from(["m.room.encrypted", "m.room_key.withheld", "m.key.verification.start", ALICE, BOB, "", "A" * 43])
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | _TEXTS | _KEYS
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=6),
    max_leaves=25,
)
_OBJECTS = st.dictionaries(_KEYS, _JSON, max_size=8)
_ALICE = a_device(KeyServer(), ALICE, "A1")  # its state only grows; each example must be survived


@settings(max_examples=150, deadline=None)
@given(_JSON, _OBJECTS)
def test_no_event_whatever_it_says_stops_the_machine(event: Any, content: dict[str, Any]) -> None:
    _ALICE.machine.receive_sync([event, {"type": "m.room.encrypted", "sender": BOB, "content": content}])
    _ALICE.machine.receive_sync([{"type": "m.key.verification.start", "sender": BOB, "content": content}])
    _ALICE.machine.receive_room_state(ROOM, "m.room.encryption", "", content)
    with pytest.raises(DecryptionFailure):
        _ALICE.machine.decrypt(ROOM, {"content": content})


@settings(max_examples=150, deadline=None)
@given(_OBJECTS)
def test_no_answer_whatever_it_says_stops_the_machine(answer: dict[str, Any]) -> None:
    machine = _ALICE.machine
    machine.receive_sync([], changed=[BOB])
    machine.devices.track([BOB])
    for request in [*machine.outgoing(), *machine.prepare_room(ROOM, [ALICE, BOB])]:
        machine.receive_answer(request.request_id, answer)
    machine.backup.use(answer)
    machine.cross_signing.receive_secrets({name: value for name, value in answer.items() if isinstance(value, str)})
