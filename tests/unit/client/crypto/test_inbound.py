"""Room keys: which are kept, which replace others, and what they open."""

from typing import Any

import pytest
import vodozemac

from tests.unit.client.crypto.key_server import ALICE, BOB, ROOM, KeyServer, TestDevice, a_device
from watchword.base.errors import RemoteProtocolError
from watchword.client.crypto.failures import DecryptionFailure, Undecryptable
from watchword.client.crypto.inbound import SenderTrust
from watchword.client.crypto.outbound import RoomSettings

MEGOLM = "m.megolm.v1.aes-sha2"


@pytest.fixture
def bob() -> TestDevice:
    return a_device(KeyServer(), BOB, "B1")


def room_key(session: vodozemac.GroupSession, **changes: Any) -> dict[str, Any]:
    return {
        "algorithm": MEGOLM,
        "room_id": ROOM,
        "session_id": session.session_id,
        "session_key": session.session_key.to_base64(),
        **changes,
    }


def give(device: TestDevice, content: dict[str, Any], sender: str = ALICE, sender_key: str = "key") -> bool:
    keys = device.machine.room_keys
    return keys.add_from_event(content, sender=sender, sender_key=sender_key, ed25519="ed") is not None


def exported(session: vodozemac.GroupSession, index: int = 0, **changes: Any) -> dict[str, Any]:
    at = vodozemac.InboundGroupSession(session.session_key).export_at(index)
    assert at is not None
    keys = {"sender_key": "key", "sender_claimed_keys": {"ed25519": "ed"}}
    return {"algorithm": MEGOLM, "session_key": at.to_base64(), **keys, **changes}


def an_event(session: vodozemac.GroupSession, plaintext: bytes, **changes: Any) -> dict[str, Any]:
    ciphertext = session.encrypt(plaintext).to_base64()
    content = {"algorithm": MEGOLM, "session_id": session.session_id, "ciphertext": ciphertext}
    return {"sender": ALICE, "event_id": f"${ciphertext}", "origin_server_ts": 1, "content": {**content, **changes}}


PLAIN = b'{"type":"m.x","content":{"a":1},"room_id":"!room:one.test"}'


def test_an_unknown_sender_device_is_said_to_be_unknown(bob: TestDevice) -> None:
    session = vodozemac.GroupSession()
    assert give(bob, room_key(session))
    opened = bob.open(an_event(session, PLAIN))
    assert (opened.type, opened.content, opened.trust) == ("m.x", {"a": 1}, SenderTrust.UNKNOWN_DEVICE)


def test_a_key_that_is_here_already_changes_nothing(bob: TestDevice) -> None:
    session = vodozemac.GroupSession()
    assert give(bob, room_key(session))
    assert not give(bob, room_key(session))


def test_a_key_that_begins_earlier_replaces_one_that_begins_later(bob: TestDevice) -> None:
    session = vodozemac.GroupSession()
    early = exported(session)
    first = an_event(session, PLAIN)
    assert give(bob, room_key(session))
    with pytest.raises(DecryptionFailure) as failure:
        bob.open(first)
    assert failure.value.reason is Undecryptable.TOO_EARLY
    assert bob.machine.room_keys.add_exported(ROOM, session.session_id, early)
    assert bob.open(first).type == "m.x"
    key = bob.machine.room_keys.key(f"{ROOM}|{session.session_id}")
    assert key is not None
    assert (key.first_index, key.sender) == (0, ALICE), "who gave it stays proven"


def test_a_later_key_does_not_replace_an_earlier_one(bob: TestDevice) -> None:
    session = vodozemac.GroupSession()
    assert give(bob, room_key(session))
    session.encrypt(b"")
    assert not give(bob, room_key(session))
    key = bob.machine.room_keys.key(f"{ROOM}|{session.session_id}")
    assert key is not None
    assert key.first_index == 0


def test_another_sender_cannot_take_a_session_over(bob: TestDevice) -> None:
    session = vodozemac.GroupSession()
    early = room_key(session)
    session.encrypt(b"")
    assert give(bob, room_key(session))
    assert not give(bob, early, sender="@mallory:x")
    assert bob.open(an_event(session, PLAIN)).sender == ALICE


def test_a_restored_key_becomes_authentic_when_its_sender_gives_it(bob: TestDevice) -> None:
    session = vodozemac.GroupSession()
    assert bob.machine.room_keys.add_exported(ROOM, session.session_id, exported(session))
    opened = bob.open(an_event(session, PLAIN))
    assert opened.trust is SenderTrust.UNAUTHENTICATED
    give(bob, room_key(session))
    key = bob.machine.room_keys.key(f"{ROOM}|{session.session_id}")
    assert key is not None
    assert (key.sender, key.first_index) == (ALICE, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"algorithm": "m.other"},
        {"room_id": None},
        {"session_id": "another"},
        {"session_key": "*"},
        {"session_key": "AAAA"},
        {"session_key": 5},
    ],
)
def test_a_malformed_room_key_is_refused(bob: TestDevice, changes: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError):
        give(bob, room_key(vodozemac.GroupSession(), **changes))


