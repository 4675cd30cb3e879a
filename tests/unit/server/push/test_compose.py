import pytest

from tests.unit.server.push.world import ALICE, BOB, PushWorld
from watchword.base import limits
from watchword.server.push.compose import Composer


def composer(world: PushWorld) -> Composer:
    return Composer(world.reader, world.push.unread)


async def test_an_event_is_told_with_names(world: PushWorld) -> None:
    room = await world.public_room(BOB, name="Room", room_alias_name="room")
    await world.ask(ALICE, "PUT", f"profile/{ALICE}/displayname", {"displayname": "Alice"})
    await world.set_state(ALICE, room, "m.room.member", {"membership": "join", "displayname": "Alice"}, ALICE)
    event_id = await world.send(ALICE, room)
    event = (await world.reader.found([event_id]))[event_id]
    subject = await composer(world).about_event(await world.at(room), event, BOB)
    assert (subject.sender_display_name, subject.room_name) == ("Alice", "Room")
    assert subject.room_alias == "#room:here.example"
    assert not subject.user_is_target


async def test_rooms_with_something_unread_and_invites_are_counted(world: PushWorld) -> None:
    rooms = await world.two_rooms(BOB)
    assert await composer(world).unread_rooms(BOB) == 0
    await world.send(ALICE, rooms[0])
    await world.send(ALICE, rooms[0])
    assert await composer(world).unread_rooms(BOB) == 1
    world.clock.advance(1)
    await world.invite(ALICE, await world.room(ALICE), BOB)
    await world.send(ALICE, rooms[1])
    assert await composer(world).unread_rooms(BOB) == 3
    await world.leave(BOB, rooms[1])
    assert await composer(world).unread_rooms(BOB) == 2


async def test_rooms_that_left_memory_are_counted_as_they_were(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    await world.send(ALICE, room)
    world.registry.evict(await world.at(room))
    assert await composer(world).unread_rooms(BOB) == 1
    world.registry.evict(await world.at(room))
    assert await composer(world).unread_rooms(BOB) == 1
    assert world.registry.at_hand(room) is None


async def test_no_more_than_so_many_rooms_are_looked_at(world: PushWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "push_badge_rooms_max", 1)
    for room in await world.two_rooms(BOB):
        await world.send(ALICE, room)
    assert await composer(world).unread_rooms(BOB) == 1
