import pytest

from tests.unit.server.rooms.stacks import Network, Stack, same_state
from watchword.server.rooms import history


@pytest.mark.parametrize("version", ["1", "3", "12"])
async def test_history_before_the_join_is_fetched_page_by_page(version: str, network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create(version=version)
    for number in range(130):
        await a.say(room_id, str(number))
        if number == 40:
            await a.send(room_id, "m.room.topic", {"topic": "changed"}, "")
    await b.join(room_id, "bob", a)
    await network.settle()
    assert await b.bodies(room_id, "bob") == [str(number) for number in range(130)]
    assert network.times("backfill") <= 3
    ours, theirs = await a.read(room_id, "alice"), await b.read(room_id, "bob")
    assert [event["event_id"] for event in ours] == [event["event_id"] for event in theirs]
    assert theirs[0]["type"] == "m.room.create"
    assert await same_state(room_id, a, b)
    asked = network.times("backfill")
    await b.read(room_id, "bob")
    assert network.times("backfill") == asked


async def test_the_state_before_fetched_events_is_as_it_was(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    events = []
    for number in range(30):
        kind = "m.room.topic" if number % 3 == 0 else "m.room.message"
        events.append(await a.send(room_id, kind, {"topic": f"{number}", "body": "x"}, "" if number % 3 == 0 else None))
    await b.join(room_id, "bob", a)
    await b.read(room_id, "bob")
    for event_id in events:
        states = []
        for stack in (a, b):
            stored = await stack.stored(event_id)
            assert stored is not None
            room = await stack.room(room_id)
            async with stack.database.read() as tx:
                states.append(dict(await history.state_before(tx, room.room_nid, stored)))
        assert states[0] == states[1]


async def test_fetched_history_is_shown_by_the_visibility_of_its_time(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    await a.say(room_id, "open")
    await a.send(room_id, "m.room.history_visibility", {"history_visibility": "joined"}, "")
    await a.say(room_id, "closed")
    await a.send(room_id, "m.room.history_visibility", {"history_visibility": "shared"}, "")
    await a.say(room_id, "open again")
    await b.join(room_id, "bob", a)
    assert await b.bodies(room_id, "bob") == ["open", "open again"]


async def test_a_server_that_invents_history_is_not_believed(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    await a.say(room_id, "true")
    await b.join(room_id, "bob", a)
    invented = [await a.crafted(room_id, a.user("alice"), {"body": "invented"}) for _ in range(3)]
    network.lies[a.name, "backfill"] = lambda _: [*invented, {"type": "x"}, {}]
    assert await b.bodies(room_id, "bob") == []
    asked = network.times("backfill")
    await b.bodies(room_id, "bob")
    # Nobody could help: the room is left alone for a while.
    assert network.times("backfill") == asked
    network.lies.clear()
    b.clock.advance(60_000)
    assert await b.bodies(room_id, "bob") == ["true"]


async def test_history_is_fetched_once_for_many_readers(network: Network, a: Stack, b: Stack) -> None:
    import asyncio

    room_id = await a.create()
    for number in range(20):
        await a.say(room_id, str(number))
    await b.join(room_id, "bob", a)
    pages = await asyncio.gather(*(b.bodies(room_id, "bob") for _ in range(5)))
    assert all(page == [str(number) for number in range(20)] for page in pages)
    assert network.times("backfill") == 1


async def test_fetching_history_changes_neither_state_nor_log(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    for number in range(10):
        await a.send(room_id, "m.room.topic", {"topic": str(number)}, "")
    await b.join(room_id, "bob", a)
    state, position = await b.state(room_id), b.log.position
    await b.read(room_id, "bob")
    assert await b.state(room_id) == state
    assert b.log.position == position
    await b.restarted()
    assert await b.state(room_id) == state
    await b.say(room_id, "after", "bob")
    await network.settle()
    assert await same_state(room_id, a, b)


async def test_redactions_in_fetched_history_take_effect(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    said = await a.say(room_id, "regretted")
    await a.send(room_id, "m.room.redaction", {"redacts": said})
    await b.join(room_id, "bob", a)
    assert all(event["content"] == {} for event in await b.read(room_id, "bob") if event["type"] == "m.room.message")
