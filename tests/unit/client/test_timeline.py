"""Raw events become typed ones, sooner or later."""

from typing import Any

import pytest

from tests.unit.client.crypto.key_server import ALICE, BOB, ROOM, KeyServer, a_device
from watchword.client.crypto.failures import Undecryptable
from watchword.client.events import RoomEvent, UndecryptableEvent
from watchword.client.timeline import Timeline


def test_an_event_waits_for_its_key() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    timeline = Timeline(bob.machine)
    event = alice.encrypt("x", ALICE, BOB)
    session_id = event["content"]["session_id"]
    found = timeline.read(ROOM, event)
    assert isinstance(found, UndecryptableEvent)
    assert (found.reason, timeline.missing()) == (Undecryptable.NO_KEY, [(ROOM, session_id)])
    assert timeline.retry(ROOM, session_id) == []
    assert timeline.missing() == [(ROOM, session_id)], "it goes on waiting"
    bob.sync()
    (read,) = timeline.retry_all()
    assert (read.body, read.event_id, read.session_id) == ("x", event["event_id"], session_id)
    assert timeline.missing() == []


def test_a_forged_event_does_not_wait() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    timeline = Timeline(bob.machine)
    event = alice.encrypt("x", ALICE, BOB)
    bob.sync()
    timeline.read(ROOM, {**event, "content": {**event["content"], "ciphertext": "AAAA"}})
    assert timeline.missing() == []


def test_only_so_many_events_wait() -> None:
    timeline = Timeline(a_device(KeyServer(), BOB, "B1").machine)
    for number in range(6_000):
        content = {"algorithm": "m.megolm.v1.aes-sha2", "session_id": f"s{number % 100}", "ciphertext": "AAAA"}
        timeline.read(ROOM, {"type": "m.room.encrypted", "sender": ALICE, "event_id": f"${number}", "content": content})
    assert sum(map(len, timeline._waiting.values())) == timeline._waiting_count <= 5_000


def test_a_redacted_event_is_no_riddle() -> None:
    timeline = Timeline(a_device(KeyServer(), BOB, "B1").machine)
    raw = {"type": "m.room.encrypted", "sender": ALICE, "event_id": "$x", "origin_server_ts": 5, "content": {}}
    assert timeline.read(ROOM, raw) == RoomEvent(ROOM, "$x", ALICE, "m.room.encrypted", {}, 5)


def test_a_plain_event_is_read_as_it_is() -> None:
    timeline = Timeline(a_device(KeyServer(), BOB, "B1").machine)
    raw = {
        "type": "m.room.name",
        "state_key": "",
        "sender": ALICE,
        "event_id": "$x",
        "origin_server_ts": 5,
        "content": {"name": "n"},
        "unsigned": {"transaction_id": "t"},
    }
    assert timeline.read(ROOM, raw) == RoomEvent(ROOM, "$x", ALICE, "m.room.name", {"name": "n"}, 5, "", None, "t")


@pytest.mark.parametrize(
    "raw", [None, 5, [], {}, {"type": "m.x", "sender": "@a:b"}, {"type": 5, "sender": "@a:b", "event_id": "$"}]
)
def test_a_malformed_event_is_none(raw: Any) -> None:
    assert Timeline(a_device(KeyServer(), BOB, "B1").machine).read(ROOM, raw) is None
