from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.world import ALICE, BOB, CAROL, DAVE, World, bodies, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        await world.users(ALICE, BOB, CAROL, DAVE)
        yield world


async def test_newcomers_get_redacted_copies_of_what_an_erased_user_said(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    event_id = await world.send(BOB, room_id, "private words")
    await world.send(ALICE, room_id, "other words")
    await world.accounts.admin.deactivate(BOB, erase=True)
    await world.join(DAVE, room_id)
    assert bodies((await world.messages(DAVE, room_id))["chunk"]) == ["other words"]
    assert (await world.ask(DAVE, "GET", f"rooms/{room_id}/event/{event_id}"))["content"] == {}
    joined = (await world.sync(DAVE))["rooms"]["join"][room_id]["timeline"]["events"]
    assert bodies(joined) == ["other words"]
    assert bodies((await world.messages(CAROL, room_id))["chunk"]) == ["other words", "private words"]


async def test_who_leaves_without_that_wish_is_still_heard(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.send(BOB, room_id, "public words")
    await world.accounts.admin.deactivate(BOB, erase=False)
    await world.join(DAVE, room_id)
    assert bodies((await world.messages(DAVE, room_id))["chunk"]) == ["public words"]


async def test_state_that_an_erased_user_set_stays(world: World) -> None:
    room_id = await world.room(BOB, name="The room", preset="public_chat")
    await world.accounts.admin.deactivate(BOB, erase=True)
    await world.join(DAVE, room_id)
    assert await world.ask(DAVE, "GET", f"rooms/{room_id}/state/m.room.name") == {"name": "The room"}


async def test_the_wish_is_remembered_after_a_restart(world: World) -> None:
    await world.accounts.admin.deactivate(BOB, erase=True)
    world.accounts.reader.erased.clear()
    await world.accounts.reader.start()
    assert world.accounts.reader.erased == {BOB}


async def test_servers_that_come_later_get_redacted_copies_too(network: Network, a: Stack, b: Stack, c: Stack) -> None:
    room_id = await a.create()
    await b.join(room_id, "bob", a)
    await a.join(room_id, "anna")
    await a.say(room_id, "private words", "anna")
    await network.settle()
    a.rooms.membership.accounts.erased.add(a.user("anna"))
    await c.join(room_id, "carol", a)
    await network.settle()
    network.part(b, c)
    assert bodies(await c.read(room_id, "carol")) == []
    assert await b.bodies(room_id, "bob") == ["private words"]
