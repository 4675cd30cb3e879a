"""The index of relations, as events and their redactions leave it."""

from typing import Any

from tests.unit.server.rooms.relating import children, edit, ids, react, redact, related, reply, send
from tests.unit.server.rooms.world import ALICE, World
from watchword.protocol.ids import EventId, RoomId
from watchword.server.rooms.relations_index import annotation_key, indexed_relation


async def rows(world: World) -> list[Any]:
    async with world.database.read() as tx:
        return list(await tx.fetch_all("SELECT parent_id, rel_type, type, is_edit, key FROM event_relations ORDER BY ordering"))


async def threads(world: World) -> list[Any]:
    async with world.database.read() as tx:
        return [tuple(row) for row in await tx.fetch_all("SELECT root_id, events FROM threads")]


async def test_events_that_relate_to_nothing_leave_nothing(world: World) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    await world.send(ALICE, room_id, "re", **{"m.relates_to": {"m.in_reply_to": {"event_id": said}}})
    malformed: list[object] = [[], "x", {"rel_type": 1, "event_id": said}, {"rel_type": "m.thread", "event_id": 5}]
    for odd in malformed:
        await world.send(ALICE, room_id, "odd", **{"m.relates_to": odd})
    assert await rows(world) == []
    assert await threads(world) == []


async def test_what_an_event_says_of_itself_is_noted(world: World) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    await react(world, ALICE, room_id, said, "👍")
    await edit(world, ALICE, room_id, said)
    await world.send(ALICE, room_id, "no edit", **related("m.replace", said))
    await send(world, ALICE, room_id, "m.room.encrypted", related("m.replace", said))
    await world.set_state(ALICE, room_id, "org.example", {"m.new_content": {}, **related("m.replace", said)})
    assert [tuple(row) for row in await rows(world)] == [
        (said, "m.annotation", "m.reaction", 0, "👍"),
        (said, "m.replace", "m.room.message", 1, None),
        (said, "m.replace", "m.room.message", 0, None),
        (said, "m.replace", "m.room.encrypted", 1, None),
        (said, "m.replace", "org.example", 0, None),
    ]


async def test_threads_grow_and_shrink(world: World) -> None:
    room_id = await world.public_room()
    root = await world.send(ALICE, room_id)
    first, second = await reply(world, ALICE, room_id, root), await reply(world, ALICE, room_id, root)
    assert await threads(world) == [(root, 2)]
    await redact(world, ALICE, room_id, first)
    assert await threads(world) == [(root, 1)]
    await redact(world, ALICE, room_id, second)
    assert await threads(world) == []


async def test_names_that_are_too_long_are_not_noted(world: World) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    await world.send(ALICE, room_id, "x", **related("m" * 256, said))
    await world.send(ALICE, room_id, "x", **related("m.thread", "$" + "x" * 255))
    kept = await world.send(ALICE, room_id, "x", **related("m" * 255, said))
    assert ids(await children(world, ALICE, room_id, said)) == [kept]
    async with world.database.read() as tx:
        event = await world.events.one(tx, said)
    assert event is not None
    assert indexed_relation(event) is None


async def test_an_event_is_noted_once(world: World) -> None:
    room_id = RoomId(await world.public_room())
    root = await world.send(ALICE, room_id)
    answer: EventId = await reply(world, ALICE, room_id, root)
    room = await world.registry.find(room_id)
    assert room is not None
    async with world.database.write() as tx:
        event = await world.events.one(tx, answer)
        assert event is not None
        await world.appender.index.note(tx, room, event)
    assert await threads(world) == [(root, 1)]
    async with world.database.write() as tx:
        await world.appender.index.forget(tx, room.room_nid, event)
        await world.appender.index.forget(tx, room.room_nid, event)
    assert await threads(world) == []


def test_long_keys_of_annotations_are_kept_short() -> None:
    assert annotation_key("👍") == "👍"
    assert annotation_key("x" * 255) == "x" * 255
    assert len(annotation_key("x" * 256)) == len("sha256:") + 64
    assert annotation_key("x" * 256) != annotation_key("x" * 257)
