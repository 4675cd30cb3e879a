"""Delayed events whose time has come: sent, or kept with the reason why not."""

import asyncio
from pathlib import Path

from tests.unit.server.delayed.world import ALICE, BOB, DelayedWorld, open_delayed_world, settled
from tests.unit.server.rooms.world import PHONE
from watchword.base.clock import ManualClock
from watchword.base.errors import PeerError
from watchword.edge.requester import Requester
from watchword.protocol.ids import EventId, RoomId
from watchword.server.delayed import tables
from watchword.server.rooms.commands import DELAYED, SendEvent, Transaction


async def _error(world: DelayedWorld, delay_id: str) -> str | None:
    error = (await world.told(delay_id)).get("error")
    return None if error is None else str(error["errcode"])


async def test_what_fell_due_while_the_server_was_down_is_sent_after_its_start(tmp_path: Path) -> None:
    clock = ManualClock()
    async with open_delayed_world(tmp_path, clock) as world:
        room_id = await world.public_room()
        for text, delay in (("second", 2_000), ("first", 1_000), ("not yet", 90_000)):
            await world.later(ALICE, room_id, text, delay)
    clock.advance(60_000)
    async with open_delayed_world(tmp_path, clock) as world:
        assert await world.said(room_id) == ["first", "second"]
        await world.pass_time(30_000)
        assert await world.said(room_id) == ["first", "second", "not yet"]


