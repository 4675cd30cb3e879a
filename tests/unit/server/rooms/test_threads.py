"""The threads of a room."""

import pytest

from tests.unit.server.rooms.relating import V1, edit, ids, ignore, redact, reply, threads
from tests.unit.server.rooms.world import ALICE, BOB, CAROL, DAVE, World
from watchword.protocol.ids import EventId, RoomId


async def two_threads(world: World, room_id: RoomId) -> tuple[EventId, EventId]:
    """Two roots of ALICE's; BOB has spoken in the first."""
    first, second = await world.send(ALICE, room_id, "first"), await world.send(ALICE, room_id, "second")
    await reply(world, BOB, room_id, first)
    await reply(world, ALICE, room_id, second)
    return first, second


async def test_the_thread_with_the_newest_event_comes_first(world: World) -> None:
    room_id = await world.public_room(BOB)
    first, second = await two_threads(world, room_id)
    assert ids(await threads(world, BOB, room_id)) == [second, first]
    latest = await reply(world, BOB, room_id, first)
    body = await threads(world, BOB, room_id)
    assert ids(body) == [first, second]
    thread = body["chunk"][0]["unsigned"]["m.relations"]["m.thread"]
    assert (thread["count"], thread["latest_event"]["event_id"]) == (2, latest)
    assert body["chunk"][0]["room_id"] == room_id


async def test_only_ones_own_are_listed_if_asked_for(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    first, second = await two_threads(world, room_id)
    assert ids(await threads(world, ALICE, room_id, include="participated")) == [second, first]
    assert ids(await threads(world, BOB, room_id, include="participated")) == [first]
    assert ids(await threads(world, CAROL, room_id, include="participated")) == []
    assert ids(await threads(world, CAROL, room_id, include="all")) == [second, first]


async def test_pages_follow_each_other(world: World) -> None:
    room_id = await world.public_room(BOB)
    roots = []
    for number in range(5):
        roots.append(await world.send(ALICE, room_id, str(number)))
        await reply(world, BOB, room_id, roots[-1])
    found: list[str] = []
    token = None
    for _ in range(3):
        body = await threads(world, BOB, room_id, limit=2, **{"from": token})
        found += ids(body)
        token = body.get("next_batch")
    assert (found, token) == (roots[::-1], None)


async def test_a_root_of_an_ignored_user_is_shown_redacted(world: World) -> None:
    room_id = await world.public_room(BOB)
    root = await world.send(BOB, room_id, "root")
    await edit(world, BOB, room_id, root)
    mine = await reply(world, ALICE, room_id, root)
    await reply(world, BOB, room_id, root)
    await ignore(world, ALICE, BOB)
    body = await threads(world, ALICE, room_id)
    shown = body["chunk"][0]
    assert (shown["event_id"], shown["sender"], shown["content"]) == (root, BOB, {})
    assert shown["unsigned"]["m.relations"].keys() == {"m.thread"}
    assert shown["unsigned"]["m.relations"]["m.thread"]["latest_event"]["event_id"] == mine
    assert shown["unsigned"]["m.relations"]["m.thread"]["count"] == 1
    # Others see it as it is.
    assert (await threads(world, BOB, room_id))["chunk"][0]["content"]["body"] == "root"


async def test_events_of_ignored_users_put_no_thread_forward(world: World) -> None:
    room_id = await world.public_room(BOB)
    first, second = await two_threads(world, room_id)
    third = await world.send(ALICE, room_id, "third")
    await reply(world, ALICE, room_id, third)
    await reply(world, BOB, room_id, second)
    assert ids(await threads(world, ALICE, room_id)) == [second, third, first]
    await ignore(world, ALICE, BOB)
    # Of the first nothing is left.
    assert ids(await threads(world, ALICE, room_id)) == [third, second]


async def test_redactions_put_a_thread_back(world: World) -> None:
    room_id = await world.public_room(BOB)
    first, second = await two_threads(world, room_id)
    latest = await reply(world, BOB, room_id, first)
    await redact(world, BOB, room_id, latest)
    assert ids(await threads(world, ALICE, room_id)) == [second, first]


async def test_a_redacted_root_is_still_listed(world: World) -> None:
    room_id = await world.public_room(BOB)
    first, second = await two_threads(world, room_id)
    await redact(world, ALICE, room_id, second)
    assert ids(await threads(world, BOB, room_id)) == [second, first]


async def test_who_left_sees_the_threads_of_his_time(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    first, second = await two_threads(world, room_id)
    await world.leave(CAROL, room_id)
    await reply(world, BOB, room_id, first)
    later = await world.send(ALICE, room_id, "later")
    await reply(world, BOB, room_id, later)
    body = await threads(world, CAROL, room_id)
    assert ids(body) == [second, first]
    assert body["chunk"][1]["unsigned"]["m.relations"]["m.thread"]["count"] == 1


async def test_a_root_that_is_not_here_is_passed_by(world: World) -> None:
    room_id = await world.public_room()
    await reply(world, ALICE, room_id, "$elsewhere")
    assert await threads(world, ALICE, room_id) == {"chunk": []}


async def test_strangers_are_refused(world: World) -> None:
    room_id = await world.room(ALICE)
    await world.users(DAVE)
    assert await world.refused(DAVE, "GET", f"{V1}/{room_id}/threads") == (403, "M_FORBIDDEN")


@pytest.mark.parametrize("query", [{"include": "some"}, {"limit": "0"}, {"from": "nonsense"}])
async def test_what_is_not_valid_is_refused(world: World, query: dict[str, str]) -> None:
    room_id = await world.public_room()
    assert await world.refused(ALICE, "GET", f"{V1}/{room_id}/threads", **query) == (400, "M_INVALID_PARAM")
