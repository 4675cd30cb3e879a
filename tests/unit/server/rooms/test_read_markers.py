"""How far somebody has read, as he himself sees it."""

from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, World
from watchword.protocol.ids import EventId, RoomId


@pytest.fixture
async def said(world: World) -> tuple[RoomId, list[EventId]]:
    """A room, and three things said in it."""
    room_id = await world.room()
    return room_id, [EventId(await world.say(ALICE, room_id, txn_id=str(number))) for number in range(3)]


async def _read_up_to(world: World, room_id: RoomId, event_id: str, **more: Any) -> str:
    """Move the marker; where it is then."""
    await world.ask(ALICE, "POST", f"rooms/{room_id}/read_markers", {"m.fully_read": event_id, **more})
    content = await world.ask(ALICE, "GET", f"user/{ALICE}/rooms/{room_id}/account_data/m.fully_read")
    return str(content["event_id"])


async def test_a_marker_goes_forward(world: World, said: tuple[RoomId, list[EventId]]) -> None:
    room_id, events = said
    for event_id in events:
        assert await _read_up_to(world, room_id, event_id) == event_id


async def test_a_client_that_is_behind_leaves_the_marker(world: World, said: tuple[RoomId, list[EventId]]) -> None:
    room_id, events = said
    await _read_up_to(world, room_id, events[1])
    position = world.log.position
    assert await _read_up_to(world, room_id, events[0]) == events[1]
    assert await _read_up_to(world, room_id, events[1]) == events[1]
    assert world.log.position == position


@pytest.mark.parametrize("flag", ["allow_backward", "com.beeper.allow_backward"])
async def test_a_marker_goes_back_if_that_is_meant(world: World, said: tuple[RoomId, list[EventId]], flag: str) -> None:
    room_id, events = said
    await _read_up_to(world, room_id, events[2])
    assert await _read_up_to(world, room_id, events[0], **{flag: True}) == events[0]
    path = f"rooms/{room_id}/receipt/m.fully_read/{events[2]}"
    await world.ask(ALICE, "POST", path, {flag: False})
    await world.ask(ALICE, "POST", path.replace(events[2], events[1]), {flag: True})
    assert await _read_up_to(world, room_id, events[0]) == events[1]


async def test_events_that_are_not_here_may_be_marked(world: World, said: tuple[RoomId, list[EventId]]) -> None:
    room_id, events = said
    assert await _read_up_to(world, room_id, "$elsewhere") == "$elsewhere"
    assert await _read_up_to(world, room_id, events[0]) == events[0]
    assert await _read_up_to(world, room_id, "$elsewhere") == "$elsewhere"


async def test_whoever_was_never_in_the_room_marks_nothing(world: World, said: tuple[RoomId, list[EventId]]) -> None:
    room_id, events = said
    body = {"m.fully_read": events[0]}
    assert await world.refused(BOB, "POST", f"rooms/{room_id}/read_markers", body) == (403, "M_FORBIDDEN")
