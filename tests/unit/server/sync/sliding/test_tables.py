"""Saved connections: one for each name, the newest of a device, none older than allowed."""

from tests.unit.server.rooms.world import ALICE, BOB
from tests.unit.server.sync.sliding.windows import SlidingWorld
from watchword.server.sync.sliding import tables


async def left(world: SlidingWorld) -> list[tuple[str, str, bytes]]:
    async with world.database.read() as tx:
        rows = await tx.fetch_all("SELECT user_id, conn_id, saved FROM sliding_connections ORDER BY user_id, conn_id")
    return [(str(row[0]), str(row[1]), bytes(row[2])) for row in rows]


async def test_a_connection_is_saved_over_its_predecessor(world: SlidingWorld) -> None:
    async with world.database.write() as tx:
        await tables.save(tx, (ALICE, "P", ""), 1, b"old")
        await tables.save(tx, (ALICE, "P", ""), 2, b"new")
    assert await left(world) == [(ALICE, "", b"new")]
    async with world.database.read() as tx:
        assert await tables.load(tx, (ALICE, "P", "")) == b"new"
        assert await tables.load(tx, (ALICE, "P", "other")) is None


async def test_rows_go_by_number_by_age_and_by_device(world: SlidingWorld) -> None:
    async with world.database.write() as tx:
        for number in range(4):
            await tables.save(tx, (ALICE, "P", str(number)), number, b"")
        await tables.save(tx, (BOB, "P", "0"), 0, b"")
        await tables.keep_newest(tx, ALICE, "P", 2)
    assert [row[:2] for row in await left(world)] == [(ALICE, "2"), (ALICE, "3"), (BOB, "0")]
    async with world.database.write() as tx:
        assert await tables.delete_older(tx, 3) == 2
    assert [row[:2] for row in await left(world)] == [(ALICE, "3")]
    async with world.database.write() as tx:
        await tables.delete_device(tx, ALICE, "P")
    assert await left(world) == []
