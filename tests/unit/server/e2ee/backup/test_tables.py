from tests.unit.server.e2ee.world import ALICE, BOB, World
from watchword.server.e2ee.backup import tables
from watchword.server.e2ee.backup.decide import BackedUpKey


async def test_a_room_is_not_mistaken_for_one_that_begins_like_it(world: World) -> None:
    key = BackedUpKey(0, 0, False, b"{}")
    async with world.database.write() as tx:
        await tables.set_sessions(tx, ALICE, 1, {("!a", "s"): key, ("!ab", "s"): key, ("\U0010fffd", "s"): key})
        assert [row[0] for row in await tables.sessions(tx, ALICE, 1, "!a")] == ["!a"]
        assert len(await tables.sessions(tx, ALICE, 1, None)) == 3
        assert await tables.delete_sessions(tx, ALICE, 1, "!a", None) == 1
        assert await tables.delete_sessions(tx, BOB, 1, None, None) == 0


async def test_nothing_of_a_user_stays(world: World) -> None:
    async with world.database.write() as tx:
        number = await tables.add(tx, ALICE, "a", b"{}")
        await tables.set_sessions(tx, ALICE, number, {("!a", "s"): BackedUpKey(0, 0, False, b"{}")})
        await tables.delete_of_user(tx, ALICE)
        assert await tables.version(tx, ALICE, number) is None
        assert not await tables.sessions(tx, ALICE, number, None)
