from tests.unit.server.e2ee.world import THERE, World
from watchword.server.e2ee import to_device_tables
from watchword.storage.log import Position


async def test_messages_are_read_in_order_within_their_bounds(world: World) -> None:
    async with world.database.write() as tx:
        for position in (3, 1, 2):
            await to_device_tables.add(tx, Position(position), [(7, str(position).encode()), (8, b"other")])
        found = await to_device_tables.waiting(tx, 7, Position(1), Position(3), 10)
        assert found == [(2, b"2"), (3, b"3")]
        assert await to_device_tables.extent(tx, 7) == (1, 3)
        assert await to_device_tables.extent(tx, 9) == (0, 0)


async def test_a_devices_queue_is_dropped_alone(world: World) -> None:
    async with world.database.write() as tx:
        await to_device_tables.add(tx, Position(1), [(7, b"a"), (8, b"b")])
        assert await to_device_tables.begin_transaction(tx, 7, ("t", "x"), 1)
        await to_device_tables.delete_of_device(tx, 7)
        assert await to_device_tables.begin_transaction(tx, 7, ("t", "x"), 1)
        assert await to_device_tables.extent(tx, 8) == (1, 1)


async def test_what_a_server_acknowledged_is_dropped_up_to_there(world: World) -> None:
    async with world.database.write() as tx:
        for position in (1, 2):
            await to_device_tables.add_outgoing(tx, THERE, str(position), Position(position), b"{}")
        await to_device_tables.delete_outgoing(tx, THERE, Position(1))
        assert [await to_device_tables.outgoing(tx, THERE, name) for name in ("1", "2")] == [None, b"{}"]