async def test_an_event_is_judged_by_the_rules_of_when_it_is_sent(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room(BOB)
        too_early = await world.later(BOB, room_id, "may still")
        too_late = await world.later(BOB, room_id, "may no more", 2_000)
        await world.pass_time(1_000)
        await world.leave(BOB, room_id)
        await world.pass_time(1_000)
        assert await world.said(room_id) == ["may still"]
        assert "error" not in await world.told(too_early, BOB)
        assert (await world.told(too_late, BOB))["error"]["errcode"] == "M_FORBIDDEN"


async def test_who_may_not_send_now_may_schedule_nevertheless(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        await world.later(BOB, room_id, "in by then")
        await world.join(BOB, room_id)
        await world.pass_time(1_000)
        assert await world.said(room_id) == ["in by then"]


async def test_an_event_of_somebody_who_is_locked_is_not_sent(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        delay_id = await world.later(ALICE, room_id)
        async with world.database.write() as tx:
            await tx.execute("UPDATE accounts SET is_locked = 1 WHERE user_id = ?", ALICE)
        assert await world.act(delay_id, "send") == (401, "M_USER_LOCKED")
        await world.pass_time(1_000)
        assert await world.said(room_id) == []
        assert await _error(world, delay_id) == "M_USER_LOCKED"


async def test_an_event_of_somebody_who_is_suspended_is_not_sent(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        delay_id = await world.later_state(ALICE, room_id, "m.room.topic", {"topic": "x"})
        async with world.database.write() as tx:
            await tx.execute("UPDATE accounts SET is_suspended = 1 WHERE user_id = ?", ALICE)
        await world.pass_time(1_000)
        assert await _error(world, delay_id) == "M_USER_SUSPENDED"


async def test_nothing_is_left_of_who_leaves_the_server(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room(BOB)
        delay_id = await world.later(BOB, room_id)
        await world.accounts.admin.deactivate(BOB, erase=True)
        await settled()
        async with world.database.read() as tx:
            assert await tables.by_id(tx, delay_id) is None
        await world.pass_time(1_000)
        assert await world.said(room_id) == []


async def test_what_was_scheduled_by_a_device_outlives_it(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        await world.later(ALICE, room_id, "left the call")
        await world.accounts.devices.delete(Requester(ALICE, PHONE, 1), [PHONE])
        await world.pass_time(1_000)
        assert await world.said(room_id) == ["left the call"]


async def test_state_that_somebody_else_has_set_meanwhile_is_left_alone(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        levels = {"users": {ALICE: 100, BOB: 100}}
        room_id = await world.public_room(BOB, power_level_content_override=levels, room_version="11")
        overtaken = await world.later_state(ALICE, room_id, "m.room.topic", {"topic": "Alice, later"})
        own = await world.later_state(BOB, room_id, "m.room.topic", {"topic": "Bob, later"}, 2_000)
        other = await world.later_state(ALICE, room_id, "m.room.name", {"name": "Alice, later"})
        await world.set_state(BOB, room_id, "m.room.topic", {"topic": "Bob, now"})
        await settled()
        # At once, not only when it is due.
        error = (await world.told(overtaken))["error"]
        assert error["org.matrix.msc4140.errcode"] == "M_CANCELLED_BY_STATE_UPDATE"
        assert await world.act(overtaken, "send") == (409, "M_UNKNOWN")
        await world.pass_time(1_000)
        assert "event_id" in await world.told(other)
        await world.pass_time(1_000)
        assert "event_id" in await world.told(own, BOB)


async def test_being_overtaken_while_nobody_listened_is_found_out_when_it_is_due(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        levels = {"users": {ALICE: 100, BOB: 100}}
        room_id = await world.public_room(BOB, power_level_content_override=levels, room_version="11")
        delay_id = await world.later_state(ALICE, room_id, "m.room.topic", {"topic": "later"})
        await world.stop_timer()
        world.delayed.timer._rooms_of_state.clear()
        await world.set_state(BOB, room_id, "m.room.topic", {"topic": "now"})
        world.running = asyncio.ensure_future(world.delayed.timer.run())
        await world.pass_time(1_000)
        assert await _error(world, delay_id) == "M_UNKNOWN"
        assert await world.ask(ALICE, "GET", f"rooms/{room_id}/state/m.room.topic") == {"topic": "now"}


async def test_a_delayed_membership_is_a_change_of_membership(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room(BOB)
        body = {"delay": 1_000, "content": {"membership": "leave"}, "state_key": BOB}
        await world.ask(ALICE, "PUT", f"rooms/{room_id}/delayed_event/m.room.member/t", body)
        await world.pass_time(1_000)
        row = await world.reader.membership_of(BOB, room_id)
        assert row is not None
        assert row.membership == "leave"


async def test_a_message_can_end_by_itself(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        event_id = await world.say(ALICE, room_id, "this message will end")
        body = {"delay": 1_000, "content": {"redacts": event_id}}
        await world.ask(ALICE, "PUT", f"rooms/{room_id}/delayed_event/m.room.redaction/t", body)
        await world.pass_time(1_000)
        event = await world.ask(ALICE, "GET", f"rooms/{room_id}/event/{event_id}")
        assert event["content"] == {}


async def test_too_much_at_once_is_not_sent_later_still(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        ids = [await world.later(ALICE, room_id, str(number)) for number in range(5)]
        await world.pass_time(1_000)
        assert await world.said(room_id) == ["0", "1", "2", "3"]
        assert await _error(world, ids[4]) == "M_LIMIT_EXCEEDED"


async def test_who_sends_too_much_by_hand_may_try_again(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        ids = [await world.later(ALICE, room_id, str(number), 60_000) for number in range(5)]
        assert [(await world.act(delay_id, "send"))[0] for delay_id in ids] == [200, 200, 200, 200, 429]
        world.clock.advance(2_000)
        assert await world.act(ids[4], "send") == (200, None)


async def test_one_room_does_not_hold_up_another(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        slow, quick = await world.public_room(), await world.public_room()
        await world.later(ALICE, slow, "slow")
        await world.later(ALICE, quick, "quick")
        room = await world.reader.room(slow)
        assert room is not None
        async with room.lock:
            await world.pass_time(1_000)
            assert await world.said(quick) == ["quick"]
            await world.later(ALICE, slow, "next", 1)
            await world.pass_time(1)
        await settled()
        assert await world.said(slow) == ["slow", "next"]


async def test_what_fails_at_another_server_or_here_is_over(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        posting = world.delayed.timer._sending.posting

        async def unreachable(command: SendEvent) -> EventId:
            raise PeerError("there.example", "silent") if command.content["body"] == "away" else KeyError("oh")

        object.__setattr__(posting.writer, "send", unreachable)
        away, broken = await world.later(ALICE, room_id, "away"), await world.later(ALICE, room_id, "broken")
        await world.pass_time(1_000)
        assert await _error(world, away) == "M_UNKNOWN"
        assert (await world.told(broken))["error"]["error"] == "Something went wrong in this server."


async def _sent_and_forgotten(world: DelayedWorld, room_id: RoomId) -> tuple[str, EventId]:
    """An event as a crash leaves it: sent, which nobody wrote down."""
    delay_id = await world.later(ALICE, room_id, "once", 60_000)
    await world.stop_timer()
    async with world.database.write() as tx:
        await tables.mark_begun(tx, delay_id)
    transaction = Transaction(ALICE, PHONE, DELAYED, delay_id)
    command = SendEvent(room_id, ALICE, "m.room.message", {"body": "once"}, transaction=transaction)
    return delay_id, await world.writer.send(command)


async def test_what_was_sent_before_a_crash_is_not_sent_again(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        delay_id, event_id = await _sent_and_forgotten(world, room_id)
        await world.leave(ALICE, room_id)
    async with open_delayed_world(tmp_path) as world:
        told = await world.told(delay_id)
        assert told["event_id"] == event_id
        assert await world.said(room_id) == ["once"]


async def test_what_was_sent_before_a_crash_cannot_be_cancelled(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        delay_id, _ = await _sent_and_forgotten(world, room_id)
        assert await world.act(delay_id, "cancel") == (409, "M_UNKNOWN")
        assert await world.act(delay_id, "send") == (200, None)
        assert await world.said(room_id) == ["once"]


async def test_what_was_over_long_ago_is_forgotten(tmp_path: Path) -> None:
    async with open_delayed_world(tmp_path) as world:
        room_id = await world.public_room()
        delay_id = await world.later(ALICE, room_id)
        waiting = await world.later(ALICE, room_id, "waiting", 3_600_000)
        await world.pass_time(1_000)
        await world.stop_timer()
        world.clock.advance(7 * 86_400_000)
        async with world.database.write() as tx:
            await world.delayed.service.forget_old(tx)
        assert "event_id" in await world.told(delay_id)
        world.clock.advance(1)
        async with world.database.write() as tx:
            await world.delayed.service.forget_old(tx)
            assert await tables.by_id(tx, delay_id) is None
            assert await tables.by_id(tx, waiting) is not None