@pytest.mark.parametrize(
    "changes", [{"algorithm": "m.other"}, {"sender_key": 1}, {"session_key": "AAAA"}, {"sender_claimed_keys": {}}]
)
def test_a_malformed_exported_key_is_refused(bob: TestDevice, changes: dict[str, Any]) -> None:
    session = vodozemac.GroupSession()
    with pytest.raises(RemoteProtocolError):
        bob.machine.room_keys.add_exported(ROOM, session.session_id, exported(session, **changes))


def test_an_exported_key_under_another_id_is_refused(bob: TestDevice) -> None:
    with pytest.raises(RemoteProtocolError):
        bob.machine.room_keys.add_exported(ROOM, "another", exported(vodozemac.GroupSession()))


@pytest.mark.parametrize(
    ("plaintext", "reason"),
    [
        (b"not json", Undecryptable.MALFORMED),
        (b"[]", Undecryptable.MALFORMED),
        (b'{"room_id":"!room:one.test"}', Undecryptable.MALFORMED),
        (b'{"room_id":"!room:one.test","type":5,"content":{}}', Undecryptable.MALFORMED),
        (b'{"room_id":"!room:one.test","type":"m.x","content":[]}', Undecryptable.MALFORMED),
        (b'{"room_id":"!other","type":"m.x","content":{}}', Undecryptable.WRONG_ROOM),
        (b'{"type":"m.x","content":{}}', Undecryptable.WRONG_ROOM),
    ],
)
def test_a_malformed_plaintext_is_refused(bob: TestDevice, plaintext: bytes, reason: Undecryptable) -> None:
    session = vodozemac.GroupSession()
    give(bob, room_key(session))
    with pytest.raises(DecryptionFailure) as failure:
        bob.open(an_event(session, plaintext))
    assert failure.value.reason is reason


@pytest.mark.parametrize("ciphertext", ["", "*", "AAAA", "Aw", "\ud800", "A" * 10_000])
def test_a_malformed_ciphertext_is_refused(bob: TestDevice, ciphertext: str) -> None:
    session = vodozemac.GroupSession()
    give(bob, room_key(session))
    with pytest.raises(DecryptionFailure) as failure:
        bob.open(an_event(session, PLAIN, ciphertext=ciphertext))
    assert failure.value.reason is Undecryptable.FORGED


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({}, Undecryptable.UNKNOWN_ALGORITHM),
        ({"content": {"algorithm": "m.other"}}, Undecryptable.UNKNOWN_ALGORITHM),
        ({"content": {"algorithm": MEGOLM}}, Undecryptable.MALFORMED),
        ({"content": {"algorithm": MEGOLM, "session_id": "s", "ciphertext": "c"}}, Undecryptable.MALFORMED),
        ({"content": {"algorithm": MEGOLM, "session_id": "s", "ciphertext": "c"}, "sender": "@a:b"}, Undecryptable.NO_KEY),
    ],
)
def test_a_malformed_event_is_refused(bob: TestDevice, event: dict[str, Any], reason: Undecryptable) -> None:
    with pytest.raises(DecryptionFailure) as failure:
        bob.open(event)
    assert failure.value.reason is reason


def test_a_relation_outside_the_ciphertext_is_put_back(bob: TestDevice) -> None:
    session = vodozemac.GroupSession()
    give(bob, room_key(session))
    relation = {"rel_type": "m.thread", "event_id": "$x"}
    opened = bob.open(an_event(session, PLAIN, **{"m.relates_to": relation}))
    assert opened.content == {"a": 1, "m.relates_to": relation}


def test_why_a_key_is_withheld_is_forgotten_when_it_arrives(bob: TestDevice) -> None:
    session = vodozemac.GroupSession()
    keys = bob.machine.room_keys
    assert keys.add_withheld(ROOM, session.session_id, "m.unverified")
    key = exported(session)
    event = an_event(session, PLAIN)
    with pytest.raises(DecryptionFailure) as failure:
        bob.open(event)
    assert failure.value.withheld_code == "m.unverified"
    keys.add_exported(ROOM, session.session_id, key)
    assert not keys.add_withheld(ROOM, session.session_id, "m.unverified")
    assert keys.has(ROOM, session.session_id)


def test_whether_history_may_be_shared_is_remembered(bob: TestDevice) -> None:
    session = vodozemac.GroupSession()
    give(bob, room_key(session, shared_history=True))
    (key,) = bob.machine.room_keys.sessions_in(ROOM)
    assert key.shared_history
    assert not RoomSettings().shared_history


def test_the_trust_of_an_event_is_known_better_later() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    event = alice.encrypt("x", ALICE, BOB)
    bob.machine.receive_sync(server.to_device.pop((BOB, "B1")))
    opened = bob.open(event)
    assert opened.trust is SenderTrust.UNKNOWN_DEVICE
    bob.settle()
    assert bob.machine.sender_trust(ROOM, opened.session_id, ALICE) is SenderTrust.UNSIGNED
    assert bob.machine.sender_trust(ROOM, "another", ALICE) is SenderTrust.UNKNOWN_DEVICE
