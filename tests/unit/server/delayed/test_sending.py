"""Sending a delayed event once."""

import asyncio
from pathlib import Path

from tests.unit.server.delayed.world import ALICE, BOB, open_delayed_world, settled


async def test_an_event_that_is_being_sent_cannot_be_cancelled_meanwhile(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        delay_id = await world.later(ALICE, room_id, "now")
        room = await world.reader.room(room_id)
        assert room is not None
        async with room.lock:
            world.clock.advance(1_000)
            await settled()
            cancelling = asyncio.ensure_future(world.act(delay_id, "cancel"))
            await settled()
            assert not cancelling.done()
        assert await cancelling == (409, "M_UNKNOWN")
        assert await world.said(room_id) == ["now"]


async def test_two_who_send_the_same_event_send_it_once(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        delay_id = await world.later(ALICE, room_id, "once")
        world.clock.advance(1_000)
        answers = await asyncio.gather(*(world.act(delay_id, "send") for _ in range(3)))
        assert set(answers) == {(200, None)}
        assert await world.said(room_id) == ["once"]


async def test_an_event_that_cannot_be_sent_by_hand_waits_on(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room(BOB)
        delay_id = await world.later(ALICE, room_id, "later")
        await world.leave(ALICE, room_id)
        assert await world.act(delay_id, "send") == (403, "M_FORBIDDEN")
        assert "origin_server_ts" not in await world.told(delay_id)
        await world.join(ALICE, room_id)
        await world.pass_time(1_000)
        assert await world.said(room_id) == ["later"]


async def test_an_event_has_the_time_at_which_it_is_sent(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        await world.later(ALICE, room_id, "later")
        await world.pass_time(1_000)
        assert (await world.timeline(room_id))[-1]["origin_server_ts"] == world.clock.now_ms()
