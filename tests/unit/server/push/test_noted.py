from tests.unit.server.push.world import ALICE, BOB, PushWorld
from watchword.protocol.ids import EventId
from watchword.server.push.noted import NotedEvent, NotedEvents
from watchword.server.rooms.commands import SendEvent


async def noted(world: PushWorld, event_id: EventId, events: NotedEvents | None = None) -> NotedEvent:
    event = (await world.reader.found([event_id]))[event_id]
    return await (events or NotedEvents(world.reader)).note(event, await world.at(event.pdu.room_id))


async def test_an_event_is_taken_apart_once(world: PushWorld) -> None:
    events = NotedEvents(world.reader)
    event = await world.send(ALICE, await world.public_room())
    assert await noted(world, event, events) is await noted(world, event, events)


async def test_the_thread_is_found_through_what_an_event_relates_to(world: PushWorld) -> None:
    room = await world.public_room()
    root = await world.send(ALICE, room)
    related = await world.writer.send(
        SendEvent(room, ALICE, "m.room.message", {"m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    )
    for _ in range(3):
        content = {"m.relates_to": {"rel_type": "m.reference", "event_id": related}}
        related = await world.writer.send(SendEvent(room, ALICE, "m.room.message", content))
        assert (await noted(world, related)).thread == root
    content = {"m.relates_to": {"rel_type": "m.reference", "event_id": related}}
    far = await world.writer.send(SendEvent(room, ALICE, "m.room.message", content))
    assert (await noted(world, far)).thread == "main"
    assert (await noted(world, root)).thread == "main"


async def test_what_relates_to_another_room_is_in_the_main_timeline(world: PushWorld) -> None:
    one, two = await world.two_rooms()
    root = await world.send(ALICE, one)
    content = {"m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    reply = await world.writer.send(SendEvent(one, ALICE, "m.room.message", content))
    content = {"m.relates_to": {"rel_type": "m.reference", "event_id": reply}}
    other = await world.writer.send(SendEvent(two, ALICE, "m.room.message", content))
    assert (await noted(world, other)).thread == "main"


async def test_a_display_name_is_the_one_in_the_room(world: PushWorld) -> None:
    events = NotedEvents(world.reader)
    room = await world.public_room()
    assert await events.display_name(await world.at(room), BOB) is None
    await world.ask(BOB, "PUT", f"profile/{BOB}/displayname", {"displayname": "Robert"})
    await world.join(BOB, room)
    assert await events.display_name(await world.at(room), BOB) == "Robert"
