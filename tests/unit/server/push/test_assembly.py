from tests.unit.server.push.world import ALICE, BOB, Gateway, PushWorld, pusher, set_pusher


async def test_the_parts_work_together(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    token = (await world.sync(BOB))["next_batch"]
    async with world.pushing():
        event = await world.send(ALICE, room)
        assert await gateway.events(1) == [event]
    joined = (await world.sync(BOB, token))["rooms"]["join"][room]
    assert joined["unread_notifications"] == {"notification_count": 1, "highlight_count": 0}
