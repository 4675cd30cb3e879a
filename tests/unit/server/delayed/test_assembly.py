"""Delayed events put together."""

from pathlib import Path

from tests.unit.server.delayed.world import ALICE, open_delayed_world


async def test_the_parts_know_of_each_other(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        # Nothing waits, so the timer must be told of what comes.
        await world.pass_time(120_000)
        await world.later(ALICE, room_id, "told", 10)
        await world.pass_time(10)
        assert await world.said(room_id) == ["told"]
