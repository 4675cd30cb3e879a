"""Rooms as strangers are told of them."""

from tests.unit.server.rooms.world import ALICE, World
from watchword.protocol.ids import RoomId
from watchword.server.rooms.room import Room
from watchword.server.rooms.summaries import RoomSummaries, allowed_rooms, room_type


async def at(world: World, room_id: RoomId) -> Room:
    room = await world.reader.room(room_id)
    assert room is not None
    return room


async def test_a_summary_says_version_encryption_and_conditions(world: World) -> None:
    rule = {"join_rule": "knock_restricted", "allow": [{"type": "m.room_membership", "room_id": "!club:x"}]}
    room_id = await world.room(
        ALICE,
        name="Tea",
        room_version="11",
        initial_state=[
            {"type": "m.room.join_rules", "content": rule},
            {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}},
            {"type": "m.room.topic", "content": {"topic": "<b>", "m.topic": {"m.text": [{"body": "plain"}]}}},
        ],
    )
    room = await at(world, room_id)
    summary = await RoomSummaries(world.reader).summary(room)
    assert (summary["room_version"], summary["encryption"]) == ("11", "m.megolm.v1.aes-sha2")
    assert (summary["allowed_room_ids"], summary["topic"]) == (["!club:x"], "plain")
    assert "room_version" not in await RoomSummaries(world.reader).published(room)
    assert allowed_rooms(room) == ["!club:x"]


async def test_a_plain_room_has_no_conditions_and_no_children(world: World) -> None:
    room = await at(world, await world.room(ALICE))
    await world.set_state(ALICE, room.room_id, "m.space.child", {"via": ["x"]}, "!child:x")
    summary = await RoomSummaries(world.reader).summary(room)
    assert summary.keys().isdisjoint({"allowed_room_ids", "encryption", "room_type", "name", "topic"})
    assert await RoomSummaries(world.reader).children(room) == []
    assert (allowed_rooms(room), room_type(room)) == ([], None)


async def test_a_space_has_children(world: World) -> None:
    room = await at(world, await world.room(ALICE, creation_content={"type": "m.space"}))
    await world.set_state(ALICE, room.room_id, "m.space.child", {"via": ["x"]}, "!child:x")
    (child,) = await RoomSummaries(world.reader).children(room)
    assert (child.state_key, room_type(room)) == ("!child:x", "m.space")


async def test_state_that_is_not_as_it_should_be_is_passed_over(world: World) -> None:
    room = await at(world, await world.room(ALICE, creation_content={"type": 5}))
    for kind, content in (("m.room.name", {"name": 5}), ("m.room.encryption", {"algorithm": []})):
        await world.set_state(ALICE, room.room_id, kind, content)
    summary = await RoomSummaries(world.reader).summary(room)
    assert summary.keys().isdisjoint({"name", "encryption", "room_type"})
