"""Redactions that are still to be carried out."""

from tests.unit.server.rooms.world import ALICE, BOB, World
from watchword.server.rooms import redaction_tables
from watchword.server.rooms.redaction_tables import DueRedaction


async def test_what_is_due_is_noted_once_and_given_in_order(world: World) -> None:
    room_id = await world.public_room()
    said = [await world.send(ALICE, room_id, str(number)) for number in range(3)]
    room = await world.registry.find(room_id)
    assert room is not None
    async with world.database.write() as tx:
        bob = await world.names.number(tx, BOB)
        nids = [(await world.events.many(tx, said))[each].nid for each in said]
        await redaction_tables.insert_due(tx, room.room_nid, nids, bob, "spam")
        await redaction_tables.insert_due(tx, room.room_nid, nids[:1], bob, None)
        due = await redaction_tables.due(tx, 2)
        assert due == [DueRedaction(1, room_id, said[0], BOB, "spam"), DueRedaction(2, room_id, said[1], BOB, "spam")]
        await redaction_tables.delete_due(tx, [1, 2])
        assert [each.event_id for each in await redaction_tables.due(tx, 2)] == [said[2]]


async def test_a_kick_covers_what_stands_between_its_places(world: World) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    room = await world.registry.find(room_id)
    assert room is not None
    async with world.database.write() as tx:
        nid = (await world.events.many(tx, (said,)))[said].nid
        user_nid = await world.names.number(tx, BOB)
        await redaction_tables.insert_member_redaction(tx, room.room_nid, user_nid, nid, 10, 20)
        found = [await redaction_tables.member_redaction_over(tx, room.room_nid, user_nid, place) for place in (10, 15, 20)]
        assert found == [None, nid, None]
        undone = await redaction_tables.next_member_redaction(tx)
        assert undone is not None
        assert (undone.room_id, undone.user_id, undone.member_id, undone.done) == (room_id, BOB, said, 10)
        await redaction_tables.move_member_redaction(tx, nid, 20)
        assert await redaction_tables.next_member_redaction(tx) is None
        assert await redaction_tables.end_of_chunk(tx, room.room_nid, 0, 1 << 62, 10_000) == 1 << 62


async def test_who_asked_last_for_relations_is_remembered(world: World) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    async with world.database.write() as tx:
        user_nid = await world.names.number(tx, BOB)
        await redaction_tables.save_with_relations(tx, 1, said, user_nid, ["m.thread"], None)
        await redaction_tables.save_with_relations(tx, 1, said, user_nid, ["*"], "spam")
        assert await redaction_tables.with_relations_of(tx, 1, said) == [(user_nid, ["*"], "spam")]
        assert await redaction_tables.related_of_types(tx, 1, said, ["m.thread"], 5) == []
        assert await redaction_tables.related_of_types(tx, 1, said, None, 5) == []
