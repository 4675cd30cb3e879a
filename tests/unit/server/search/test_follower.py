"""Following the log: what is said is found, after restarts too."""

import asyncio
from contextlib import suppress

import pytest

from tests.unit.server.rooms.world import ALICE, BOB
from tests.unit.server.search.world import SearchWorld
from watchword.protocol import canonical_json
from watchword.server.rooms import catalogue_tables
from watchword.server.rooms.retention import Retention
from watchword.server.rooms.retention_policy import RetentionSettings
from watchword.server.search import tables
from watchword.server.search.commands import FOREVER
from watchword.server.search.follower import HISTORY, NAME


async def cursor(world: SearchWorld) -> int:
    async with world.database.read() as tx:
        return await world.log.cursor(tx, NAME)


async def test_whoever_asks_finds_what_was_said_just_before(world: SearchWorld) -> None:
    room_id = await world.public_room()
    await world.send(ALICE, room_id, "tea")
    assert await world.texts(ALICE, "tea") == ["tea"]
    assert world.search.follower.followed == world.log.position


async def test_the_cursor_moves_with_its_effect(world: SearchWorld) -> None:
    room_id = await world.public_room()
    await world.send(ALICE, room_id, "tea")
    await world.search.follower.catch_up()
    assert await cursor(world) == world.log.position


async def test_a_batch_that_is_done_twice_is_found_once(world: SearchWorld) -> None:
    room_id = await world.public_room()
    before = world.log.position
    original = await world.send(ALICE, room_id, "tea")
    await world.edit(ALICE, room_id, original, "tea with milk")
    await world.search.follower.catch_up()
    async with world.database.write() as tx:
        await world.log.move_cursor(tx, NAME, before)
    world.rebuild_search()
    await world.search.start()
    await world.search.follower.catch_up()
    async with world.database.read() as tx:
        assert len(await tables.hits(tx, '"tea"', FOREVER, 9)) == 1


async def test_what_happened_while_nobody_followed_is_taken_in_after_a_restart(world: SearchWorld) -> None:
    room_id = await world.public_room()
    await world.search.follower.catch_up()
    await world.send(ALICE, room_id, "tea")
    world.rebuild_search()
    await world.search.start()
    await world.search.follower.catch_up()
    async with world.database.read() as tx:
        assert len(await tables.hits(tx, '"tea"', FOREVER, 9)) == 1


async def test_news_that_concerns_nobody_writes_nothing(world: SearchWorld) -> None:
    room_id = await world.public_room()
    await world.search.follower.catch_up()
    before = await cursor(world)
    await world.ask(ALICE, "PUT", f"rooms/{room_id}/typing/{ALICE}", {"typing": True, "timeout": 1_000})
    await world.search.follower.catch_up()
    assert world.search.follower.followed == world.log.position > before
    assert await cursor(world) == before


async def test_a_room_that_becomes_encrypted_is_cleared_in_parts(world: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchword.base.limits.search_cleared_at_once", 2)
    room_id = await world.public_room()
    for _ in range(5):
        await world.send(ALICE, room_id, "tea")
    await world.search.follower.catch_up()
    await world.set_state(ALICE, room_id, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    await world.search.follower.catch_up()
    async with world.database.read() as tx:
        assert len(await tables.hits(tx, '"tea"', FOREVER, 9)) == 0


async def test_history_that_was_fetched_later_is_found(world: SearchWorld) -> None:
    room_id = await world.public_room(BOB)
    event_id = await world.send(ALICE, room_id, "tea")
    pdus = await world.timeline(room_id)
    await world.search.follower.catch_up()
    old = {**next(pdu for pdu in pdus if pdu["type"] == "m.room.message"), "content": {"body": "oolong"}}
    async with world.database.write() as tx:
        row = await tx.fetch_one("SELECT room_nid, ordering, depth FROM events WHERE event_id = ?", event_id)
        assert row is not None
        # As backfill writes it: a place just before another event, and no word in the log.
        await tx.execute(
            "INSERT INTO events (event_id, room_nid, ordering, depth, json) VALUES (?, ?, ?, ?, ?)",
            "$old",
            row[0],
            row[1] - 1,
            row[2],
            canonical_json.encode(old),
        )
    assert await world.texts(ALICE, "oolong") == ["oolong"]
    await world.search.follower.catch_up()


async def test_the_place_in_history_is_kept(world: SearchWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchword.server.search.follower._HISTORY_SPAN", 2)
    await world.public_room()
    await world.search.follower.catch_up()
    async with world.database.read() as tx:
        place, newest = await tables.progress(tx, HISTORY), await world.catalogue.last_event_nid(tx)
    assert place is not None
    assert newest - 2 <= place <= newest


async def test_it_follows_by_itself_in_batches(world: SearchWorld) -> None:
    room_id = await world.public_room()
    task = asyncio.get_running_loop().create_task(world.search.run())
    try:
        await world.send(ALICE, room_id, "tea")
        async with asyncio.timeout(5):
            while world.search.follower.followed < world.log.position:
                await asyncio.sleep(0.001)
                world.clock.advance(100)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    async with world.database.read() as tx:
        assert len(await tables.hits(tx, '"tea"', FOREVER, 9)) == 1


async def test_a_change_that_cannot_be_understood_does_not_stop_the_others(
    world: SearchWorld, caplog: pytest.LogCaptureFixture
) -> None:
    room_id = await world.public_room()
    broken = await world.send(ALICE, room_id, "coffee")
    async with world.database.write() as tx:
        await tx.execute("UPDATE events SET json = ? WHERE event_id = ?", b"{", broken)
    world.events._cache.clear()
    await world.send(ALICE, room_id, "tea")
    await world.search.follower.catch_up()
    assert "A change was not indexed." in caplog.text
    async with world.database.read() as tx:
        assert len(await tables.hits(tx, '"tea"', FOREVER, 9)) == 1


async def test_what_was_too_old_is_found_no_more(world: SearchWorld) -> None:
    room_id = await world.public_room()
    await world.send(ALICE, room_id, "tea")
    await world.search.follower.catch_up()
    async with world.database.write() as tx:
        await catalogue_tables.insert_times(tx, 0, 1_000)
    world.clock.advance(2_000_000)
    await world.send(ALICE, room_id, "coffee")
    retention = Retention(world.writer, world.log, world.clock, RetentionSettings(True, default_ms=1_000_000))
    assert await retention.sweep() == 1
    await world.search.follower.catch_up()
    async with world.database.read() as tx:
        assert len(await tables.hits(tx, '"tea"', FOREVER, 9)) == 0
        assert len(await tables.hits(tx, '"coffee"', FOREVER, 9)) == 1
