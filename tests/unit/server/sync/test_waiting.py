"""Who is woken by what: exactly those whom it concerns."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, PHONE, World
from watchword.protocol.ids import UserId
from watchword.server.changes import CrossSigningChanged, DeviceListChanged, PresenceChanged, ProfileChanged, TypingChanged


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


@asynccontextmanager
async def waiting(world: World, *users: UserId) -> AsyncIterator[dict[UserId, "asyncio.Future[None]"]]:
    """Users who wait, and the part that looks aside running."""
    aside = asyncio.ensure_future(world.waiting.run())
    entered = {user_id: world.waiting.enter(user_id) for user_id in users}
    try:
        yield entered
    finally:
        for user_id, woken in entered.items():
            world.waiting.leave(user_id, woken)
        aside.cancel()
        await asyncio.wait([aside])


def woken(entered: dict[UserId, "asyncio.Future[None]"]) -> set[UserId]:
    return {user_id for user_id, future in entered.items() if future.done()}


async def after(world: World, happen: Any, users: Iterable[UserId] = (ALICE, BOB, CAROL)) -> set[UserId]:
    async with waiting(world, *users) as entered:
        await happen
        await settle()
        return woken(entered)


async def test_an_event_wakes_the_members_of_its_room(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.public_room(CAROL)
    assert await after(world, world.send(ALICE, room_id)) == {ALICE, BOB}
    # With more members than waiters, and with fewer.
    assert await after(world, world.send(ALICE, room_id), (BOB,)) == {BOB}
    assert await after(world, world.send(ALICE, room_id), (CAROL,)) == set()


async def test_whoever_is_invited_or_let_go_is_woken(world: World) -> None:
    room_id = await world.room()
    assert await after(world, world.invite(ALICE, room_id, CAROL)) == {ALICE, CAROL}
    kick = world.ask(ALICE, "POST", f"rooms/{room_id}/kick", {"user_id": CAROL})
    assert await after(world, kick) == {ALICE, CAROL}


async def test_receipts_and_typing_wake_the_room(world: World) -> None:
    room_id = await world.public_room(BOB)
    event_id = await world.send(ALICE, room_id)
    assert await after(world, world.ask(BOB, "POST", f"rooms/{room_id}/receipt/m.read/{event_id}", {})) == {ALICE, BOB}
    assert await after(world, world.ask(BOB, "PUT", f"rooms/{room_id}/typing/{BOB}", {"typing": True})) == {ALICE, BOB}


async def test_account_data_wakes_its_owner(world: World) -> None:
    await world.public_room(BOB)
    assert await after(world, world.ask(BOB, "PUT", f"user/{BOB}/account_data/x", {"n": 1})) == {BOB}


@pytest.mark.parametrize("change", [DeviceListChanged(BOB, PHONE), CrossSigningChanged(BOB), PresenceChanged(BOB)])
async def test_devices_and_presence_wake_oneself_and_those_who_share_a_room(world: World, change: Any) -> None:
    await world.public_room(BOB)

    async def happen() -> None:
        async with world.database.write() as tx:
            await world.log.append(tx, change)

    assert await after(world, happen()) == {ALICE, BOB}


async def test_what_no_client_sees_wakes_nobody(world: World) -> None:
    await world.public_room(BOB)

    async def happen() -> None:
        async with world.database.write() as tx:
            await world.log.append(tx, ProfileChanged(BOB, "m.tz"))

    assert await after(world, happen()) == set()


async def test_a_room_that_is_not_in_memory_wakes_everybody(world: World) -> None:
    room_id = await world.public_room(BOB)
    room = await world.reader.room(room_id)
    assert room is not None

    async def happen() -> None:
        async with world.database.write() as tx:
            await world.log.append(tx, TypingChanged(room_id, BOB, True))
            world.registry.evict(room)

    assert await after(world, happen(), (CAROL,)) == {CAROL}


async def test_waking_all_wakes_all(world: World) -> None:
    async with waiting(world, ALICE, BOB) as entered:
        world.waiting.wake_all()
        world.waiting.wake_all()
        assert woken(entered) == {ALICE, BOB}


async def test_whoever_left_is_not_remembered(world: World) -> None:
    first, second = world.waiting.enter(ALICE), world.waiting.enter(ALICE)
    world.waiting.leave(ALICE, first)
    world.waiting.wake_all()
    assert (first.done(), second.done()) == (False, True)
    world.waiting.leave(ALICE, second)
    world.waiting.leave(ALICE, second)
    assert world.waiting._waiting == {}


async def test_waiting_ends_at_the_time_or_when_woken(world: World) -> None:
    late = world.waiting.enter(ALICE)
    waits = asyncio.ensure_future(world.waiting.wait(late, 1_000))
    await settle()
    world.clock.advance(999)
    await settle()
    assert not waits.done()
    world.clock.advance(1)
    assert await waits is False
    early = world.waiting.enter(ALICE)
    waits = asyncio.ensure_future(world.waiting.wait(early, 1_000))
    await settle()
    world.waiting.wake_all()
    assert await waits is True
    assert world.clock.next_wake_ms() is None
    assert await world.waiting.wait(early, 1_000) is True
    assert await world.waiting.wait(world.waiting.enter(ALICE), 0) is False
