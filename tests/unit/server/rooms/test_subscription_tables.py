"""Subscriptions to threads, as rows."""

from tests.unit.server.rooms.world import ALICE, World
from watchword.server.rooms import subscription_tables
from watchword.server.rooms.subscription_tables import SubscriptionRow
from watchword.storage import Position


async def test_a_row_says_what_was_said_last(world: World) -> None:
    room_id = await world.public_room()
    root = await world.send(ALICE, room_id)
    room = await world.registry.find(room_id)
    assert room is not None
    first = SubscriptionRow(room_id, root, True, True, 0, Position(5))
    second = SubscriptionRow(room_id, root, False, True, 9, Position(9))
    async with world.database.write() as tx:
        for row in (first, second):
            await subscription_tables.save_subscription(tx, 1, room.room_nid, row)
            assert await subscription_tables.subscription(tx, 1, room.room_nid, root) == row
        assert await subscription_tables.subscription(tx, 2, room.room_nid, root) is None
        assert await subscription_tables.changes(tx, 1, 8, 9, 10) == [second]
        assert await subscription_tables.changes(tx, 1, 0, 8, 10) == []
        assert await subscription_tables.changes(tx, 1, 9, 10, 10) == []
