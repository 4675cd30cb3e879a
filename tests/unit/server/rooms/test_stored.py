"""Events as stored: decoded once, with what their `unsigned` needs, in a bounded memory."""

from pathlib import Path

from tests.unit.server.rooms.world import ALICE, World, open_world
from watchword.protocol.ids import EventId
from watchword.server.rooms.stored import StoredEvent


async def one(world: World, event_id: EventId) -> StoredEvent:
    async with world.database.read() as tx:
        event = await world.events.one(tx, event_id)
    assert event is not None
    return event


async def test_an_event_is_decoded_once(world: World) -> None:
    event_id = await world.send(ALICE, await world.room())
    world.events.forget((event_id,))
    assert await one(world, event_id) is await one(world, event_id)
    assert world.events.cached(event_id) is await one(world, event_id)
    assert (await one(world, event_id)).base() is (await one(world, event_id)).base()


async def test_what_is_not_stored_is_left_out(world: World) -> None:
    event_id = await world.send(ALICE, await world.room())
    async with world.database.read() as tx:
        assert set(await world.events.many(tx, [event_id, EventId("$absent")])) == {event_id}
        assert await world.events.one(tx, EventId("$absent")) is None
        assert await world.events.many(tx, []) == {}


async def test_a_state_event_comes_with_the_one_it_replaced_and_no_more(world: World) -> None:
    room_id = await world.room(name="one")
    second = await world.set_state(ALICE, room_id, "m.room.name", {"name": "two"})
    third = await world.set_state(ALICE, room_id, "m.room.name", {"name": "three"})
    world.events.forget((second, third))
    event = await one(world, third)
    assert event.replaced is not None
    assert event.replaced.event_id == second
    assert event.replaced.replaced is None


async def test_a_redacted_event_comes_with_its_redaction(world: World) -> None:
    room_id = await world.room()
    event_id = await world.send(ALICE, room_id)
    answer = await world.ask(ALICE, "PUT", f"rooms/{room_id}/redact/{event_id}/r", {})
    event = await one(world, event_id)
    assert event.redacted_because is not None
    assert event.redacted_because.event_id == answer["event_id"]
    assert event.pdu.content == {}


async def test_events_of_every_version_are_read_back_as_they_were_sent(world: World) -> None:
    for version in ("1", "3", "10", "11", "12"):
        room_id = await world.room(room_version=version)
        event_id = await world.say(ALICE, room_id, "hello", version)
        await world.ask(ALICE, "PUT", f"rooms/{room_id}/send/m.room.redaction/r{version}", {"redacts": event_id})
        room = await world.reader.room(room_id)
        assert room is not None
        for wanted in (event_id, *room.extremities, *room.state.values()):
            kept = world.events.cached(wanted)
            world.events.forget((wanted,))
            again = await one(world, wanted)
            if kept is not None:
                assert again.pdu == kept.pdu
                assert again.json == kept.json
                assert (again.ordering, again.flags, again.is_shown) == (kept.ordering, kept.flags, kept.is_shown)


async def test_memory_is_bounded(tmp_path: Path) -> None:
    async with open_world(tmp_path, events_max=5) as world:
        await world.users(ALICE)
        room_id = await world.room()
        sent = [await world.send(ALICE, room_id, str(number)) for number in range(20)]
        assert sum(world.events.cached(event_id) is not None for event_id in sent) <= 5
        assert len((await world.messages(ALICE, room_id))["chunk"]) == 26
