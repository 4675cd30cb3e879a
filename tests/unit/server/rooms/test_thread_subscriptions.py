"""Which threads a user wants to hear of."""

from typing import Any

import pytest

from tests.unit.server.rooms.relating import reply
from tests.unit.server.rooms.world import ALICE, BOB, DAVE, World
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.changes import ThreadSubscriptionChanged
from watchword.storage import Position

U = "/_matrix/client/unstable"
CONFLICT = (409, "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION")
NOT_IN_THREAD = (400, "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD")
NOT_FOUND = (404, "M_NOT_FOUND")


def place(room_id: RoomId, root: str) -> str:
    return f"{U}/io.element.msc4306/rooms/{room_id}/thread/{root}/subscription"


async def subscribe(world: World, room_id: RoomId, root: str, cause: str | None = None, user_id: UserId = ALICE) -> None:
    body = {} if cause is None else {"automatic": cause}
    assert await world.ask(user_id, "PUT", place(room_id, root), body) == {}


async def unsubscribe(world: World, room_id: RoomId, root: str) -> None:
    assert await world.ask(ALICE, "DELETE", place(room_id, root)) == {}


async def listed(world: World, **query: Any) -> Any:
    return await world.ask(ALICE, "GET", f"{U}/io.element.msc4308/thread_subscriptions", **{"dir": "b", **query})


@pytest.fixture
async def thread(world: World) -> tuple[RoomId, EventId]:
    room_id = await world.public_room(BOB)
    return room_id, await world.send(ALICE, room_id, "root")


async def test_a_user_subscribes_and_ends_it(world: World, thread: tuple[RoomId, EventId]) -> None:
    assert await world.refused(ALICE, "GET", place(*thread)) == NOT_FOUND
    await subscribe(world, *thread)
    assert await world.ask(ALICE, "GET", place(*thread)) == {"automatic": False}
    assert await world.refused(BOB, "GET", place(*thread)) == NOT_FOUND
    await unsubscribe(world, *thread)
    assert await world.refused(ALICE, "GET", place(*thread)) == NOT_FOUND
    await unsubscribe(world, *thread)


async def test_a_client_subscribes_because_of_an_event_of_the_thread(world: World, thread: tuple[RoomId, EventId]) -> None:
    cause = await reply(world, BOB, *thread)
    await subscribe(world, *thread, cause)
    assert await world.ask(ALICE, "GET", place(*thread)) == {"automatic": True}
    await subscribe(world, *thread)
    assert await world.ask(ALICE, "GET", place(*thread)) == {"automatic": False}
    # What a user did himself is not undone by a client.
    await subscribe(world, *thread, cause)
    assert await world.ask(ALICE, "GET", place(*thread)) == {"automatic": False}


async def test_the_cause_must_be_in_the_thread(world: World, thread: tuple[RoomId, EventId]) -> None:
    room_id, root = thread
    other = await world.send(ALICE, room_id, "other root")
    elsewhere = await reply(world, BOB, room_id, other)
    for cause in (root, elsewhere, "$absent"):
        assert await world.refused(ALICE, "PUT", place(*thread), {"automatic": cause}) == NOT_IN_THREAD
    assert (await world.refused(ALICE, "PUT", place(*thread), {"automatic": 1}))[0] == 400
    assert (await world.refused(ALICE, "PUT", place(*thread), {"automatic": "x"}))[0] == 400


async def test_a_thread_that_is_not_seen_cannot_be_subscribed_to(world: World, thread: tuple[RoomId, EventId]) -> None:
    await world.users(DAVE)
    room_id, _ = thread
    for method, body in (("PUT", {}), ("GET", None), ("DELETE", None)):
        assert await world.refused(ALICE, method, place(room_id, "$absent"), body) == NOT_FOUND
        assert await world.refused(DAVE, method, place(*thread), body) == NOT_FOUND


async def test_a_late_device_does_not_undo_an_end(world: World, thread: tuple[RoomId, EventId]) -> None:
    first = await reply(world, BOB, *thread)
    await subscribe(world, *thread, first)
    second = await reply(world, BOB, *thread)
    await unsubscribe(world, *thread)
    third = await reply(world, BOB, *thread)
    for cause in (first, second):
        assert await world.refused(ALICE, "PUT", place(*thread), {"automatic": cause}) == CONFLICT
        assert await world.refused(ALICE, "GET", place(*thread)) == NOT_FOUND
    await subscribe(world, *thread, third)
    assert await world.ask(ALICE, "GET", place(*thread)) == {"automatic": True}


async def test_changes_are_listed_from_the_end(world: World) -> None:
    room_id = await world.public_room(BOB)
    roots = [await world.send(ALICE, room_id, str(number)) for number in range(3)]
    assert await listed(world) == {}
    for root in roots:
        await subscribe(world, room_id, root)
    since = (await world.sync(ALICE))["next_batch"]
    await unsubscribe(world, room_id, roots[0])
    body = await listed(world, limit=2)
    assert body["unsubscribed"][room_id].keys() == {roots[0]}
    assert body["subscribed"][room_id].keys() == {roots[2]}
    stamp = body["unsubscribed"][room_id][roots[0]]["bump_stamp"]
    assert stamp > body["subscribed"][room_id][roots[2]]["bump_stamp"]
    rest = await listed(world, limit=2, **{"from": body["end"]})
    assert rest.keys() == {"subscribed"}
    assert rest["subscribed"][room_id].keys() == {roots[1]}
    assert rest["subscribed"][room_id][roots[1]]["automatic"] is False
    assert (await listed(world, to=since)).keys() == {"unsubscribed"}


@pytest.mark.parametrize("query", [{"dir": "f"}, {"limit": "0"}, {"from": "x"}, {"to": "x"}])
async def test_lists_are_asked_for_rightly(world: World, query: dict[str, str]) -> None:
    path = f"{U}/io.element.msc4308/thread_subscriptions"
    assert await world.refused(ALICE, "GET", path, **{"dir": "b", **query}) == (400, "M_INVALID_PARAM")
    assert await world.refused(ALICE, "GET", path) == (400, "M_MISSING_PARAM")


async def test_a_change_is_logged_and_can_be_read_by_position(world: World, thread: tuple[RoomId, EventId]) -> None:
    subscriptions = world.relations.subscriptions
    before = world.log.position
    assert await subscriptions.changes(ALICE, Position(0), before, 10) == []
    await subscribe(world, *thread)
    after = world.log.position
    changes = [logged.change for logged in world.log.recent(before, after)]
    assert changes == [ThreadSubscriptionChanged(ALICE, *thread)]
    rows = await subscriptions.changes(ALICE, before, after, 10)
    assert [(row.root_id, row.is_subscribed, row.position) for row in rows] == [(thread[1], True, after)]
    # Again changes nothing.
    await subscribe(world, *thread)
    assert world.log.position == after
