"""Taking in what was there before."""

import asyncio
from contextlib import suppress
from pathlib import Path

from tests.unit.server.rooms.world import ALICE, BOB, World
from tests.unit.server.search.world import SearchWorld
from watchword.server.search import tables
from watchword.server.search.follower import PAST


async def _before(folder: Path, count: int) -> None:
    """A server as it was before there was any search."""
    world = await World(folder).start()
    await world.users(ALICE, BOB)
    room_id = await world.public_room(BOB)
    for number in range(count):
        await world.send(ALICE, room_id, f"tea {number}")
    original = await world.send(ALICE, room_id, "tea to be changed")
    await world.send(
        ALICE,
        room_id,
        "* coffee",
        **{"m.new_content": {"body": "coffee"}, "m.relates_to": {"rel_type": "m.replace", "event_id": original}},
    )
    await world.close()


async def test_messages_accounts_and_rooms_of_before_are_taken_in(tmp_path: Path) -> None:
    await _before(tmp_path, 60)
    world = await SearchWorld(tmp_path).start()
    try:
        assert await world.texts(BOB, "tea") == []
        while await world.search.past.messages_step():
            pass
        found = await world.finds(BOB, "tea", order_by="recent", filter={"limit": 100})
        assert len(found["results"]) == 60
        assert await world.texts(BOB, "coffee") == ["tea to be changed"]
    finally:
        await world.close()


async def test_the_walk_goes_on_where_it_was(tmp_path: Path) -> None:
    await _before(tmp_path, 60)
    world = await SearchWorld(tmp_path).start()
    try:
        await world.search.past.messages_step()
        async with world.database.read() as tx:
            place = await tables.progress(tx, PAST)
        world.rebuild_search()
        await world.search.start()
        await world.search.past.messages_step()
        async with world.database.read() as tx:
            further = await tables.progress(tx, PAST)
        assert place is not None
        assert further is not None
        assert further < place
    finally:
        await world.close()


async def test_everything_is_taken_in_by_itself(tmp_path: Path) -> None:
    await _before(tmp_path, 60)
    world = await SearchWorld(tmp_path).start()
    task = asyncio.get_running_loop().create_task(world.search.run())
    try:
        async with asyncio.timeout(10):
            while not (world.search.people.index.rooms and await _past(world) == 1):
                await asyncio.sleep(0.001)
                world.clock.advance(1_000)
        assert len((await world.finds(BOB, "tea", order_by="recent", filter={"limit": 100}))["results"]) == 60
        assert await world.people(ALICE, "bo") == [BOB]
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await world.close()


async def _past(world: SearchWorld) -> int | None:
    async with world.database.read() as tx:
        return await tables.progress(tx, PAST)
