from tests.unit.server.push.world import ALICE, BOB, Gateway, PushWorld, pusher, set_pusher


async def test_an_operator_reads_what_became_of_notifications(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    gateway.answers = [(500, {})]
    async with world.pushing():
        event = await world.send(ALICE, room)
        await gateway.hears(1)
        await world.later(2_000)
        await gateway.hears(2)
    (story,) = (await world.push.journal.of(BOB)).pushers
    assert [(entry.event_id, entry.outcome) for entry in story.entries] == [(event, "told"), (event, "failed: 500")]
    assert len((await world.push.journal.of(BOB, 1)).pushers[0].entries) == 1
    assert (await world.push.journal.of(ALICE)).pushers == []


async def test_it_tells_why_a_pusher_is_gone(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    gateway.answers = [(200, {"rejected": ["key"]})]
    async with world.pushing():
        await world.send(ALICE, room)
        await gateway.hears(1)
        await world.sees_no_pushers(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    world.clock.advance(1)
    await set_pusher(world, ALICE, pusher(gateway))
    await set_pusher(world, BOB, pusher(gateway, "other"))
    await set_pusher(world, BOB, {"kind": None, "app_id": "app", "pushkey": "other"})
    story = await world.push.journal.of(BOB)
    assert story.pushers == []
    assert [removal.reason for removal in story.removals] == [
        "deleted by the user",
        "taken over by another user",
        "the gateway gave it up",
    ]
