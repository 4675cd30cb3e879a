"""Rooms of this server as they are shown to others."""

from tests.unit.server.rooms.world import ALICE, BOB, EVE
from tests.unit.server.spaces.world import SpaceWorld
from watchword.protocol.ids import RoomId, ServerName

THERE = ServerName("there.example")


async def server_sees(world: SpaceWorld, room_id: RoomId) -> bool:
    described = await world.spaces.sight.local(room_id)
    assert described is not None
    return await world.spaces.sight.server_sees(THERE, described)


async def test_a_room_that_everybody_left_is_not_described(world: SpaceWorld) -> None:
    room_id = await world.another(ALICE)
    await world.leave(ALICE, room_id)
    assert await world.spaces.sight.local(room_id) is None
    assert await world.spaces.sight.local(RoomId("!none:x")) is None


async def test_a_server_sees_what_its_users_are_invited_to(world: SpaceWorld) -> None:
    room_id = await world.another(ALICE, preset="private_chat")
    assert not await server_sees(world, room_id)
    room = await world.reader.room(room_id)
    assert room is not None
    room.members.set(EVE, "invite")
    assert await server_sees(world, room_id)
    room.members.set(EVE, "join")
    assert await server_sees(world, room_id)


async def test_a_server_sees_a_restricted_room_if_its_users_meet_a_condition(world: SpaceWorld) -> None:
    club = await world.another(ALICE)
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": club}]}
    limited = await world.another(ALICE, initial_state=[{"type": "m.room.join_rules", "content": rule}])
    assert not await server_sees(world, limited)
    room = await world.reader.room(club)
    assert room is not None
    room.members.set(EVE, "join")
    assert await server_sees(world, limited)


async def test_who_is_nobody_sees_open_rooms(world: SpaceWorld) -> None:
    opened, private = await world.another(ALICE), await world.another(ALICE, preset="private_chat")
    for room_id, shown in ((opened, True), (private, False)):
        described = await world.spaces.sight.local(room_id)
        assert described is not None
        assert await world.spaces.sight.user_sees(None, described) is shown
        assert await world.spaces.sight.user_sees(BOB, described) is shown


async def test_a_room_that_is_gone_is_told_to_no_server(world: SpaceWorld) -> None:
    described = await world.spaces.sight.local(await world.another(ALICE))
    assert described is not None
    gone = type(described)({**described.entry, "room_id": RoomId("!gone:x")})
    assert not await world.spaces.sight.server_sees(THERE, gone)
