import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.world import ALICE, BOB, World, bodies, open_world, types
from watchword.base import limits
from watchword.protocol.ids import EventId, RoomId
from watchword.server.changes import EventsExpired
from watchword.server.rooms import catalogue_tables
from watchword.server.rooms.commands import SendEvent
from watchword.server.rooms.retention import Horizon, Retention, is_expired
from watchword.server.rooms.retention_policy import RetentionSettings

DAY = 86_400_000


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        await world.users(ALICE, BOB)
        yield world


def keeping(world: Any, **settings: Any) -> Retention:
    """Retention as the operator switches it on; world: a World or the rooms of a Stack."""
    chosen = RetentionSettings(True, **settings)
    object.__setattr__(world.reader.sights, "horizon", Horizon(chosen, world.clock))
    return Retention(world.writer, world.writer.appender._log, world.clock, chosen)


async def swept(world: Any, retention: Retention) -> int:
    """A round, once the times of events are known."""
    database = world.writer.database
    async with database.read() as view:
        newest = await catalogue_tables.last_event_nid(view)
    async with database.write() as tx:
        await catalogue_tables.insert_times(tx, 0, newest)
    return await retention.sweep()


async def on_disk(world: Any, text: str) -> bool:
    async with world.writer.database.read() as tx:
        row = await tx.fetch_one("SELECT COUNT(*) FROM events WHERE instr(CAST(json AS TEXT), ?) > 0", text)
    return bool(row is not None and row[0])


async def wishing(world: World, lifetime: int = DAY) -> RoomId:
    state = {"type": "m.room.retention", "content": {"max_lifetime": lifetime}}
    return await world.room(ALICE, preset="public_chat", initial_state=[state])


async def test_what_is_too_old_goes_from_the_disk_and_the_rest_stays(world: World) -> None:
    retention = keeping(world)
    room_id = await wishing(world)
    await world.send(ALICE, room_id, "old words")
    world.clock.advance(DAY)
    await world.send(ALICE, room_id, "young words")
    assert await swept(world, retention) == 0
    world.clock.advance(1)
    assert await swept(world, retention) == 1
    assert not await on_disk(world, "old words")
    assert bodies((await world.messages(ALICE, room_id))["chunk"]) == ["young words"]
    assert await swept(world, retention) == 0


async def test_state_stays_however_old(world: World) -> None:
    retention = keeping(world)
    room_id = await wishing(world)
    await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "Old things"})
    await world.send(ALICE, room_id, "old words")
    world.clock.advance(9 * DAY)
    await world.send(ALICE, room_id, "young words")
    await swept(world, retention)
    assert "m.room.topic" in types((await world.messages(ALICE, room_id))["chunk"])
    assert await world.ask(ALICE, "GET", f"rooms/{room_id}/state/m.room.topic") == {"topic": "Old things"}


async def test_the_newest_event_keeps_its_place_and_not_its_content(world: World) -> None:
    retention = keeping(world)
    room_id = await wishing(world)
    event_id = await world.send(ALICE, room_id, "last words")
    world.clock.advance(2 * DAY)
    assert await swept(world, retention) == 1
    assert not await on_disk(world, "last words")
    assert bodies((await world.messages(ALICE, room_id))["chunk"]) == []
    room = await world.registry.find(room_id)
    assert room is not None
    assert list(room.extremities) == [event_id]
    world.registry.evict(room)
    await world.send(ALICE, room_id, "next")
    assert bodies((await world.sync(ALICE))["rooms"]["join"][room_id]["timeline"]["events"]) == ["next"]
    found = (await world.reader.found((event_id,)))[event_id]
    assert is_expired(found)


async def test_a_view_hides_what_the_next_round_will_take(world: World) -> None:
    keeping(world)
    room_id = await wishing(world)
    event_id = await world.send(ALICE, room_id, "old words")
    await world.send(ALICE, room_id, "more")
    world.clock.advance(2 * DAY)
    assert bodies((await world.messages(ALICE, room_id))["chunk"]) == []
    assert await world.refused(ALICE, "GET", f"rooms/{room_id}/event/{event_id}") == (404, "M_NOT_FOUND")


async def test_rooms_that_wish_nothing_follow_the_operator(world: World) -> None:
    room_id = await world.room(ALICE)
    await world.send(ALICE, room_id, "old words")
    await world.send(ALICE, room_id, "more")
    world.clock.advance(9 * DAY)
    assert await swept(world, keeping(world)) == 0
    assert await swept(world, keeping(world, default_ms=DAY)) == 2


async def test_a_relation_goes_with_the_event_that_states_it(world: World) -> None:
    retention = keeping(world)
    room_id = await wishing(world)
    root = await world.send(ALICE, room_id, "root")
    relation = {"m.relates_to": {"rel_type": "m.reference", "event_id": root}}
    await world.send(ALICE, room_id, "old child", **relation)
    world.clock.advance(2 * DAY)
    await world.send(ALICE, room_id, "young child", **relation)
    await swept(world, retention)
    async with world.database.read() as tx:
        rows = await tx.fetch_all("SELECT parent_id FROM event_relations")
    assert len(rows) == 1


