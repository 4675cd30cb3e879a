import pytest

from tests.unit.server.rooms.world import ALICE, World
from watchword.server.rooms import catalogue_tables, retention_tables
from watchword.server.rooms.retention_policy import RETENTION


@pytest.fixture
def wish() -> dict[str, object]:
    return {"type": RETENTION, "content": {"max_lifetime": 5}}


async def test_rooms_come_by_number_with_what_they_wish_now(world: World, wish: dict[str, object]) -> None:
    silent, wishing = await world.room(ALICE), await world.room(ALICE, initial_state=[wish])
    await world.set_state(ALICE, wishing, RETENTION, {"max_lifetime": 9})
    async with world.database.read() as tx:
        type_nid, key_nid = await world.names.find(tx, RETENTION) or 0, await world.names.find(tx, "") or 0
        first = await retention_tables.wishes(tx, type_nid, key_nid, 0, 1)
        others = await retention_tables.wishes(tx, type_nid, key_nid, first[0].room_nid, 5)
    found = {row.room_id: row.event for row in (*first, *others)}
    assert found.keys() == {silent, wishing}
    assert found[silent] is None
    assert b'"max_lifetime":9' in (found[wishing] or b"")


async def test_old_events_come_once_in_the_order_of_time(world: World) -> None:
    room_id = await world.room(ALICE)
    for _ in range(3):
        world.clock.advance(10)
        await world.send(ALICE, room_id)
    room = await world.registry.find(room_id)
    assert room is not None
    async with world.database.write() as tx:
        await catalogue_tables.insert_times(tx, 0, 1_000)
        before_ts = world.clock.now_ms()
        found = await retention_tables.old_events(tx, room.room_nid, (-1, -1), before_ts, 100)
        assert found == sorted(found)
        assert all(ts < before_ts for ts, _ in found)
        await retention_tables.expire_event(tx, found[-1][1], b"{}", None)
        await retention_tables.forget_time(tx, room.room_nid, *found[-2])
        assert await retention_tables.old_events(tx, room.room_nid, (-1, -1), before_ts, 100) == found[:-2]
        assert await retention_tables.old_events(tx, room.room_nid, found[0], before_ts, 1) == [found[1]]


async def test_gaps_up_to_a_place_are_dropped(world: World) -> None:
    room_id = await world.room(ALICE)
    room = await world.registry.find(room_id)
    assert room is not None
    async with world.database.write() as tx:
        await tx.execute_many(
            "INSERT INTO missing_events (room_nid, event_id, before_ordering) VALUES (?, ?, ?)",
            [(room.room_nid, f"${place}", place) for place in (1, 2, 3)],
        )
        await retention_tables.forget_gaps(tx, room.room_nid, 2)
        rows = await tx.fetch_all("SELECT before_ordering FROM missing_events")
    assert [row[0] for row in rows] == [3]
