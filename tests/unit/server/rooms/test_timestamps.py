"""Events by their time, here and across servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.world import ALICE, BOB, World
from watchword.base.clock import Clock
from watchword.base.errors import Forbidden, NotFound
from watchword.protocol.ids import EventId, RoomId, ServerName
from watchword.server.rooms.catalogue_tables import last_event_nid, swept
from watchword.server.rooms.join_answers import JoinAnswers
from watchword.server.rooms.served_events import ServedEvents
from watchword.server.rooms.servers_acl import RoomAcls
from watchword.server.rooms.timestamps import Timestamps, Wanted


def times_of(world: World) -> Timestamps:
    answers = JoinAnswers(world.database, world.events, world.directory.server_name)
    acls = RoomAcls(world.registry)
    served = ServedEvents(world.database, world.registry, world.events, world.names, acls, answers, world.sticky)
    return Timestamps(world.database, world.reader, served, world.nobody, None, world.clock)


async def spoken(world: World, room_id: RoomId, *texts: str) -> dict[str, tuple[EventId, int]]:
    """Messages a second apart."""
    said = {}
    for text in texts:
        world.clock.advance(1_000)
        said[text] = (await world.send(ALICE, room_id, text), world.clock.now_ms())
    return said


async def test_the_nearest_event_in_each_direction_is_found(world: World) -> None:
    room_id = await world.public_room()
    said = await spoken(world, room_id, "one", "two", "three")
    times, (_, two) = times_of(world), said["two"]
    assert await times.for_user(ALICE, room_id, Wanted(two, False)) == said["two"]
    assert await times.for_user(ALICE, room_id, Wanted(two, True)) == said["two"]
    assert await times.for_user(ALICE, room_id, Wanted(two + 1, False)) == said["three"]
    assert await times.for_user(ALICE, room_id, Wanted(two - 1, True)) == said["one"]
    assert (await times.for_user(ALICE, room_id, Wanted(0, False)))[1] < said["one"][1]


async def test_there_may_be_none(world: World) -> None:
    room_id = await world.public_room()
    said = await spoken(world, room_id, "one")
    for wanted in (Wanted(said["one"][1] + 1, False), Wanted(5, True)):
        with pytest.raises(NotFound):
            await times_of(world).for_user(ALICE, room_id, wanted)


async def test_of_events_of_the_same_moment_the_first_or_the_last_is_found(world: World) -> None:
    room_id = await world.public_room()
    world.clock.advance(1_000)
    first = await world.send(ALICE, room_id, "one")
    last = await world.send(ALICE, room_id, "two")
    now = world.clock.now_ms()
    assert (await times_of(world).for_user(ALICE, room_id, Wanted(now, False)))[0] == first
    assert (await times_of(world).for_user(ALICE, room_id, Wanted(now, True)))[0] == last


async def test_what_one_may_not_see_is_passed_over(world: World) -> None:
    room_id = await world.public_room()
    await world.set_state(ALICE, room_id, "m.room.history_visibility", {"history_visibility": "joined"})
    said = await spoken(world, room_id, *(f"hidden {number}" for number in range(60)))
    await world.join(BOB, room_id)
    shown = await spoken(world, room_id, "shown")
    found = await times_of(world).for_user(BOB, room_id, Wanted(said["hidden 0"][1], False))
    assert said["hidden 59"][1] <= found[1] <= shown["shown"][1]
    assert found[0] not in {event_id for event_id, _ in said.values()}


async def test_strangers_find_nothing(world: World) -> None:
    room_id = await world.public_room()
    with pytest.raises(Forbidden):
        await times_of(world).for_user(BOB, room_id, Wanted(0, False))


async def test_events_that_arrive_later_are_found_too(world: World) -> None:
    room_id = await world.public_room()
    times = times_of(world)
    await times.for_user(ALICE, room_id, Wanted(0, False))
    said = await spoken(world, room_id, "one")
    assert await times.for_user(ALICE, room_id, Wanted(said["one"][1], False)) == said["one"]


async def test_the_table_is_kept_by_itself_in_steps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchword.server.rooms.timestamps._STEP", 3)
    await world.public_room()
    times = times_of(world)
    async with world.database.read() as tx:
        newest = await last_event_nid(tx)
    task = asyncio.get_running_loop().create_task(times.run())
    try:
        async with asyncio.timeout(5):
            while await place(world) < newest:
                await asyncio.sleep(0.001)
                world.clock.advance(1_000)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def place(world: World) -> int:
    async with world.database.read() as tx:
        return await swept(tx, "times")


# Across servers


class Between:
    """Asks another stack. Fits RemoteTimes."""

    def __init__(self, network: Network, name: ServerName) -> None:
        self._network = network
        self._name = name

    async def timestamp_to_event(self, server: ServerName, room_id: RoomId, ts: int, *, backwards: bool) -> tuple[EventId, int]:
        async def ask(stack: Stack) -> Any:
            return await of(stack).for_server(self._name, room_id, Wanted(ts, backwards))

        answer: tuple[EventId, int] = await self._network.call(self._name, server, "timestamp_to_event", ask)
        return answer


def of(stack: Stack) -> Timestamps:
    rooms = stack.rooms
    clock: Clock = stack.clock
    servers = Between(stack.network, stack.name)
    return Timestamps(stack.database, rooms.reader, rooms.remote.served_events, rooms.remote.backfill, servers, clock)


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[Network]:
    network = Network()
    for name in ("a.example", "b.example", "c.example"):
        await Stack.start(network, tmp_path, name, "alice", "bob")
    yield network
    for stack in network.stacks.values():
        await stack.database.close()


async def said_on(stack: Stack, room_id: RoomId, count: int) -> list[tuple[EventId, int]]:
    said = []
    for number in range(count):
        stack.clock.advance(1_000)
        said.append((await stack.say(room_id, f"text {number}"), stack.clock.now_ms()))
    return said


async def joined_later(there: Stack, here: Stack, room_id: RoomId) -> None:
    """bob joins, and the clocks agree."""
    here.clock.advance(there.clock.now_ms() - here.clock.now_ms())
    await here.join(room_id, "bob", there)


async def test_history_that_is_nearer_is_fetched_from_other_servers(network: Network) -> None:
    a, b, _ = network.stacks.values()
    room_id = await a.create()
    said = await said_on(a, room_id, 150)
    await b.join(room_id, "bob", a)
    await network.settle()
    bob = b.user("bob")
    for wanted in (Wanted(said[20][1], False), Wanted(said[20][1], True)):
        assert await of(b).for_user(bob, room_id, wanted) == said[20]
    assert await b.bodies(room_id, "bob") == [f"text {number}" for number in range(150)]


async def test_nobody_is_asked_where_nothing_is_missing(network: Network) -> None:
    a, b, _ = network.stacks.values()
    room_id = await a.create()
    await b.join(room_id, "bob", a)
    said = await said_on(a, room_id, 3)
    await network.settle()
    await b.bodies(room_id, "bob")
    assert await of(b).for_user(b.user("bob"), room_id, Wanted(said[1][1], False)) == said[1]
    assert network.times("timestamp_to_event") == 0


async def test_what_is_here_does_when_nobody_answers(network: Network) -> None:
    a, b, _ = network.stacks.values()
    room_id = await a.create()
    said = await said_on(a, room_id, 3)
    await joined_later(a, b, room_id)
    await network.settle()
    network.part(a, b)
    found = await of(b).for_user(b.user("bob"), room_id, Wanted(said[0][1], False))
    assert found[1] >= said[0][1]
    with pytest.raises(NotFound):
        await of(b).for_user(b.user("bob"), room_id, Wanted(said[0][1], True))


@pytest.mark.parametrize("answer", [("$nothing", 0), ("$nothing", 1 << 50)])
async def test_a_lie_costs_a_little_time_and_changes_nothing(network: Network, answer: Any) -> None:
    a, b, _ = network.stacks.values()
    room_id = await a.create()
    said = await said_on(a, room_id, 3)
    await joined_later(a, b, room_id)
    await network.settle()
    network.lies[(a.name, "timestamp_to_event")] = lambda _: answer
    found = await of(b).for_user(b.user("bob"), room_id, Wanted(said[1][1], False))
    assert found[1] >= said[1][1]


async def test_servers_that_are_not_in_the_room_are_told_nothing(network: Network) -> None:
    a, _, c = network.stacks.values()
    room_id = await a.create()
    with pytest.raises(Forbidden):
        await of(a).for_server(c.name, room_id, Wanted(0, False))
    with pytest.raises(NotFound):
        await of(a).for_server(c.name, RoomId("!none:x"), Wanted(0, False))


async def test_servers_are_told_of_what_their_users_may_see(network: Network) -> None:
    a, b, _ = network.stacks.values()
    room_id = await a.create(initial_state=[("m.room.history_visibility", "", {"history_visibility": "joined"})])
    said = await said_on(a, room_id, 3)
    await b.join(room_id, "bob", a)
    await network.settle()
    shown = await said_on(a, room_id, 1)
    found = await of(a).for_server(b.name, room_id, Wanted(said[0][1], False))
    assert found[0] not in {event_id for event_id, _ in said}
    assert found[1] <= shown[0][1]
