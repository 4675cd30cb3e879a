"""Sticky events in sliding sync: all of them, once, in every room that the client is interested in."""

from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB
from tests.unit.server.sync.sliding.windows import ACCEPTED, IN_USE, Client, SlidingWorld, accepted_window, window
from watchword.protocol.ids import RoomId

NAME = "org.matrix.msc4354.sticky_events"
QUERY: dict[str, Any] = {"org.matrix.msc4354.sticky_duration_ms": 60_000}


async def stick(world: SlidingWorld, user_id: Any, room_id: RoomId, text: str) -> str:
    path = f"rooms/{room_id}/send/m.x/{text}"
    return str((await world.ask(user_id, "PUT", path, {"body": text}, **QUERY))["event_id"])


def asks(since: str | None = None, **more: Any) -> dict[str, Any]:
    wanted = {"enabled": True, **more}
    return {NAME: wanted if since is None else {**wanted, "since": since}}


def client(world: SlidingWorld, **options: Any) -> Client:
    return Client(world, BOB, lists={"all": window(limit=1, **options)}, extensions=asks())


async def told(asked: Client, since: str | None = None, **more: Any) -> tuple[dict[str, list[str]], str | None]:
    """What is told: room → texts, and the token to go on with."""
    part = (await asked.ask(extensions=asks(since, **more)))["extensions"].get(NAME, {})
    texts = {room_id: [event["content"]["body"] for event in each["events"]] for room_id, each in part.get("rooms", {}).items()}
    return texts, part.get("next_batch")


async def test_sticky_events_are_told_unless_the_timeline_shows_them(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB)
    await stick(world, ALICE, room_id, "a")
    await stick(world, ALICE, room_id, "b")
    asked = client(world)
    first, token = await told(asked)
    assert first == {room_id: ["a"]}
    assert await told(asked, token) == ({}, None)
    await stick(world, ALICE, room_id, "c")
    shown, token = await told(asked, token)
    assert shown == {}
    assert await told(asked, token) == ({}, None)


async def test_how_long_they_are_sticky_is_told_with_them(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB)
    await stick(world, ALICE, room_id, "a")
    await world.say(ALICE, room_id)
    world.clock.advance(10_000)
    part = (await client(world).ask())["extensions"][NAME]
    event = part["rooms"][room_id]["events"][0]
    assert event["unsigned"]["msc4354_sticky_duration_ttl_ms"] == 50_000
    assert event["msc4354_sticky"] == {"duration_ms": 60_000}
    world.clock.advance(50_000)
    assert NAME not in (await client(world).ask())["extensions"]


async def test_they_come_in_pages_the_oldest_first(world: SlidingWorld) -> None:
    room_id, other_id = await world.public_room(BOB), await world.public_room(BOB)
    for text in "abc":
        await stick(world, ALICE, room_id, text)
        await stick(world, ALICE, other_id, text + text)
    for each in (room_id, other_id):
        await world.say(ALICE, each)
    asked = client(world)
    first, token = await told(asked, None, limit=2)
    # Both were joined before: each event stands for itself.
    assert first == {room_id: ["a"], other_id: ["aa"]}
    second, token = await told(asked, token, limit=3)
    assert second == {room_id: ["b", "c"], other_id: ["bb"]}
    assert (await told(asked, token))[0] == {other_id: ["cc"]}


async def test_rooms_outside_of_the_window_count_and_those_outside_of_the_filter_do_not(world: SlidingWorld) -> None:
    outside, inside = await world.public_room(BOB), await world.public_room(BOB)
    for room_id in (outside, inside):
        await stick(world, ALICE, room_id, "a")
    for _ in range(2):
        await world.say(ALICE, inside)
    asked = Client(world, BOB, lists={"all": window((0, 0), limit=1)}, extensions=asks())
    assert set((await told(asked))[0]) == {outside, inside}
    encrypted = Client(
        world, BOB, conn_id="2", lists={"all": window(limit=1, filters={"is_encrypted": True})}, extensions=asks()
    )
    assert await told(encrypted) == ({}, None)


async def test_who_joins_a_room_is_told_of_what_was_sticky_before(world: SlidingWorld) -> None:
    state = [{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]
    room_id, known = await world.public_room(initial_state=state), await world.public_room(BOB)
    for text in "abc":
        await stick(world, ALICE, room_id, text)
    await stick(world, ALICE, known, "k")
    await world.say(ALICE, known)
    asked = client(world)
    first, token = await told(asked)
    assert first == {known: ["k"]}
    await world.join(BOB, room_id)
    # Together, whatever the limit.
    joined, token = await told(asked, token, limit=1)
    assert joined == {room_id: ["a", "b", "c"]}
    assert await told(asked, token) == ({}, None)


async def test_sticky_events_of_ignored_users_are_passed_over(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB)
    await stick(world, ALICE, room_id, "a")
    await world.say(ALICE, room_id)
    await world.ask(BOB, "PUT", f"user/{BOB}/account_data/m.ignored_user_list", {"ignored_users": {ALICE: {}}})
    assert (await told(client(world)))[0] == {}


async def test_a_position_from_another_time_hides_nothing(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB)
    await stick(world, ALICE, room_id, "a")
    await world.say(ALICE, room_id)
    assert (await told(client(world), "999999"))[0] == {room_id: ["a"]}


@pytest.mark.parametrize("form", [IN_USE, ACCEPTED])
@pytest.mark.parametrize("name", [NAME, "sticky_events"])
async def test_the_extension_has_two_names(world: SlidingWorld, form: str, name: str) -> None:
    room_id = await world.public_room(BOB)
    await stick(world, ALICE, room_id, "a")
    await world.say(ALICE, room_id)
    lists = {"all": window(limit=1) if form == IN_USE else accepted_window(limit=1)}
    asked = Client(world, BOB, form=form, lists=lists, extensions={name: {"enabled": True}})
    assert room_id in (await asked.ask())["extensions"][name]["rooms"]
