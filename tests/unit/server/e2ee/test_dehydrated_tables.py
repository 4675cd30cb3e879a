from tests.unit.server.e2ee.world import ALICE, BOB, World
from watchword.protocol.ids import DeviceId
from watchword.server.e2ee import dehydrated_tables


async def test_a_user_has_one_and_only_that_one_is_deleted(world: World) -> None:
    old, new = DeviceId("OLD"), DeviceId("NEW")
    async with world.database.write() as tx:
        await dehydrated_tables.set_dehydrated(tx, ALICE, old, b"1")
        await dehydrated_tables.set_dehydrated(tx, ALICE, new, b"2")
        await dehydrated_tables.delete_dehydrated(tx, ALICE, old)
    async with world.database.read() as view:
        assert await dehydrated_tables.dehydrated(view, ALICE) == (new, b"2")
        assert await dehydrated_tables.dehydrated(view, BOB) is None
