"""Cursors: what survives a crash, what is read again, and when the log may be trimmed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.unit.server.federation.stacks import ALICE, BOB, ROOM, A, B, Net, Stack, running, settle
from watchword.base.clock import ManualClock
from watchword.protocol.ids import EventId, RoomId, ServerName, domain_of
from watchword.server.changes import EventAppended
from watchword.server.federation import tables
from watchword.server.federation.outbox import Outbox
from watchword.storage import Position

OTHER = RoomId("!other:a.example")


def ids_received(stack: Stack) -> list[str]:
    return [raw["id"] for _, raw in stack.rooms.received]


async def again(stack: Stack, path: Path, seed: int) -> Stack:
    """The same server after kill -9: the same database, nothing of its memory."""
    stack.out.close()
    born = await Stack.build(path, stack.name, stack.net, stack.clock, seed=seed)
    born.rooms.pdus = stack.rooms.pdus
    return born


async def test_nothing_is_lost_when_the_server_dies_while_a_peer_is_down(
    two: tuple[Stack, Stack], net: Net, clock: ManualClock, tmp_path: Path
) -> None:
    a, b = two
    net.down.add("b.example:8448")
    async with running(a):
        for number in range(60):
            await a.say(number)
        await settle(lambda: a.out.backoff.failures(B) >= 4, clock=clock)
        await a.inn.follower.save()
    a = await again(a, tmp_path, 7)
    assert a.out.backoff.failures(B) >= 4
    net.down.clear()
    async with running(a, b):
        await a.say(60)
        await settle(lambda: len(set(ids_received(b))) == 61, clock=clock)
    await a.close()


async def test_what_was_logged_but_not_sent_is_sent_after_a_crash(two: tuple[Stack, Stack], tmp_path: Path) -> None:
    a, b = two
    await a.say(1)
    a = await again(a, tmp_path, 7)
    async with running(a, b):
        await settle(lambda: b.rooms.received)
    await a.close()


async def test_what_was_acknowledged_is_not_sent_again_after_a_restart(
    two: tuple[Stack, Stack], clock: ManualClock, tmp_path: Path
) -> None:
    a, b = two
    async with running(a, b):
        await a.say(1)
        await settle(lambda: b.rooms.received)
        await settle(lambda: a.inn.follower._saved == 1, clock=clock)
    a = await again(a, tmp_path, 7)
    async with running(a, b):
        await a.say(2)
        await settle(lambda: len(b.rooms.received) == 2)
    assert ids_received(b) == ["$event1", "$event2"]
    await a.close()


async def test_far_behind_it_sends_the_newest_event_of_each_room(
    a_stack: Callable[..., Awaitable[Stack]], net: Net, clock: ManualClock
) -> None:
    a, b = await a_stack(A, catch_up_pdus_max=10), await a_stack(B)
    a.rooms.servers[OTHER] = [A, B]
    net.down.add("b.example:8448")
    async with running(a, b):
        for number in range(30):
            await a.say(number, OTHER if number < 12 else ROOM)
        await settle(lambda: a.out.backoff.failures(B) >= 4, clock=clock)
        net.down.clear()
        await settle(lambda: b.rooms.received, clock=clock)
        await a.say(30)
        await settle(lambda: "$event30" in ids_received(b), clock=clock)
    assert ids_received(b) == ["$event11", "$event29", "$event30"]


@dataclass
class StickyNow:
    """Fits StickyOut: these are sticky; whoever joins is new, and is owed them."""

    events: list[EventAppended]

    def is_sticky(self, event: EventAppended) -> bool:
        return event.event_id in {each.event_id for each in self.events}

    async def for_newcomer(self, join: EventAppended, position: Position) -> tuple[ServerName, list[EventAppended]]:
        return domain_of(join.sender), list(self.events)


def with_sticky(stack: Stack, *numbers: int, room_id: RoomId = ROOM) -> StickyNow:
    events = [EventAppended(room_id, EventId(f"$event{number}"), "m.x", None, ALICE, True) for number in numbers]
    now = StickyNow(events)
    object.__setattr__(stack.inn.follower._routes, "sticky", now)
    return now


async def test_far_behind_it_leaves_out_nothing_that_is_sticky(
    a_stack: Callable[..., Awaitable[Stack]], net: Net, clock: ManualClock
) -> None:
    a, b = await a_stack(A, catch_up_pdus_max=10), await a_stack(B)
    with_sticky(a, 4, 29)
    net.down.add("b.example:8448")
    async with running(a, b):
        for number in range(30):
            await a.say(number)
        await settle(lambda: a.out.backoff.failures(B) >= 4, clock=clock)
        net.down.clear()
        await settle(lambda: len(b.rooms.received) >= 2, clock=clock)
    assert ids_received(b) == ["$event4", "$event29"]


async def _joins(stack: Stack) -> None:
    async with stack.database.write() as tx:
        change = EventAppended(OTHER, EventId("$join"), "m.room.member", BOB, BOB, False, "join")
        await stack.log.append(tx, change)


async def test_a_server_that_comes_is_told_what_is_sticky(two: tuple[Stack, Stack], clock: ManualClock) -> None:
    a, b = two
    a.rooms.servers[OTHER] = [A]
    now = with_sticky(a, 1, 2, room_id=OTHER)
    async with running(a, b):
        for number in range(4):
            await a.say(number, OTHER)
        await _joins(a)
        await settle(lambda: len(b.rooms.received) == 2)
        assert ids_received(b) == ["$event1", "$event2"]
        # It may not have been ready. What is sticky no more is let be.
        now.events.pop()
        clock.advance(2_000)
        await settle(lambda: len(b.rooms.received) == 3)
    assert ids_received(b)[2:] == ["$event1"]


async def test_a_server_that_came_while_it_was_down_is_told_when_it_is_up(
    two: tuple[Stack, Stack], net: Net, clock: ManualClock
) -> None:
    a, b = two
    a.rooms.servers[OTHER] = [A]
    with_sticky(a, 1, room_id=OTHER)
    net.down.add("b.example:8448")
    async with running(a, b):
        await a.say(1, OTHER)
        await _joins(a)
        await settle(lambda: a.out.backoff.failures(B) >= 4, clock=clock)
        net.down.clear()
        await settle(lambda: b.rooms.received, clock=clock)
    assert ids_received(b) == ["$event1"]


async def test_the_log_is_kept_for_a_server_that_is_down_but_not_for_ever(
    a_stack: Callable[..., Awaitable[Stack]], net: Net, clock: ManualClock
) -> None:
    a = await a_stack(A, give_up_ms=100_000)

    async def cursor() -> int:
        async with a.database.read() as tx:
            return await a.log.cursor(tx, "federation")

    async with running(a):
        for number in range(5):
            await a.say(number)
        await settle(lambda: a.out.backoff.failures(B) >= 4, clock=clock)
        await a.inn.follower.save()
        async with a.database.read() as tx:
            (row,) = await tables.destinations(tx, 10)
        assert (row.server_name, row.behind_after, await cursor()) == (B, 0, 0)
        clock.advance(200_000)
        await a.say(6)
        await settle(lambda: a.inn.follower._saved == 6, clock=clock)
        assert await cursor() == 6


async def test_what_does_not_fit_into_memory_is_read_from_the_log_bit_by_bit(two: tuple[Stack, Stack]) -> None:
    a, b = two
    a.inn.sender.restore(Outbox(B, pending_max=7, resume_after=Position(0)))
    for number in range(30):
        await a.say(number)
    async with running(a, b):
        await settle(lambda: len(b.rooms.received) == 30)
    assert ids_received(b) == [f"$event{number}" for number in range(30)]


async def test_a_broken_change_in_the_log_does_not_stop_the_catching_up(
    two: tuple[Stack, Stack], net: Net, clock: ManualClock
) -> None:
    a, b = two
    broken = RoomId("!broken:a.example")
    net.down.add("b.example:8448")
    async with running(a, b):
        await a.say(1)
        await a.say(2, broken)
        await a.say(3)
        await settle(lambda: a.out.backoff.failures(B) >= 4, clock=clock)
        net.down.clear()
        await settle(lambda: set(ids_received(b)) == {"$event1", "$event3"}, clock=clock)


async def test_a_change_that_cannot_be_routed_does_not_stop_the_others(two: tuple[Stack, Stack]) -> None:
    a, b = two
    broken = RoomId("!broken:a.example")
    async with running(a, b):
        await a.say(1, broken)
        await a.say(2)
        await settle(lambda: b.rooms.received)
    assert ids_received(b) == ["$event2"]
