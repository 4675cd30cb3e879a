"""A little of many rooms, without loading them."""

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World
from watchword.server.rooms.facts import FactsReader


async def test_the_rooms_of_a_user_have_their_newest_event(world: World) -> None:
    facts = FactsReader(world.reader)
    assert await facts.recency(CAROL) == {}
    one, two = await world.public_room(BOB), await world.room()
    await world.send(BOB, one)
    positions = await facts.recency(ALICE)
    assert positions == {one: world.log.position, two: positions[two]}
    assert positions[two] < positions[one]
    assert (await facts.recency(BOB)).keys() == {one}


async def test_contents_of_one_type_are_read_together(world: World) -> None:
    facts = FactsReader(world.reader)
    named, _ = await world.room(name="One"), await world.room()
    await world.set_state(ALICE, named, "m.room.name", {"name": "Two"})
    assert await facts.contents(ALICE, "m.room.name") == {named: {"name": "Two"}}
    assert await facts.contents(ALICE, "none") == {}
    assert len(await facts.contents(ALICE, "m.room.create")) == 2


async def test_the_newest_event_of_some_types_is_found_far_back(world: World) -> None:
    facts, room_id = FactsReader(world.reader), await world.room()
    await world.send(ALICE, room_id)
    said = world.log.position
    for number in range(60):
        await world.set_state(ALICE, room_id, "m.room.topic", {"topic": str(number)})
    room = await world.reader.room(room_id)
    assert room is not None
    async with world.database.read() as tx:
        assert await facts.newest_of(tx, room, {"m.room.message"}) == said
        assert await facts.newest_of(tx, room, {"m.room.create"}) < said
        assert await facts.newest_of(tx, room, {"none"}) == await facts.newest_of(tx, room, {"m.room.create"})
