from tests.unit.server.e2ee.world import ALICE, BOB, PHONE, World
from watchword.server.e2ee import tables
from watchword.server.e2ee.commands import PublishedKey, Signature


async def test_only_the_last_claimed_keys_are_remembered(world: World) -> None:
    keys = [PublishedKey("a", str(number), b'"x"') for number in range(5)]
    async with world.database.write() as tx:
        device = await tables.make_device(tx, ALICE, PHONE)
        await tables.add_one_time_keys(tx, device, keys)
        for _ in range(4):
            await tables.take_one_time_key(tx, device, "a")
            await tables.forget_claimed_keys(tx, device, 2)
        assert [name for _, name in await tables.known_one_time_keys(tx, device, keys)] == ["2", "3", "4"]


async def test_a_device_keeps_its_number(world: World) -> None:
    async with world.database.write() as tx:
        first = await tables.make_device(tx, ALICE, PHONE)
        assert await tables.make_device(tx, ALICE, PHONE) == first
        assert await tables.make_device(tx, BOB, PHONE) != first


async def test_signatures_of_others_are_not_read(world: World) -> None:
    async with world.database.write() as tx:
        signature = Signature(ALICE, "k", BOB, "ed25519:x", "s")
        assert [await tables.add_signature(tx, signature) for _ in range(2)] == [1, 0]
        assert await tables.signatures(tx, ALICE, BOB) == [signature]
        assert await tables.signatures(tx, ALICE, None) == []
