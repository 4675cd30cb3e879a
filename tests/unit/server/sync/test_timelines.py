"""Which events a response shows of a span, and what stands before them."""

from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, World, bodies
from watchword.protocol.ids import RoomId, UserId
from watchword.server.rooms.event_filters import parse_filter
from watchword.server.rooms.view import Reader
from watchword.server.sync.filters import NO_FILTER, SyncFilter
from watchword.server.sync.spans import RoomSpan
from watchword.server.sync.timelines import Timeline, timeline_of
from watchword.storage import Position


async def timeline(
    world: World,
    room_id: RoomId,
    since: int | None = None,
    *,
    by: UserId = ALICE,
    ignored: frozenset[UserId] = frozenset(),
    **wanted: Any,
) -> Timeline:
    room = await world.reader.room(room_id)
    assert room is not None
    sync_filter = SyncFilter(timeline=parse_filter(wanted)) if wanted else NO_FILTER
    after = None if since is None else Position(since)
    async with world.database.read() as tx:
        view = await world.reader.view(tx, room, Reader(by))
        return await timeline_of(
            world.reader, tx, view, RoomSpan(room, Reader(by), after, world.log.position, sync_filter, ignored=ignored)
        )


def texts(found: Timeline) -> list[str]:
    return bodies([event.pdu.json for event in found.events])


async def forget(world: World, room_id: RoomId) -> None:
    """So that the database is asked."""
    room = await world.reader.room(room_id)
    assert room is not None
    room.forget_recent()


@pytest.mark.parametrize("from_memory", [True, False])
async def test_the_newest_of_a_span_are_shown(world: World, from_memory: bool) -> None:
    room_id = await world.room()
    since = world.log.position
    for number in range(8):
        await world.send(ALICE, room_id, str(number))
    if not from_memory:
        await forget(world, room_id)
    for limit, expected in ((3, ["5", "6", "7"]), (8, [str(number) for number in range(8)]), (0, [])):
        found = await timeline(world, room_id, since, limit=limit)
        assert (texts(found), found.limited) == (expected, limit < 8)
    whole = await timeline(world, room_id, None, limit=100)
    assert (whole.limited, whole.start_position) == (False, 0)


@pytest.mark.parametrize("from_memory", [True, False])
async def test_filters_count_before_the_limit(world: World, from_memory: bool) -> None:
    room_id = await world.public_room(BOB)
    since = world.log.position
    for number in range(6):
        await world.send(ALICE if number % 2 else BOB, room_id, str(number))
    if not from_memory:
        await forget(world, room_id)
    found = await timeline(world, room_id, since, limit=3, senders=[BOB])
    assert (texts(found), found.limited) == (["0", "2", "4"], False)
    found = await timeline(world, room_id, since, limit=2, ignored=frozenset({ALICE}))
    assert (texts(found), found.limited) == (["2", "4"], True)
    assert not (await timeline(world, room_id, since, types=[])).events


async def test_a_room_that_is_not_wanted_has_no_timeline(world: World) -> None:
    room_id = await world.room()
    found = await timeline(world, room_id, None, not_rooms=[room_id])
    assert (found.events, found.limited) == ((), False)


async def test_a_search_that_was_given_up_says_that_there_may_be_more(world: World) -> None:
    """Whoever may not see a thousand events is not told that there is nothing before them."""
    room_id = await world.public_room(
        BOB, initial_state=[{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]
    )
    await world.send(ALICE, room_id, "seen")
    await world.leave(BOB, room_id)
    for number in range(1_100):
        await world.send(ALICE, room_id, str(number))
    await world.join(BOB, room_id)
    await forget(world, room_id)
    found = await timeline(world, room_id, None, by=BOB)
    assert len(found.events) == 1
    assert found.limited
    page = await world.messages(BOB, room_id, **{"from": f"t{found.before}"})
    while "end" in page and not bodies(page["chunk"]):
        page = await world.messages(BOB, room_id, **{"from": page["end"]})
    assert bodies(page["chunk"]) == ["seen"]
