"""Walking through what the index finds."""

from tests.unit.server.rooms.world import ALICE, BOB
from tests.unit.server.search.world import SearchWorld
from watchword.protocol.ids import RoomId
from watchword.server.rooms.view import Reader
from watchword.server.search import tables
from watchword.server.search.commands import FOREVER, Criteria
from watchword.server.search.finding import Walk
from watchword.server.search.parsing import parse_criteria
from watchword.server.search.segmentation import terms


def criteria(**wanted: object) -> Criteria:
    parsed = parse_criteria({"search_categories": {"room_events": {"search_term": "tea", **wanted}}})
    assert parsed is not None
    return parsed


async def found(world: SearchWorld, left: int, most: int) -> tuple[list[str], Walk]:
    await world.search.follower.catch_up()
    finder = world.search.messages.finder
    async with world.database.read() as tx:
        walk = await finder.walk(tx, Reader(ALICE), criteria(), terms("tea", 9), None)
        walk.left = left
        hits = await finder.take(tx, walk, FOREVER, most)
    return [hit.event.pdu.content["body"] for hit in hits], walk


async def _said(world: SearchWorld, count: int) -> RoomId:
    room_id = await world.public_room(BOB)
    for number in range(count):
        world.clock.advance(1)
        await world.send(ALICE, room_id, f"tea {number}")
    return room_id


async def test_results_come_newest_first_and_the_walk_knows_its_end(world: SearchWorld) -> None:
    await _said(world, 3)
    texts, walk = await found(world, 100, 10)
    assert (texts, walk.ended) == (["tea 2", "tea 1", "tea 0"], True)


async def test_only_a_bounded_number_of_answers_is_looked_at(world: SearchWorld) -> None:
    await _said(world, 5)
    texts, walk = await found(world, 2, 10)
    assert (texts, walk.ended) == (["tea 4", "tea 3"], False)


async def test_a_walk_stops_when_it_has_enough(world: SearchWorld) -> None:
    await _said(world, 5)
    texts, walk = await found(world, 100, 1)
    assert (texts, walk.ended) == (["tea 4"], False)


async def test_entries_of_events_that_are_gone_are_taken_out(world: SearchWorld) -> None:
    room_id = await _said(world, 2)
    await world.search.follower.catch_up()
    async with world.database.write() as tx:
        await tx.execute("DELETE FROM events WHERE CAST(json AS TEXT) LIKE '%tea 0%'")
    world.events._cache.clear()
    texts, walk = await found(world, 100, 10)
    assert texts == ["tea 1"]
    assert len(walk.gone) == 1
    await world.search.messages.finder.forget(walk)
    async with world.database.read() as tx:
        assert len(await tables.hits(tx, '"tea"', FOREVER, 9)) == 1
    assert await world.texts(BOB, "tea", filter={"rooms": [room_id]}) == ["tea 1"]


async def test_whoever_is_in_no_room_asks_nothing(world: SearchWorld) -> None:
    texts, walk = await found(world, 100, 10)
    assert (texts, walk.ended) == ([], True)
