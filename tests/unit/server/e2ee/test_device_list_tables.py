from tests.unit.server.e2ee.world import ALICE, CAROL, PHONE, THERE, World
from watchword.server.e2ee import device_list_tables as tables
from watchword.server.e2ee.commands import ListState, RemoteDevice
from watchword.storage.log import Position


async def test_a_change_is_copied_once(world: World) -> None:
    async with world.database.write() as tx:
        for _ in range(2):
            await tables.add_change(tx, Position(4), ALICE, PHONE, 0)
        await tables.add_change(tx, Position(6), ALICE, "", None)
        assert await tables.changes(tx, Position(0), Position(9)) == [(ALICE, 6)]
        assert await tables.last_change(tx, ALICE, 9) == 4
        assert await tables.last_change_of_device(tx, ALICE, PHONE) == 4


async def test_a_list_becomes_fresh_and_stale_again_under_another_version(world: World) -> None:
    async with world.database.write() as tx:
        await tables.track(tx, CAROL, THERE)
        await tables.track(tx, CAROL, THERE)
        assert await tables.list_state(tx, CAROL) == ListState(0, False, 0)
        await tables.set_fresh(tx, CAROL, 5)
        assert await tables.next_retry_ts(tx) is None
        await tables.mark_stale(tx, CAROL)
        assert await tables.list_state(tx, CAROL) == ListState(5, False, 1)
        assert await tables.next_retry_ts(tx) == 0
        await tables.forget_list(tx, CAROL)
        assert await tables.list_state(tx, CAROL) is None


async def test_a_server_that_fails_is_left_alone_with_all_its_lists(world: World) -> None:
    async with world.database.write() as tx:
        await tables.track(tx, CAROL, THERE)
        await tables.postpone_server(tx, THERE, 3, 100)
        assert await tables.failures(tx, THERE) == 3
        assert await tables.due_lists(tx, 99, 10) == []
        assert [row[1] for row in await tables.due_lists(tx, 100, 10)] == [CAROL]
        assert await tables.mark_server_stale(tx, THERE) == 1
        assert await tables.failures(tx, THERE) == 0


async def test_a_device_that_did_not_change_is_no_change(world: World) -> None:
    device = RemoteDevice(PHONE, None, None)
    async with world.database.write() as tx:
        assert [await tables.set_remote_device(tx, CAROL, device) for _ in range(2)] == [1, 0]
        assert await tables.set_remote_device(tx, CAROL, RemoteDevice(PHONE, b"{}", None)) == 1
        assert await tables.count_remote_devices(tx, CAROL) == 1
