"""Rooms in memory: what is loaded equals what was there, and there are never more than the bound."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World, open_world
from watchword.protocol.ids import EventId, RoomId
from watchword.server.rooms import tables
from watchword.server.rooms.registry import RoomRegistry
from watchword.server.rooms.room import KEY_TYPES, Room

NOWHERE = RoomId("!nowhere:here.example")
ROOMS_MAX = 3


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, rooms_max=ROOMS_MAX) as opened:
        await opened.users(ALICE, BOB)
        yield opened


def contents(room: Room) -> dict[str, Any]:
    """What a room says, but for what is only kept at hand."""
    return {
        "state": room.state,
        "members": room.members,
        "extremities": room.extremities,
        "forks": room.forks,
        "follows_newest": room.follows_newest,
        "version": room.version.identifier,
        "is_public": room.is_public,
        "positions": (room.last_position, room.last_state_position, room.receipts_position),
        "key state": [(pdu.event_id, pdu.sender, pdu.content) for kind in KEY_TYPES if (pdu := room.current(kind)) is not None],
        "levels": room.levels(),
    }


async def found(registry: RoomRegistry, room_id: RoomId) -> Room:
    room = await registry.find(room_id)
    assert room is not None
    return room


async def loaded_anew(registry: RoomRegistry, room_id: RoomId) -> tuple[Room, Room]:
    """(as it was in memory, as it is in the database)"""
    old = await found(registry, room_id)
    registry.evict(old)
    new = await found(registry, room_id)
    assert new is not old
    return old, new


# Loading


@pytest.mark.parametrize("version", ["1", "6", "12"])
async def test_a_new_room_is_loaded_as_it_was(world: World, version: str) -> None:
    old, new = await loaded_anew(world.registry, await world.room(room_version=version))
    assert contents(new) == contents(old)


@pytest.mark.parametrize("seed", range(4))
async def test_after_many_changes_a_room_is_loaded_as_it_was(world: World, seed: int) -> None:
    room_id = await world.public_room(BOB, visibility="public")
    chance = random.Random(seed)
    for number in range(30):
        await change(world, room_id, chance.choice(("say", "topic", "levels", "visibility", "carol", "receipt")), number)
        if chance.random() < 0.2:
            old, new = await loaded_anew(world.registry, room_id)
            assert contents(new) == contents(old)
    old, new = await loaded_anew(world.registry, room_id)
    assert contents(new) == contents(old)


async def change(world: World, room_id: RoomId, what: str, number: int) -> None:
    room = await found(world.registry, room_id)
    match what:
        case "say":
            await world.send(BOB, room_id)
        case "topic":
            await world.set_state(ALICE, room_id, "m.room.topic", {"topic": str(number)}, str(number % 3))
        case "levels":
            levels = {**room.content("m.room.power_levels"), "invite": number}
            await world.set_state(ALICE, room_id, "m.room.power_levels", levels)
        case "visibility":
            value = ("joined", "shared", "invited")[number % 3]
            await world.set_state(ALICE, room_id, "m.room.history_visibility", {"history_visibility": value})
        case "carol":
            is_in = room.members.membership.get(CAROL) == "join"
            await (world.leave if is_in else world.join)(CAROL, room_id)
        case _:
            event_id = await world.send(ALICE, room_id)
            await world.ask(BOB, "POST", f"rooms/{room_id}/receipt/m.read/{event_id}", {})


async def test_redacted_power_levels_are_loaded_as_redaction_left_them(world: World) -> None:
    room_id = await world.room()
    levels = dict((await found(world.registry, room_id)).content("m.room.power_levels"))
    event_id = await world.set_state(ALICE, room_id, "m.room.power_levels", {**levels, "notifications": {"room": 1}})
    await world.ask(ALICE, "PUT", f"rooms/{room_id}/redact/{event_id}/t", {})
    old, new = await loaded_anew(world.registry, room_id)
    assert contents(new) == contents(old)
    assert "notifications" not in new.content("m.room.power_levels")


async def forked(network: Network, a: Stack, b: Stack, version: str) -> RoomId:
    """A room whose state two servers changed without hearing of each other, and then heard."""
    room_id = await a.create(version=version)
    await b.join(room_id, "bob", a)
    await network.settle()
    network.part(a, b)
    await a.send(room_id, "m.room.topic", {"topic": "of a"}, "")
    await a.change(room_id, "kick", b.user("bob"))
    await b.say(room_id, "mine", "bob")
    await b.send(room_id, "m.room.member", {"membership": "join", "displayname": "B"}, b.user("bob"), user="bob")
    network.heal()
    await network.settle()
    return room_id


@pytest.mark.parametrize("version", ["1", "2", "10", "12"])
async def test_a_forked_room_is_loaded_as_it_was(network: Network, a: Stack, b: Stack, version: str) -> None:
    room_id = await forked(network, a, b, version)
    for stack in (a, b):
        old, new = await loaded_anew(stack.rooms.registry, room_id)
        assert contents(new) == contents(old)


@pytest.mark.parametrize("version", ["1", "12"])
async def test_a_fork_that_was_joined_again_is_loaded_as_it_was(network: Network, a: Stack, b: Stack, version: str) -> None:
    room_id = await forked(network, a, b, version)
    await a.say(room_id, "joined again")
    await network.settle()
    old, new = await loaded_anew(a.rooms.registry, room_id)
    assert len(new.extremities) == 1
    assert contents(new) == contents(old)


async def test_a_room_that_was_joined_elsewhere_is_loaded_as_it_was(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    await a.say(room_id, "before")
    await b.join(room_id, "bob", a)
    await b.read(room_id, "bob")
    old, new = await loaded_anew(b.rooms.registry, room_id)
    assert contents(new) == contents(old)


async def test_a_room_survives_a_restart(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.users(ALICE, BOB)
        room_id = await world.public_room(BOB)
        before = contents(await found(world.registry, room_id))
    async with open_world(tmp_path) as world:
        assert contents(await found(world.registry, room_id)) == before


async def test_an_unknown_room_is_not_found(world: World) -> None:
    assert await world.registry.find(NOWHERE) is None
    assert world.registry.at_hand(NOWHERE) is None
    async with world.registry.locked(NOWHERE) as room:
        assert room is None


async def test_a_room_is_loaded_once_however_many_ask(world: World) -> None:
    room_id = await world.room()
    world.registry.evict(await found(world.registry, room_id))
    rooms = await asyncio.gather(*(world.registry.find(room_id) for _ in range(10)))
    assert len({id(room) for room in rooms}) == 1


async def test_state_that_decisions_seldom_read_is_loaded_when_wanted(world: World) -> None:
    room_id = await world.public_room(BOB)
    _, room = await loaded_anew(world.registry, room_id)
    assert room.current("m.room.member", BOB) is None
    await world.registry.load_state(room, [("m.room.member", BOB), ("m.room.member", "@nobody:here.example")])
    member = room.current("m.room.member", BOB)
    assert member is not None
    assert member.content["membership"] == "join"


# The bound


async def test_there_are_never_more_rooms_in_memory_than_the_bound(small: World) -> None:
    made = [await small.room() for _ in range(3 * ROOMS_MAX)]
    for room_id in made:
        await small.send(ALICE, room_id)
        assert sum(small.registry.at_hand(each) is not None for each in made) <= ROOMS_MAX


async def test_the_room_that_was_used_least_lately_goes_first(small: World) -> None:
    first, second, third = [await small.room() for _ in range(3)]
    await small.registry.find(first)
    fourth = await small.room()
    assert small.registry.at_hand(second) is None
    assert None not in [small.registry.at_hand(room_id) for room_id in (first, third, fourth)]


async def test_a_room_whose_lock_is_held_stays(small: World) -> None:
    held = await small.room()
    async with small.registry.locked(held) as room:
        for _ in range(2 * ROOMS_MAX):
            await small.room()
        assert small.registry.at_hand(held) is room


async def test_a_room_that_went_out_of_memory_goes_on_where_it_was(small: World) -> None:
    room_id = await small.room()
    one = await small.send(ALICE, room_id, "one")
    for _ in range(2 * ROOMS_MAX):
        await small.room()
    two = await small.send(ALICE, room_id, "two")
    (event,) = [event for event in await small.timeline(room_id) if event["content"].get("body") == "two"]
    assert (event["prev_events"], list((await found(small.registry, room_id)).extremities)) == ([one], [two])


# Eviction


async def test_who_waited_for_the_lock_of_an_evicted_room_gets_the_new_one(world: World) -> None:
    room_id = await world.room()
    old = await found(world.registry, room_id)

    async def waiting() -> Room | None:
        async with world.registry.locked(room_id) as room:
            return room

    async with old.lock:
        task = asyncio.ensure_future(waiting())
        await asyncio.sleep(0)
        world.registry.evict(old)
    new = await task
    assert new is not None
    assert new is not old
    assert not new.evicted


async def test_evicting_an_old_object_leaves_the_new_one(world: World) -> None:
    old, new = await loaded_anew(world.registry, await world.room())
    world.registry.evict(old)
    assert world.registry.at_hand(new.room_id) is new


async def test_a_room_of_which_nothing_is_durable_yet_is_waited_for(world: World) -> None:
    room_id = await world.room()
    room = await found(world.registry, room_id)
    async with world.database.write(wait=False) as tx:
        world.registry.unsettle(room, tx)
        await tables.save_extremities(tx, room.room_nid, {EventId("$later"): 9})
        world.registry.evict(room)
    assert (await found(world.registry, room_id)).extremities == {"$later": 9}
