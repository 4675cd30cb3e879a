from tests.unit.server.rooms.stacks import Stack
from watchword.protocol.ids import RoomId
from watchword.server.rooms.restricted import Verdict, authoriser_here, condition_rooms, judge, needs_authoriser


def test_conditions_of_unknown_types_are_passed_over() -> None:
    allow = [{"type": "m.room_membership", "room_id": "!a:x"}, {"type": "org.other"}, 5, {"type": "m.room_membership"}]
    assert condition_rooms({"allow": allow}) == ["!a:x"]
    assert condition_rooms({"allow": {}}) == condition_rooms({}) == []


async def a_restricted_room(a: Stack, *rooms: RoomId) -> RoomId:
    room_id = await a.create(preset="private_chat")
    allow = [{"type": "m.room_membership", "room_id": each} for each in rooms]
    await a.send(room_id, "m.room.join_rules", {"join_rule": "restricted", "allow": allow}, "")
    return room_id


async def test_who_is_in_a_named_room_meets_the_conditions(a: Stack) -> None:
    space = await a.create()
    room = await a.room(await a_restricted_room(a, space))
    anna = a.user("anna")
    assert await judge(room, anna, a.rooms.registry) is Verdict.FAILED
    await a.join(space, "anna")
    assert await judge(room, anna, a.rooms.registry) is Verdict.MET
    unknown = await a.room(await a_restricted_room(a, RoomId("!gone:c.example")))
    assert await judge(unknown, anna, a.rooms.registry) is Verdict.UNKNOWN


async def test_an_invite_needs_nobody_to_vouch(a: Stack) -> None:
    room = await a.room(await a_restricted_room(a))
    anna = a.user("anna")
    assert needs_authoriser(room, anna)
    assert authoriser_here(room) == a.user("alice")
    await a.change(room.room_id, "invite", anna)
    assert not needs_authoriser(room, anna)


async def test_nobody_vouches_who_may_not_invite(a: Stack) -> None:
    room = await a.room(await a_restricted_room(a))
    assert authoriser_here(room) is not None
    public = await a.room(await a.create(version="10"))
    levels = dict(public.content("m.room.power_levels"))
    await a.send(public.room_id, "m.room.power_levels", {**levels, "invite": 100}, "")
    lowered = {**levels, "invite": 100, "users": {a.user("alice"): 99}}
    await a.send(public.room_id, "m.room.power_levels", lowered, "")
    assert authoriser_here(public) is None
