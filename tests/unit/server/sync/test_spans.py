"""What the words of a span mean."""

from typing import Any

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World
from watchword.server.rooms.event_filters import parse_filter
from watchword.server.rooms.view import Reader
from watchword.server.sync.filters import NO_FILTER, SyncFilter
from watchword.server.sync.spans import RoomSpan
from watchword.storage import Position


async def a_span(world: World, **changed: Any) -> RoomSpan:
    room = await world.reader.room(await world.public_room(BOB))
    assert room is not None
    return RoomSpan(room, Reader(ALICE), Position(3), Position(9), **{"sync_filter": NO_FILTER, **changed})


async def test_full_state_is_all_state_though_the_client_has_a_token(world: World) -> None:
    assert (await a_span(world)).state_since == 3
    assert (await a_span(world, full_state=True)).state_since is None


async def test_either_filter_may_ask_for_few_members(world: World) -> None:
    lazy = parse_filter({"lazy_load_members": True})
    assert not (await a_span(world)).is_lazy
    assert (await a_span(world, sync_filter=SyncFilter(state=lazy))).is_lazy
    assert (await a_span(world, sync_filter=SyncFilter(timeline=lazy))).is_lazy


async def test_only_who_was_in_the_room_can_be_ignored_there(world: World) -> None:
    assert (await a_span(world, ignored=frozenset({BOB}))).ignores_somebody
    assert not (await a_span(world, ignored=frozenset({CAROL}))).ignores_somebody
    assert not (await a_span(world)).ignores_somebody
