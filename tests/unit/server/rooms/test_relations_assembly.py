"""What is about relations, put together."""

from tests.unit.server.rooms.relating import react, redact
from tests.unit.server.rooms.world import ALICE, World
from watchword.server.rooms.relations_assembly import Relations


async def test_what_the_index_finds_due_wakes_who_carries_it_out(world: World) -> None:
    relations = Relations.build(world.writer, world.reader, world.log)
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    await redact(world, ALICE, room_id, said, with_rel_types=["m.annotation"])
    late = await react(world, ALICE, room_id, said)
    assert await relations.mass_redactions.step()
    async with world.database.read() as tx:
        event = await world.events.one(tx, late)
    assert event is not None
    assert event.redacted_by_nid is not None
