"""Whom a change concerns, and what they are told."""

from typing import Any

import pytest

from tests.unit.server.federation.stacks import ALICE, BOB, ROOM, A, B, FakeE2ee, FakePeople, FakeRooms
from watchword.protocol.ids import DeviceId, EventId
from watchword.server.changes import (
    Change,
    CrossSigningChanged,
    DeviceListChanged,
    EventAppended,
    PresenceChanged,
    ProfileChanged,
    ReceiptChanged,
    ToDeviceOutgoing,
    TypingChanged,
)
from watchword.server.federation.outbox import item_of
from watchword.server.federation.routes import Routes
from watchword.server.federation.settings import FederationSettings
from watchword.storage import Position

EVENT = EventId("$e")


def routes(**settings: Any) -> Routes:
    return Routes(FederationSettings(A, **settings), FakeRooms(A), FakeE2ee(), FakePeople(profiles={ALICE: {}}))


@pytest.mark.parametrize(
    ("change", "concerned"),
    [
        (EventAppended(ROOM, EVENT, "t", None, ALICE, True), True),
        (EventAppended(ROOM, EVENT, "t", None, ALICE, False), False),
        (EventAppended(ROOM, EVENT, "t", None, BOB, True), False),
        (EventAppended(ROOM, EVENT, "m.room.member", "@new:a.example", BOB, True, "invite"), True),
        (TypingChanged(ROOM, ALICE, True, 1), True),
        (TypingChanged(ROOM, BOB, True, 1), False),
        (ReceiptChanged(ROOM, ALICE, "m.read", EVENT, None, 1), True),
        (ReceiptChanged(ROOM, ALICE, "m.read.private", EVENT, None, 1), False),
        (ReceiptChanged(ROOM, BOB, "m.read", EVENT, None, 1), False),
        (PresenceChanged(ALICE), True),
        (PresenceChanged(BOB), False),
        (DeviceListChanged(ALICE, None), True),
        (DeviceListChanged(BOB, None), False),
        (CrossSigningChanged(ALICE), True),
        (CrossSigningChanged(BOB), False),
        (ToDeviceOutgoing(B, "m"), True),
        (ProfileChanged(ALICE, "displayname"), False),
    ],
)
async def test_who_hears_of_what(change: Change, concerned: bool) -> None:
    assert list(await routes().destinations(change, Position(1))) == ([B] if concerned else [])


async def test_presence_may_be_off_and_servers_denied() -> None:
    assert not await routes(presence=False).destinations(PresenceChanged(ALICE), Position(1))
    assert not await routes(deny=("b.*",)).destinations(TypingChanged(ROOM, ALICE, True, 1), Position(1))


@pytest.mark.parametrize("kind", ["m.room.message", "m.room.member"])
async def test_an_event_is_for_who_was_in_the_room_when_it_came(kind: str) -> None:
    rooms = FakeRooms(A, servers={ROOM: [A]}, servers_then={7: [A, B]})
    late = Routes(FederationSettings(A), rooms, FakeE2ee(), None)
    event = EventAppended(ROOM, EVENT, kind, ALICE if kind == "m.room.member" else None, ALICE, True)
    assert list(await late.destinations(event, Position(7))) == [B]
    assert list(await late.destinations(event, Position(8))) == []


@pytest.mark.parametrize(
    ("change", "edus"),
    [
        (TypingChanged(ROOM, ALICE, False), [("m.typing", {"room_id": ROOM, "user_id": ALICE, "typing": False})]),
        (
            ReceiptChanged(ROOM, ALICE, "m.read", EVENT, "main", 5),
            [("m.receipt", {ROOM: {"m.read": {ALICE: {"event_ids": [EVENT], "data": {"ts": 5, "thread_id": "main"}}}}})],
        ),
        (
            ReceiptChanged(ROOM, ALICE, "m.read", EVENT, None, 5),
            [("m.receipt", {ROOM: {"m.read": {ALICE: {"event_ids": [EVENT], "data": {"ts": 5}}}}})],
        ),
        (
            PresenceChanged(ALICE),
            [("m.presence", {"push": [{"user_id": ALICE, "presence": "online", "last_active_ago": 0}]})],
        ),
        (PresenceChanged(BOB), []),
        (
            DeviceListChanged(ALICE, DeviceId("D"), True),
            [("m.device_list_update", {"user_id": ALICE, "device_id": "D", "stream_id": 9, "deleted": True})],
        ),
        (CrossSigningChanged(ALICE), [("m.signing_key_update", {"user_id": ALICE})]),
        (ToDeviceOutgoing(B, "m"), [("m.direct_to_device", {"sender": ALICE})]),
        (ToDeviceOutgoing(B, "gone"), []),
        (EventAppended(ROOM, EVENT, "t", None, ALICE, True), []),
    ],
)
async def test_what_they_are_told(change: Change, edus: list[Any]) -> None:
    found = routes()
    assert isinstance(found.e2ee, FakeE2ee)
    found.e2ee.letters["m"] = {"sender": ALICE}
    assert list(await found.edus(B, item_of(Position(9), change))) == edus