async def test_followers_hear_of_what_went(world: World) -> None:
    retention = keeping(world)
    room_id = await wishing(world)
    event_id = await world.send(ALICE, room_id)
    await world.send(ALICE, room_id)
    heard: list[Any] = []
    world.log.listen(lambda logged: heard.append(logged.change))
    world.clock.advance(2 * DAY)
    await swept(world, retention)
    (change,) = [change for change in heard if isinstance(change, EventsExpired)]
    assert change.room_id == room_id
    assert event_id in change.event_ids


async def test_much_goes_in_small_steps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "retention_events_at_once", 3)
    monkeypatch.setattr(limits, "retention_rooms_page", 1)
    retention = keeping(world)
    rooms = [await wishing(world) for _ in range(3)]
    for room_id in rooms:
        for number in range(7):
            await world.send(ALICE, room_id, f"{number}")
    world.clock.advance(2 * DAY)
    assert await swept(world, retention) == 21


async def test_what_comes_late_from_the_past_goes_with_the_next_full_round(world: World) -> None:
    retention = keeping(world)
    room_id = await wishing(world)
    await world.send(ALICE, room_id, "first")
    world.clock.advance(3 * DAY)
    await swept(world, retention)
    late = SendEvent(room_id, ALICE, "m.room.message", {"body": "late"}, ts=world.clock.now_ms() - 4 * DAY)
    await world.writer.send(late)
    await world.send(ALICE, room_id, "young")
    assert await swept(world, retention) == 0
    for _ in range(23):
        await retention.sweep()
    assert not await on_disk(world, "late")


async def test_a_round_comes_every_hour(world: World) -> None:
    retention = keeping(world)
    room_id = await wishing(world)
    await world.send(ALICE, room_id, "old words")
    await swept(world, retention)
    running = asyncio.ensure_future(retention.run())
    await asyncio.sleep(0.05)
    world.clock.advance(2 * DAY)
    for _ in range(200):
        await asyncio.sleep(0.005)
        if not await on_disk(world, "old words"):
            break
    running.cancel()
    assert not await on_disk(world, "old words")


async def test_nothing_runs_where_it_is_switched_off(world: World) -> None:
    await Retention(world.writer, world.log, world.clock, RetentionSettings()).run()


async def test_a_server_that_joins_later_finds_a_whole_graph(network: Network, a: Stack, b: Stack) -> None:
    retention = keeping(a.rooms)
    room_id = await a.create()
    await a.send(room_id, "m.room.retention", {"max_lifetime": DAY}, "")
    for number in range(5):
        await a.say(room_id, f"old {number}")
    a.clock.advance(2 * DAY)
    b.clock.advance(2 * DAY)
    await a.say(room_id, "young")
    assert await swept(a.rooms, retention) == 5
    await a.restarted()
    await b.join(room_id, "bob", a)
    await network.settle()
    await b.say(room_id, "hello", "bob")
    await network.settle()
    assert await a.bodies(room_id, "alice") == ["young", "hello"]
    # Of what went, the newcomer gets what the graph needs.
    assert bodies(await b.read(room_id, "bob")) == ["young", "hello"]


async def test_what_went_is_not_fetched_again(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    await a.send(room_id, "m.room.retention", {"max_lifetime": DAY}, "")
    for number in range(5):
        await a.say(room_id, f"old {number}")
    await b.join(room_id, "bob", a)
    assert len(await b.bodies(room_id, "bob")) == 5
    retention = keeping(b.rooms)
    a.clock.advance(2 * DAY)
    b.clock.advance(2 * DAY)
    await b.say(room_id, "young", "bob")
    assert await swept(b.rooms, retention) == 5
    asked = network.times("backfill")
    assert await b.bodies(room_id, "bob") == ["young"]
    assert not await on_disk(b.rooms, "old 1")
    assert network.times("backfill") == asked
    await network.settle()
    assert "young" in await a.bodies(room_id, "alice")


async def test_an_event_that_cites_what_went_is_taken(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    await a.send(room_id, "m.room.retention", {"max_lifetime": DAY}, "")
    await b.join(room_id, "bob", a)
    old = await a.say(room_id, "old")
    await a.say(room_id, "old too")
    await network.settle()
    retention = keeping(a.rooms)
    a.clock.advance(2 * DAY)
    b.clock.advance(2 * DAY)
    await a.say(room_id, "young")
    await swept(a.rooms, retention)
    raw = await b.crafted(room_id, b.user("bob"), {"msgtype": "m.text", "body": "late"}, prev_events=[EventId(old)])
    assert list((await a.receive(b, [raw])).values()) == [None]
    assert sorted(await a.bodies(room_id, "alice")) == ["late", "young"]
