"""What was taken away of a room's state in a span."""

from tests.unit.server.rooms.world import ALICE, World
from watchword.server.rooms import facts_tables
from watchword.server.rooms.facts import FactsReader
from watchword.storage import Position


async def test_what_had_a_value_and_has_none_was_removed(world: World) -> None:
    room_id = await world.room(name="one")
    room = await world.reader.room(room_id)
    assert room is not None
    before, begin = dict(room.state), world.log.position
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "two"})
    await world.set_state(ALICE, room_id, "a.b", {}, "gone")
    middle = world.log.position
    async with world.registry.locked(room_id), world.writer.appending(room) as (tx, durable):
        await world.appender.adopt_state(tx, room, before, {})
    await durable()
    end = world.log.position
    async with world.database.read() as read:
        assert await facts_tables.removed(read, room.room_nid, middle, end) == [("a.b", "gone")]
        assert await facts_tables.removed(read, room.room_nid, begin, end) == []
        assert await facts_tables.removed(read, room.room_nid, begin, middle) == []
        facts = FactsReader(world.reader)
        assert await facts.removed(read, room, Position(end), Position(end)) == []
        assert await facts.removed(read, room, Position(middle), Position(end)) == [("a.b", "gone")]
