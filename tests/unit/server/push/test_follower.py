import pytest

from tests.unit.server.push.world import ALICE, BOB, Gateway, PushWorld, pusher, set_pusher
from tests.unit.server.rooms.world import LAPTOP, PHONE
from watchword.server.changes import DeviceDeleted
from watchword.server.push.follower import NAME
from watchword.storage import Position


async def cursor(world: PushWorld) -> Position:
    async with world.database.read() as tx:
        return await world.log.cursor(tx, NAME)


async def test_pushers_go_with_their_session(world: PushWorld, gateway: Gateway) -> None:
    await set_pusher(world, BOB, pusher(gateway, "one"), PHONE)
    await set_pusher(world, BOB, pusher(gateway, "two"), LAPTOP)
    async with world.pushing():
        async with world.database.write() as tx:
            await world.log.append(tx, DeviceDeleted(BOB, PHONE))
        await world.caught_up()
        assert [each.key.pushkey for each in await world.push.pushers.of(BOB)] == ["two"]


async def test_pushers_go_with_their_account(world: PushWorld, gateway: Gateway) -> None:
    await set_pusher(world, BOB, pusher(gateway))
    async with world.pushing():
        await world.accounts.admin.deactivate(BOB, erase=False)
        await world.caught_up()
        assert await world.push.pushers.of(BOB) == []


async def test_a_pusher_hears_only_of_what_comes_after_it(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB)
    await world.send(ALICE, room)
    await set_pusher(world, BOB, pusher(gateway))
    last = await world.send(ALICE, room)
    async with world.pushing():
        assert await gateway.events(1) == [last]


async def test_the_cursor_waits_for_what_is_not_told_yet(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    gateway.answers = [(500, {})]
    async with world.pushing():
        await world.send(ALICE, room)
        owed = world.log.position
        await world.send(ALICE, room)
        await gateway.hears(1)
        await world.push.follower.save()
        assert await cursor(world) == owed - 1
        await world.later(2_000)
        await gateway.hears(3)
        await world.later(1_000)
        assert await cursor(world) == world.log.position


async def test_where_nobody_has_a_pusher_the_cursor_is_seldom_written(world: PushWorld) -> None:
    await world.public_room(BOB)
    async with world.pushing():
        await world.caught_up()
        await world.push.follower.save()
        assert await cursor(world) == 0


async def test_one_change_that_fails_does_not_stop_the_others(
    world: PushWorld, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    bad = await world.send(ALICE, room)
    good = await world.send(ALICE, room)
    async with world.database.write() as tx:
        await tx.execute("UPDATE events SET json = CAST('nonsense' AS BLOB) WHERE event_id = ?", bad)
    world.events.forget([bad])
    async with world.pushing():
        assert await gateway.events(1) == [good]
    assert [record.message for record in caplog.records] == ["A change was not told to pushers."]
