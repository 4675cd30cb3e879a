"""The SQL of sticky events."""

from tests.unit.server.rooms.world import ALICE, World
from watchword.server.rooms import sticky_tables


async def test_sticky_events_are_kept_until_they_are_over(world: World) -> None:
    room_id = await world.room(ALICE)
    room = await world.reader.room(room_id)
    assert room is not None
    async with world.database.write() as tx:
        for nid, position, expires_ts in ((5, 7, 100), (6, 0, 200), (7, 9, 300)):
            await sticky_tables.save(tx, nid, room.room_nid, position, expires_ts)
        assert [row.event_nid for row in await sticky_tables.unexpired(tx, 100, 0, 10)] == [6, 7]
        assert [row.event_nid for row in await sticky_tables.unexpired(tx, 0, 5, 1)] == [6]
        await sticky_tables.save(tx, 6, room.room_nid, 8, 999)
        assert await sticky_tables.unexpired(tx, 100, 5, 1) == [(6, room_id, 8, 200)]
        await sticky_tables.delete(tx, 7)
        await sticky_tables.delete_expired(tx, 100, 10)
        assert [row.event_nid for row in await sticky_tables.unexpired(tx, 0, 0, 10)] == [6]
