"""Taking a sync apart."""

from typing import Any

import pytest

from tests.unit.client.crypto.key_server import ALICE, BOB, ROOM, KeyServer, TestDevice, a_device
from watchword.client.events import Ephemeral, Invitation, RoomEvent, RoomJoined, RoomLeft, TimelineGap
from watchword.client.rooms import RoomBook
from watchword.client.sync import SyncReader
from watchword.client.timeline import Timeline


class Reading:
    """Bob's reader."""

    def __init__(self, server: KeyServer | None = None) -> None:
        self.device: TestDevice = a_device(server or KeyServer(), BOB, "B1")
        self.rooms = RoomBook(self.device.machine.records)
        machine = self.device.machine
        self.reader = SyncReader(machine, self.rooms, Timeline(machine), BOB)


def event(event_type: str, state_key: str | None = None, sender: str = ALICE, **content: Any) -> dict[str, Any]:
    whole = {
        "type": event_type,
        "sender": sender,
        "event_id": f"${event_type}{state_key}",
        "origin_server_ts": 1,
        "content": content,
    }
    return whole if state_key is None else {**whole, "state_key": state_key}


def joined(*timeline: dict[str, Any], state: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    room = {"timeline": {"events": list(timeline), **more}, "state": {"events": state or []}}
    return {"rooms": {"join": {ROOM: room}}}


MEMBERS = [event("m.room.member", ALICE, membership="join"), event("m.room.member", BOB, membership="join")]
ENCRYPTION = event("m.room.encryption", "", algorithm="m.megolm.v1.aes-sha2")


def test_the_key_of_a_sync_opens_its_events() -> None:
    server = KeyServer()
    alice, bob = a_device(server, ALICE, "A1"), Reading(server)
    secret = alice.encrypt("x", ALICE, BOB)
    to_device = {"to_device": {"events": server.to_device[(BOB, "B1")]}}
    events = bob.reader.read({**joined(secret), **to_device})
    assert [found.body for found in events if isinstance(found, RoomEvent)] == ["x"]


def test_members_of_an_encrypted_room_are_followed() -> None:
    bob = Reading()
    bob.reader.read(joined(ENCRYPTION, state=MEMBERS))
    assert set(bob.device.machine.devices.tracked()) == {ALICE, BOB}
    bob.reader.read(joined(event("m.room.member", "@carol:x", membership="invite")))
    assert "@carol:x" in bob.device.machine.devices.tracked()


def test_members_of_a_plain_room_are_not_followed() -> None:
    bob = Reading()
    bob.reader.read(joined(state=MEMBERS))
    assert bob.device.machine.devices.tracked() == [BOB]


def test_the_history_visibility_that_came_before_the_encryption_counts() -> None:
    bob = Reading()
    bob.reader.read(joined(event("m.room.history_visibility", "", history_visibility="shared"), ENCRYPTION))
    settings = bob.device.machine.room_settings(ROOM)
    assert settings is not None
    assert settings.shared_history


def test_joining_and_gaps_and_ephemerals_are_told_in_order() -> None:
    bob = Reading()
    answer = joined(event("m.x"), limited=True, prev_batch="p")
    answer["rooms"]["join"][ROOM]["ephemeral"] = {"events": [{"type": "m.typing", "content": {"user_ids": []}}, {"type": 5}]}
    kinds = [type(found) for found in bob.reader.read(answer)]
    assert kinds == [RoomJoined, TimelineGap, RoomEvent, Ephemeral]
    assert RoomJoined not in [type(found) for found in bob.reader.read(answer)]


def test_an_invitation_says_who_and_where() -> None:
    bob = Reading()
    state = [event("m.room.member", BOB, membership="invite"), event("m.room.name", "", name="n"), {"type": "m.room.name"}]
    answer = {"rooms": {"invite": {ROOM: {"invite_state": {"events": state[:2]}}}}}
    assert bob.reader.read(answer) == [Invitation(ROOM, ALICE, "n")]
    assert bob.reader.read(answer) == [], "it is told once"


def test_leaving_is_told_after_the_last_events() -> None:
    bob = Reading()
    bob.reader.read(joined(state=MEMBERS))
    gone = {"timeline": {"events": [event("m.room.member", BOB, membership="leave")]}}
    assert [type(found) for found in bob.reader.read({"rooms": {"leave": {ROOM: gone}}})] == [RoomEvent, RoomLeft]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"rooms": 5, "to_device": [], "device_lists": {"changed": 5, "left": [5]}, "device_one_time_keys_count": []},
        {"rooms": {"join": {ROOM: None}, "invite": {"!i": 5}, "leave": {"!l": []}}},
        {"rooms": {"join": {ROOM: {"timeline": {"events": [None, 5, {}]}, "state": {"events": {}}, "ephemeral": 5}}}},
        {"to_device": {"events": [None, {"type": "m.room.encrypted", "sender": 5}]}},
        {"device_unused_fallback_key_types": [5], "device_one_time_keys_count": {"signed_curve25519": "many"}},
    ],
)
def test_a_malformed_sync_stops_nothing(answer: dict[str, Any]) -> None:
    bob = Reading()
    bob.reader.read(answer)
    assert [type(found) for found in bob.reader.read(joined(event("m.x")))][-1] is RoomEvent
