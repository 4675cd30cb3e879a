import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World, open_world
from watchword.base.errors import NotFound
from watchword.protocol.ids import RoomId, UserId
from watchword.server.changes import ProfileChanged
from watchword.server.rooms.follower import NAME
from watchword.server.rooms.upgrade_follow import with_replacement

OLD, NEW = RoomId("!old:hs"), RoomId("!new:hs")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        await world.users(ALICE, BOB, CAROL)
        following = asyncio.ensure_future(world.follower.run())
        await asyncio.sleep(0)
        yield world
        following.cancel()
        await asyncio.wait([following])


async def upgraded(world: World, room_id: RoomId) -> RoomId:
    body = {"new_version": "12"}
    return RoomId((await world.ask(ALICE, "POST", f"rooms/{room_id}/upgrade", body))["replacement_room"])


async def data(world: World, user: UserId, kind: str, room_id: RoomId | None = None) -> Any:
    """Account data once the follower has come by: a change of a name at the end makes it save how far it is."""
    async with world.database.write() as tx:
        position = await world.log.append(tx, ProfileChanged(UserId("@nobody:here.example"), "displayname"))
    for _ in range(5_000):
        if await cursor(world) >= position:
            break
        await asyncio.sleep(0.002)
    where = "" if room_id is None else f"/rooms/{room_id}"
    try:
        return await world.ask(user, "GET", f"user/{user}{where}/account_data/{kind}")
    except NotFound:
        return None


async def cursor(world: World) -> int:
    async with world.database.read() as tx:
        return await world.log.cursor(tx, NAME)


async def put(world: World, user: UserId, kind: str, content: Any, room_id: RoomId | None = None) -> None:
    where = "" if room_id is None else f"/rooms/{room_id}"
    await world.ask(user, "PUT", f"user/{user}{where}/account_data/{kind}", content)


async def test_members_take_their_tags_and_direct_flag_along_when_they_join(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.ask(BOB, "PUT", f"user/{BOB}/rooms/{room_id}/tags/m.favourite", {"order": 0.5})
    await put(world, BOB, "org.example.colour", {"is": "blue"}, room_id)
    await put(world, BOB, "m.direct", {ALICE: [room_id], CAROL: ["!else:hs"]})
    new_id = await upgraded(world, room_id)
    assert await data(world, BOB, "m.tag", new_id) is None
    await world.join(BOB, new_id)
    assert await data(world, BOB, "m.tag", new_id) == {"tags": {"m.favourite": {"order": 0.5}}}
    assert await data(world, BOB, "org.example.colour", new_id) == {"is": "blue"}
    assert await data(world, BOB, "m.direct") == {ALICE: [room_id, new_id], CAROL: ["!else:hs"]}
    assert ("copy_room_rules", (BOB, room_id, new_id)) in world.nobody.asked


async def test_whoever_upgrades_takes_his_own_along(world: World) -> None:
    room_id = await world.room(ALICE)
    await world.ask(ALICE, "PUT", f"user/{ALICE}/rooms/{room_id}/tags/u.work", {})
    new_id = await upgraded(world, room_id)
    assert await data(world, ALICE, "m.tag", new_id) == {"tags": {"u.work": {}}}


async def test_where_somebody_read_to_stays_behind(world: World) -> None:
    room_id = await world.room(ALICE)
    event_id = await world.send(ALICE, room_id)
    await world.ask(ALICE, "POST", f"rooms/{room_id}/read_markers", {"m.fully_read": event_id})
    new_id = await upgraded(world, room_id)
    assert await data(world, ALICE, "m.fully_read", new_id) is None


async def test_what_is_kept_about_the_new_room_already_is_not_overwritten(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.ask(BOB, "PUT", f"user/{BOB}/rooms/{room_id}/tags/m.favourite", {})
    new_id = await upgraded(world, room_id)
    await world.ask(BOB, "PUT", f"user/{BOB}/rooms/{new_id}/tags/m.lowpriority", {})
    await world.join(BOB, new_id)
    assert await data(world, BOB, "m.tag", new_id) == {"tags": {"m.lowpriority": {}}}


async def test_a_renewed_member_event_copies_nothing_again(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.ask(BOB, "PUT", f"user/{BOB}/rooms/{room_id}/tags/m.favourite", {})
    new_id = await upgraded(world, room_id)
    await world.join(BOB, new_id)
    await data(world, BOB, "m.tag", new_id)
    await world.ask(BOB, "DELETE", f"user/{BOB}/rooms/{new_id}/tags/m.favourite")
    asked = len(world.nobody.asked)
    await world.set_state(BOB, new_id, "m.room.member", {"membership": "join", "displayname": "Robert"}, BOB)
    await data(world, BOB, "m.tag", new_id)
    assert len(world.nobody.asked) == asked


async def test_a_room_that_only_claims_to_replace_another_gets_nothing(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.ask(BOB, "PUT", f"user/{BOB}/rooms/{room_id}/tags/m.favourite", {})
    trap = await world.room(CAROL, preset="public_chat", creation_content={"predecessor": {"room_id": room_id}})
    await world.join(BOB, trap)
    assert await data(world, BOB, "m.tag", trap) is None


async def test_who_was_never_in_the_old_room_takes_nothing_along(world: World) -> None:
    room_id = await world.public_room()
    new_id = await upgraded(world, room_id)
    await world.join(CAROL, new_id)
    await data(world, CAROL, "m.tag", new_id)
    assert not [asked for asked in world.nobody.asked if asked[0] == "copy_room_rules" and asked[1][0] == CAROL]  # type: ignore[index]


def test_the_direct_flag_is_set_beside_the_old_one_once() -> None:
    assert with_replacement({"@a:hs": [OLD], "@b:hs": "what", "@c:hs": [OLD, NEW]}, OLD, NEW) == {
        "@a:hs": [OLD, NEW],
        "@b:hs": "what",
        "@c:hs": [OLD, NEW],
    }
    assert with_replacement({"@a:hs": ["!other:hs"]}, OLD, NEW) is None
