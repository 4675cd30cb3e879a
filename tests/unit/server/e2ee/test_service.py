import asyncio

from tests.unit.server.e2ee.world import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    HERE,
    PHONE,
    THERE,
    World,
    cross_signing_key,
    public,
    sign,
    signer,
)
from watchword.base.entropy import SeededEntropy
from watchword.protocol.ids import UserId
from watchword.server.changes import DeviceListChanged
from watchword.server.e2ee.service import E2eePorts, E2eeService
from watchword.storage.log import Position


async def change(world: World, *users: UserId) -> None:
    async with world.database.write() as tx:
        for user in users:
            await world.log.append(tx, DeviceListChanged(user, PHONE))


async def test_changes_are_those_of_oneself_and_of_users_in_shared_rooms(world: World) -> None:
    world.neighbours.share(ALICE, CAROL)
    await change(world, ALICE, BOB, CAROL, DAVE)
    answer = await world.ask("GET", "keys/changes", query="from=s0&to=4")
    assert answer == {"changed": [ALICE, CAROL], "left": []}
    assert await world.ask("GET", "keys/changes", query="from=s2&to=s2") == {"changed": [], "left": []}


async def test_changes_name_whom_one_signed(world: World) -> None:
    master = cross_signing_key("master", 8, user=BOB)
    await world.ask("POST", "keys/device_signing/upload", {"master_key": master}, user=BOB)
    own = {"master_key": cross_signing_key("master", 5), "user_signing_key": cross_signing_key("user_signing", 7, by=5)}
    await world.ask("POST", "keys/device_signing/upload", own)
    await world.ask("POST", "keys/signatures/upload", {BOB: {public(8): sign(master, ALICE, public(7), signer(7))}})
    answer = await world.ask("GET", "keys/changes", query=f"from=2&to={world.log.position}")
    assert answer["changed"] == [ALICE, BOB]


async def test_changes_name_who_came_and_who_left_if_somebody_can_tell(world: World) -> None:
    class History:
        async def sharing_changes(self, user_id: UserId, after: Position, until: Position) -> tuple[set[UserId], set[UserId]]:
            return {CAROL}, {DAVE, CAROL}

    near = world.neighbours
    ports = E2eePorts(near, near, near, near, near, History())
    service = E2eeService(world.database, world.log, world.clock, SeededEntropy(2), HERE, ports, world.reader)
    assert await service.device_list_changes(ALICE, Position(0), Position(0)) == ({CAROL}, {DAVE})


async def test_a_server_that_was_down_may_have_changed_anything(world: World) -> None:
    world.neighbours.share(ALICE, CAROL)
    world.neighbours.device_lists[CAROL] = {"user_id": CAROL, "stream_id": 1, "devices": []}
    await world.ask("POST", "keys/query", {"device_keys": {CAROL: []}})
    await world.settle()
    assert await world.service.lists.fetch_due() == 1
    await world.service.lists.server_was_down(THERE)
    assert await world.service.lists.fetch_due() == 1


async def test_old_things_are_forgotten_in_the_background(world: World) -> None:
    await world.ask("PUT", "sendToDevice/m.test/t", {"messages": {ALICE: {PHONE: {}}}}, user=BOB)
    running = asyncio.ensure_future(world.service.run())
    for _ in range(30):
        await asyncio.sleep(0.001)
        world.clock.advance(3_600_000)
    await world.settle()
    running.cancel()
    await world.ask("PUT", "sendToDevice/m.test/t", {"messages": {ALICE: {PHONE: {}}}}, user=BOB)
    assert len(await world.messages()) == 2
