"""The doors through which clients read: who may, and in which form."""

from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World
from watchword.protocol.ids import RoomId

READABLE = [{"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}]
DOORS = ("state", "state/m.room.create", "members", "joined_members", "messages")


@pytest.fixture
async def room_id(world: World) -> RoomId:
    return await world.public_room(BOB, name="hall")


async def read(world: World, user_id: Any, room_id: RoomId, path: str, **query: Any) -> Any:
    return await world.ask(user_id, "GET", f"rooms/{room_id}/{path}", **query)


# Who may


@pytest.mark.parametrize("door", DOORS)
async def test_strangers_and_the_invited_read_nothing(world: World, room_id: RoomId, door: str) -> None:
    for _ in range(2):
        assert await world.refused(CAROL, "GET", f"rooms/{room_id}/{door}", dir="b") == (403, "M_FORBIDDEN")
        await world.invite(ALICE, room_id, CAROL)


@pytest.mark.parametrize("door", DOORS)
async def test_whoever_rejected_an_invite_reads_no_state(world: World, room_id: RoomId, door: str) -> None:
    await world.invite(ALICE, room_id, CAROL)
    await world.leave(CAROL, room_id)
    status, body = await world.tried(CAROL, "GET", f"rooms/{room_id}/{door}", dir="b")
    if door == "messages":
        assert {event["state_key"] for event in body["chunk"]} == {CAROL}
    else:
        assert status == 403


async def test_everybody_reads_a_world_readable_room(world: World) -> None:
    room_id = await world.public_room(initial_state=READABLE)
    for door in ("state", "state/m.room.create", "members", "messages"):
        await read(world, CAROL, room_id, door, dir="b")
    assert await world.refused(CAROL, "GET", f"rooms/{room_id}/joined_members") == (403, "M_FORBIDDEN")


async def test_whoever_left_reads_the_state_as_of_his_leaving(world: World, room_id: RoomId) -> None:
    await world.leave(BOB, room_id)
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "secret"})
    await world.join(CAROL, room_id)
    assert await read(world, BOB, room_id, "state/m.room.name") == {"name": "hall"}
    assert {event["state_key"] for event in (await read(world, BOB, room_id, "members"))["chunk"]} == {ALICE, BOB}
    assert "secret" not in str(await read(world, BOB, room_id, "state"))
    assert await world.refused(BOB, "GET", f"rooms/{room_id}/joined_members") == (403, "M_FORBIDDEN")
    later = (await world.sync(ALICE))["next_batch"]
    at = await read(world, BOB, room_id, "members", at=later)
    assert {event["state_key"] for event in at["chunk"]} == {ALICE, BOB}


@pytest.mark.parametrize("door", DOORS)
async def test_a_forgotten_room_is_read_no_more(world: World, room_id: RoomId, door: str) -> None:
    await world.leave(BOB, room_id)
    await world.ask(BOB, "POST", f"rooms/{room_id}/forget", {})
    assert await world.refused(BOB, "GET", f"rooms/{room_id}/{door}", dir="b") == (403, "M_FORBIDDEN")


async def test_an_event_of_a_forgotten_room_is_not_there(world: World, room_id: RoomId) -> None:
    event_id = await world.send(BOB, room_id)
    await world.leave(BOB, room_id)
    assert (await read(world, BOB, room_id, f"event/{event_id}"))["sender"] == BOB
    await world.ask(BOB, "POST", f"rooms/{room_id}/forget", {})
    assert await world.refused(BOB, "GET", f"rooms/{room_id}/event/{event_id}") == (404, "M_NOT_FOUND")


# In which form


async def test_state_is_every_state_event(world: World, room_id: RoomId) -> None:
    state = await read(world, ALICE, room_id, "state")
    assert {(event["type"], event["state_key"]) for event in state} >= {("m.room.create", ""), ("m.room.member", BOB)}
    assert all(event["room_id"] == room_id for event in state)


@pytest.mark.parametrize("path", ["state/m.room.name", "state/m.room.name/"])
async def test_one_state_event_is_its_content_or_the_event(world: World, room_id: RoomId, path: str) -> None:
    assert await read(world, ALICE, room_id, path) == {"name": "hall"}
    assert await read(world, ALICE, room_id, path, format="content") == {"name": "hall"}
    event = await read(world, ALICE, room_id, path, format="event")
    assert (event["content"], event["sender"], event["room_id"]) == ({"name": "hall"}, ALICE, room_id)
    assert await world.refused(ALICE, "GET", f"rooms/{room_id}/{path}", format="x") == (400, "M_INVALID_PARAM")


async def test_state_under_a_key_is_found_by_it(world: World, room_id: RoomId) -> None:
    await world.set_state(ALICE, room_id, "m.x", {"n": 1}, "a/ü")
    assert await read(world, ALICE, room_id, "state/m.x/a%2F%C3%BC") == {"n": 1}
    assert await world.refused(ALICE, "GET", f"rooms/{room_id}/state/m.x") == (404, "M_NOT_FOUND")


async def test_membership_and_not_membership_widen_each_other(world: World, room_id: RoomId) -> None:
    await world.join(CAROL, room_id)
    await world.leave(CAROL, room_id)
    for query, expected in (
        ({}, {ALICE, BOB, CAROL}),
        ({"membership": "join"}, {ALICE, BOB}),
        ({"membership": "leave"}, {CAROL}),
        ({"not_membership": "leave"}, {ALICE, BOB}),
        ({"membership": "join", "not_membership": "join"}, {ALICE, BOB, CAROL}),
        ({"membership": "ban"}, set()),
    ):
        chunk = (await read(world, ALICE, room_id, "members", **query))["chunk"]
        assert {event["state_key"] for event in chunk} == expected
    for name in ("membership", "not_membership"):
        assert await world.refused(ALICE, "GET", f"rooms/{room_id}/members", **{name: "x"}) == (400, "M_INVALID_PARAM")


async def test_members_as_of_a_token(world: World, room_id: RoomId) -> None:
    before = (await world.sync(ALICE))["next_batch"]
    await world.join(CAROL, room_id)
    chunk = (await read(world, ALICE, room_id, "members", at=before))["chunk"]
    assert {event["state_key"] for event in chunk} == {ALICE, BOB}
    assert await world.refused(ALICE, "GET", f"rooms/{room_id}/members", at="x") == (400, "M_INVALID_PARAM")


async def test_joined_members_are_told_with_name_and_avatar(world: World, room_id: RoomId) -> None:
    content = {"membership": "join", "displayname": "Bob", "avatar_url": "mxc://x/y"}
    await world.set_state(BOB, room_id, "m.room.member", content, BOB)
    joined = (await read(world, ALICE, room_id, "joined_members"))["joined"]
    assert joined == {ALICE: {}, BOB: {"display_name": "Bob", "avatar_url": "mxc://x/y"}}


async def test_an_event_that_is_no_id_is_an_invalid_parameter(world: World, room_id: RoomId) -> None:
    assert await world.refused(ALICE, "GET", f"rooms/{room_id}/event/nonsense") == (400, "M_INVALID_PARAM")
