"""From the event to a gateway that is really there."""

import asyncio

import pytest

from tests.unit.server.push.world import ALICE, BOB, Gateway, PushWorld, pusher, set_pusher
from tests.unit.server.rooms.world import CAROL
from watchword.base import limits


async def journal(world: PushWorld) -> list[str]:
    return [entry.outcome for entry in (await world.push.journal.of(BOB)).pushers[0].entries]


async def test_a_gateway_is_told_of_each_event_in_order(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB, name="Room")
    await set_pusher(world, BOB, pusher(gateway))
    async with world.pushing():
        sent = [await world.send(ALICE, room, text) for text in ("one", "two", "three")]
        assert await gateway.events(3) == sent
        assert gateway.told[0]["content"]["body"] == "one"
        assert gateway.told[0]["room_name"] == "Room"
        assert gateway.told[0]["counts"] == {"unread": 1}
        assert await journal(world) == ["told", "told", "told"]


async def test_an_event_that_was_read_is_not_told(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    event = await world.send(ALICE, room)
    await world.read(BOB, room, event)
    async with world.pushing():
        told = await gateway.hears(1)
    assert "event_id" not in told[0]
    assert told[0]["counts"] == {}


async def test_the_number_of_unread_rooms_is_told_when_it_changes(world: PushWorld, gateway: Gateway) -> None:
    rooms = await world.two_rooms(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    async with world.pushing():
        first = await world.send(ALICE, rooms[0])
        last = await world.send(ALICE, rooms[1])
        await gateway.hears(2)
        await world.read(BOB, rooms[0], first)
        await gateway.hears(3)
        await world.read(BOB, rooms[0], first, "m.read.private")
        await world.read(BOB, rooms[1], last)
        await gateway.hears(4)
    assert [told["counts"].get("unread", 0) for told in gateway.told] == [1, 2, 1, 0]


async def test_a_gateway_that_fails_is_left_alone_longer_each_time(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    gateway.answers = [(502, {}), (429, {"retry_after_ms": 30_000})]
    async with world.pushing():
        event = await world.send(ALICE, room)
        await gateway.hears(1)
        await world.later(500)
        await gateway.hears(1)
        await world.later(1_000)
        await gateway.hears(2)
        await world.later(29_000)
        await gateway.hears(2)
        await world.later(2_000)
        assert await gateway.events(3) == [event] * 3
        assert await journal(world) == ["told", "failed: 429", "failed: 502"]
    stored = (await world.push.pushers.of(BOB))[0]
    assert (stored.failures, stored.retry_after_ts) == (0, 0)


async def test_the_time_of_the_next_attempt_survives_a_restart(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    gateway.answers = [(500, {})]
    async with world.pushing():
        event = await world.send(ALICE, room)
        await gateway.hears(1)
    stored = (await world.push.pushers.of(BOB))[0]
    assert stored.failures == 1
    assert stored.retry_after_ts > world.clock.now_ms()
    world.rebuild_push()
    async with world.pushing():
        await world.caught_up()
        await gateway.hears(1)
        await world.later(2_000)
        assert await gateway.events(2) == [event, event]


async def test_what_was_told_before_a_restart_is_not_told_again(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    async with world.pushing():
        await world.send(ALICE, room)
        await gateway.hears(1)
    world.rebuild_push()
    async with world.pushing():
        await world.caught_up()
        last = await world.send(ALICE, room)
        assert (await gateway.events(2))[1] == last


async def test_an_event_that_the_gateway_does_not_understand_is_given_up(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    gateway.answers = [(400, {})]
    async with world.pushing():
        await world.send(ALICE, room)
        last = await world.send(ALICE, room)
        await gateway.hears(1)
        await world.later(2_000)
        assert (await gateway.events(2))[1] == last
        assert await journal(world) == ["told", "failed: 400"]


async def test_a_rejected_key_removes_the_pusher(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    gateway.answers = [(200, {"rejected": ["key"]})]
    async with world.pushing():
        await world.send(ALICE, room)
        await gateway.hears(1)
        await world.sees_no_pushers(BOB)
        await world.send(ALICE, room)
        await world.caught_up()
        await gateway.hears(1)


async def test_of_many_that_wait_the_oldest_go(world: PushWorld, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "push_pending_max", 2)
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    gateway.answers = [(500, {})]
    async with world.pushing():
        await world.send(ALICE, room)
        await gateway.hears(1)
        sent = [await world.send(ALICE, room) for _ in range(3)]
        await world.caught_up()
        await world.later(2_000)
        assert (await gateway.events(3))[1:] == sent[1:]


async def test_what_waited_too_long_is_told_to_nobody(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    gateway.answers = [(500, {})]
    async with world.pushing():
        await world.send(ALICE, room)
        await gateway.hears(1)
        await world.later(limits.push_age_ms_max + 1)
        await gateway.hears(1)
        assert await journal(world) == ["too old", "failed: 500"]


async def test_a_pusher_that_is_set_again_is_tried_at_once(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    gateway.answers = [(500, {})]
    async with world.pushing():
        event = await world.send(ALICE, room)
        await gateway.hears(1)
        world.clock.advance(1)
        await set_pusher(world, BOB, pusher(gateway, lang="de"))
        assert await gateway.events(2) == [event, event]


async def test_a_pusher_that_is_deleted_hears_no_more(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    gateway.answers = [(500, {})]
    async with world.pushing():
        await world.send(ALICE, room)
        await gateway.hears(1)
        await set_pusher(world, BOB, {"kind": None, "app_id": "app", "pushkey": "key"})
        await world.caught_up()
        await world.later(10_000)
        await gateway.hears(1)


async def test_a_gateway_in_a_private_network_is_not_asked(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway, data={"url": "http://10.0.0.1/_matrix/push/v1/notify"}))
    async with world.pushing():
        await world.send(ALICE, room)
        await world.caught_up()
        await world.later(0)
        assert await journal(world) == ["failed: the address is not one we connect to"]


async def test_many_gateways_that_do_not_answer_hold_up_their_user_alone(
    world: PushWorld, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "push_active_max", 3)
    monkeypatch.setattr(limits, "push_active_of_one_max", 2)
    world.rebuild_push()
    room = await world.public_room(BOB, CAROL)

    connected = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/_matrix/push/v1/notify"
        for number in range(4):
            await set_pusher(world, BOB, pusher(gateway, f"slow {number}", data={"url": url}))
        async with world.pushing():
            await world.send(ALICE, room)
            await connected.wait()
            await set_pusher(world, CAROL, pusher(gateway))
            event = await world.send(ALICE, room)
            assert await gateway.events(1) == [event]


async def test_numbers_of_any_size_are_told(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB, room_version="5")
    await set_pusher(world, BOB, pusher(gateway))
    async with world.pushing():
        await world.send(ALICE, room, number=10**12)
        await gateway.hears(1)
    assert gateway.told[0]["content"]["number"] == 10**12


async def test_one_notification_that_fails_does_not_stop_the_others(
    world: PushWorld, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    gateway.answers = [(500, {})]
    async with world.pushing():
        bad = await world.send(ALICE, room)
        await gateway.hears(1)
        good = await world.send(ALICE, room)
        await world.caught_up()
        async with world.database.write() as tx:
            await tx.execute("UPDATE events SET json = CAST('nonsense' AS BLOB) WHERE event_id = ?", bad)
        world.events.forget([bad])
        await world.later(2_000)
        assert (await gateway.events(2))[1] == good
    assert "A notification was not told." in [record.message for record in caplog.records]
