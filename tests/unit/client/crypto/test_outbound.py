"""When an outbound session ends, and what its messages look like."""

from typing import Any

import pytest

from tests.unit.client.crypto.key_server import ALICE, BOB, ROOM, KeyServer, TestDevice, a_device
from watchword.base.clock import ManualClock
from watchword.client.crypto.requests import ToDevice
from watchword.client.crypto.signing import signed

DAY_MS = 86_400_000


@pytest.fixture
def alice() -> TestDevice:
    return a_device(KeyServer(), ALICE, "A1", ManualClock())


def session_of(event: dict[str, Any]) -> str:
    session_id = event["content"]["session_id"]
    assert isinstance(session_id, str)
    return session_id


def sessions(device: TestDevice, count: int) -> int:
    """How many sessions so many messages take."""
    return len({session_of(device.encrypt("x", ALICE)) for _ in range(count)})


def test_a_session_ends_after_a_hundred_messages(alice: TestDevice) -> None:
    assert sessions(alice, 100) == 1
    assert sessions(alice, 101) == 2


def test_a_session_ends_after_as_many_messages_as_the_room_says(alice: TestDevice) -> None:
    alice.enter(rotation_period_msgs=3)
    assert sessions(alice, 9) == 3


def test_a_session_ends_after_a_week(alice: TestDevice) -> None:
    first = alice.encrypt("x", ALICE)
    alice.clock.advance(7 * DAY_MS - 1)
    assert session_of(alice.encrypt("x", ALICE)) == session_of(first)
    alice.clock.advance(1)
    assert session_of(alice.encrypt("x", ALICE)) != session_of(first)


@pytest.mark.parametrize("content", [{"rotation_period_msgs": 0}, {"rotation_period_msgs": -5}])
def test_an_absurdly_small_number_of_messages_is_one(alice: TestDevice, content: dict[str, Any]) -> None:
    alice.enter(**content)
    settings = alice.machine.room_settings(ROOM)
    assert settings is not None
    assert settings.rotation_messages == 1


@pytest.mark.parametrize(
    ("period_ms", "expected_ms"), [(1, 3_600_000), (10**15, 28 * DAY_MS), (DAY_MS, DAY_MS), ("soon", 7 * DAY_MS)]
)
def test_periods_are_kept_within_reason(alice: TestDevice, period_ms: Any, expected_ms: int) -> None:
    alice.enter(rotation_period_ms=period_ms)
    settings = alice.machine.room_settings(ROOM)
    assert settings is not None
    assert settings.rotation_period_ms == expected_ms


def test_a_room_never_ceases_to_be_encrypted(alice: TestDevice) -> None:
    alice.enter()
    for content in ({}, {"algorithm": None}, {"algorithm": "m.other"}):
        alice.machine.receive_room_state(ROOM, "m.room.encryption", "", content)
    settings = alice.machine.room_settings(ROOM)
    assert settings is not None
    assert settings.algorithm == "m.megolm.v1.aes-sha2"


def test_an_encryption_event_with_a_state_key_is_none(alice: TestDevice) -> None:
    alice.machine.receive_room_state(ROOM, "m.room.encryption", "x", {"algorithm": "m.megolm.v1.aes-sha2"})
    assert alice.machine.room_settings(ROOM) is None


def test_a_change_of_history_visibility_ends_the_session_if_it_matters(alice: TestDevice) -> None:
    first = alice.encrypt("x", ALICE)
    alice.machine.receive_room_state(ROOM, "m.room.history_visibility", "", {"history_visibility": "joined"})
    assert session_of(alice.encrypt("x", ALICE)) == session_of(first)
    alice.machine.receive_room_state(ROOM, "m.room.history_visibility", "", {"history_visibility": "shared"})
    second = alice.encrypt("x", ALICE)
    assert session_of(second) != session_of(first)
    (key,) = [key for key in alice.machine.room_keys.sessions_in(ROOM) if key.session_id == session_of(second)]
    assert key.shared_history


def test_a_session_from_the_future_is_not_used(alice: TestDevice) -> None:
    first = alice.encrypt("x", ALICE)
    alice.clock._now_ms -= DAY_MS
    assert session_of(alice.encrypt("x", ALICE)) != session_of(first)


def test_a_relation_stays_readable_for_the_server(alice: TestDevice) -> None:
    alice.enter()
    alice.prepare(ALICE)
    relation = {"rel_type": "m.annotation", "event_id": "$x", "key": "👍"}
    content = alice.machine.encrypt(ROOM, "m.reaction", {"m.relates_to": relation, "a": 1}, [ALICE])
    assert content["m.relates_to"] == relation
    event = {"sender": ALICE, "event_id": "$y", "origin_server_ts": 1, "content": content}
    assert alice.open(event).content == {"a": 1, "m.relates_to": relation}


def test_a_key_for_many_devices_goes_out_in_bounded_requests() -> None:
    server = KeyServer()
    alice = a_device(server, ALICE, "A1")
    users = [f"@u{number}:x" for number in range(30)]
    devices = [TestDevice(server, user, f"{user[1:-2]}D{n}") for user in users for n in range(4)]
    for device in devices:
        device.sync()
    event = alice.encrypt("x", ALICE, *users)
    sizes = [sum(map(len, request.messages.values())) for request in alice.sent if isinstance(request, ToDevice)]
    assert sizes == [100, 20]
    devices[-1].sync()
    assert devices[-1].read(event) == "x"


def test_a_device_that_does_not_know_megolm_is_passed_over() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), a_device(server, BOB, "B1")
    keys = {**bob.machine.account.device_keys(), "algorithms": ["m.olm.v1.curve25519-aes-sha2"]}
    del keys["signatures"]
    server.devices[BOB]["B1"] = signed(keys, BOB, bob.machine.account)
    alice.encrypt("x", ALICE, BOB)
    assert (BOB, "B1") not in server.to_device
