"""Bump stamps are found once and then kept by the log."""

from tests.unit.server.rooms.world import ALICE
from tests.unit.server.sync.sliding.windows import SlidingWorld
from watchword.protocol.ids import RoomId
from watchword.server.rooms.facts import FactsReader
from watchword.server.sync.sliding.bump_stamps import BumpStamps


async def stamp(world: SlidingWorld, room_id: RoomId, stamps: BumpStamps) -> int:
    room = await world.reader.room(room_id)
    assert room is not None
    async with world.database.read() as tx:
        return await stamps.of(tx, room)


async def test_a_stamp_is_the_place_of_the_newest_event_that_counts(world: SlidingWorld) -> None:
    room_id = await world.room()
    stamps = BumpStamps(world.log, FactsReader(world.reader))
    await world.send(ALICE, room_id)
    said = world.log.position
    await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "t"})
    assert await stamp(world, room_id, stamps) == said
    await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "u"})
    assert await stamp(world, room_id, stamps) == said
    await world.send(ALICE, room_id)
    assert await stamp(world, room_id, stamps) == world.log.position


async def test_a_room_that_is_not_in_memory_is_looked_up(world: SlidingWorld) -> None:
    room_id = await world.room()
    await world.send(ALICE, room_id)
    said = world.log.position
    for number in range(120):
        await world.set_state(ALICE, room_id, "m.room.topic", {"topic": str(number)})
    room = await world.reader.room(room_id)
    assert room is not None
    room.forget_recent()
    assert await stamp(world, room_id, BumpStamps(world.log, FactsReader(world.reader))) == said
