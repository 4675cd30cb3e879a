"""What one reader sees of a room; visibility itself is tested as a property in tests/property/test_visibility.py."""

from typing import Any

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World
from watchword.protocol.ids import RoomId
from watchword.server.rooms.records import FOREVER
from watchword.server.rooms.room import Room
from watchword.server.rooms.view import Reader, RoomView


async def a_room(world: World, **body: Any) -> Room:
    room = await world.reader.room(await world.public_room(BOB, **body))
    assert room is not None
    return room


async def view(world: World, room: Room, user_id: Any) -> RoomView:
    async with world.database.read() as tx:
        return await world.sights.view(tx, room, Reader(user_id))


async def membership(world: World, room_id: RoomId, user_id: Any, event_id: str) -> str:
    event = await world.ask(user_id, "GET", f"rooms/{room_id}/event/{event_id}")
    return str(event["unsigned"]["membership"])


async def test_a_member_of_an_open_room_sees_everything_without_looking_twice(world: World) -> None:
    room = await a_room(world)
    assert (await view(world, room, BOB)).sight.all_visible
    assert not (await view(world, room, CAROL)).sight.all_visible
    await world.set_state(ALICE, room.room_id, "m.room.history_visibility", {"history_visibility": "joined"})
    assert not (await view(world, room, BOB)).sight.all_visible
    await world.set_state(ALICE, room.room_id, "m.room.history_visibility", {"history_visibility": "shared"})
    # It was narrow once.
    assert not (await view(world, room, BOB)).sight.all_visible


async def test_an_event_says_what_the_reader_was_when_it_came(world: World) -> None:
    room = await a_room(world)
    room_id = room.room_id
    during = await world.send(ALICE, room_id, "during the first stay")
    await world.leave(BOB, room_id)
    between = await world.send(ALICE, room_id, "between")
    await world.invite(ALICE, room_id, BOB)
    invited = await world.send(ALICE, room_id, "invited")
    await world.join(BOB, room_id)
    joins = room.state["m.room.member", BOB]
    after = await world.send(ALICE, room_id, "after")
    found = [await membership(world, room_id, BOB, event_id) for event_id in (during, between, invited, joins, after)]
    assert found == ["join", "leave", "invite", "join", "join"]


async def test_a_stay_goes_on_through_new_names(world: World) -> None:
    room = await a_room(world)
    async with world.database.read() as tx:
        began = await world.sights.joined_since(tx, room, BOB)
    await world.set_state(BOB, room.room_id, "m.room.member", {"membership": "join", "displayname": "B"}, BOB)
    async with world.database.read() as tx:
        assert await world.sights.joined_since(tx, room, BOB) == began
        assert await world.sights.last_stay(tx, room, CAROL) is None
    await world.leave(BOB, room.room_id)
    async with world.database.read() as tx:
        assert await world.sights.last_stay(tx, room, BOB) == (began, room.last_position)
        assert await world.sights.joined_since(tx, room, BOB) == 0
    await world.join(BOB, room.room_id)
    async with world.database.read() as tx:
        assert await world.sights.joined_since(tx, room, BOB) == room.last_position


async def test_previous_content_is_for_those_who_may_see_the_event_before(world: World) -> None:
    hidden = [{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]
    room_id = await world.public_room(BOB, initial_state=hidden, topic="before")
    second = await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "after"})
    path = f"rooms/{room_id}/event/{second}"
    unsigned = (await world.ask(BOB, "GET", path))["unsigned"]
    assert "prev_content" not in unsigned
    assert "replaces_state" in unsigned
    assert (await world.ask(ALICE, "GET", path))["unsigned"]["prev_content"]["topic"] == "before"


async def test_age_is_the_time_since_the_event(world: World) -> None:
    room = await a_room(world)
    event_id = await world.send(ALICE, room.room_id)
    world.clock.advance(5_000)
    event = await world.ask(ALICE, "GET", f"rooms/{room.room_id}/event/{event_id}")
    assert event["unsigned"]["age"] == 5_000


async def test_several_events_are_encoded_as_each_of_them_would_be(world: World) -> None:
    room = await a_room(world)
    room_id = room.room_id
    await world.send(ALICE, room_id, "while Bob was there")
    await world.leave(BOB, room_id)
    await world.send(ALICE, room_id, "while he was not")
    await world.invite(ALICE, room_id, BOB)
    await world.join(BOB, room_id)
    await world.set_state(BOB, room_id, "m.room.member", {"membership": "join", "displayname": "B"}, BOB)
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "Again"})
    redacted = await world.send(BOB, room_id, "taken back")
    await world.ask(BOB, "PUT", f"rooms/{room_id}/redact/{redacted}/r1", {})
    last = await world.send(BOB, room_id, "his own")
    for reader in (Reader(ALICE, "PHONE"), Reader(BOB, "PHONE"), Reader(BOB), Reader(CAROL, "PHONE")):
        async with world.database.read() as tx:
            seen = await world.sights.view(tx, room, reader)
            page = await world.reader.timeline(seen, tx, (0, FOREVER), 100, backwards=False)
            everything = await world.reader.events.many(tx, [*(event.event_id for event in page.events), *room.state.values()])
        events = list(everything.values())
        for relations in ({}, {last: b"{}"}):
            apart = [seen.encode(event, 5_000, relations=relations.get(event.event_id)) for event in events]
            assert seen.encode_all(events, 5_000, relations=relations) == apart
