"""What features upstairs ask of rooms: whom an event is for when it is told late."""

from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.test_receiver import shared_room
from watchword.base import limits
from watchword.protocol.ids import EventId, RoomId
from watchword.storage import Position


async def position_of(stack: Stack, event_id: EventId) -> Position:
    event = await stack.stored(event_id)
    assert event is not None
    return Position(event.position)


async def servers_at(stack: Stack, room_id: RoomId, event_id: EventId) -> set[str]:
    return set(await stack.rooms.reader.servers_at(room_id, await position_of(stack, event_id)))


async def test_the_servers_at_an_event_are_those_of_then(network: Network, a: Stack, b: Stack, c: Stack) -> None:
    room_id = await shared_room(network, a, b)
    together = await a.say(room_id, "b is here")
    await a.change(room_id, "kick", b.user("bob"))
    await network.settle()
    alone = await a.say(room_id, "b is gone")
    await c.join(room_id, "carol", a)
    await a.send(room_id, "m.room.topic", {"topic": "and c is here"}, "")
    with_c = await a.say(room_id, "c is here")
    await b.join(room_id, "bob", a)
    now = await a.say(room_id, "all are here")
    for _ in range(2):
        assert await servers_at(a, room_id, together) == {"a.example", "b.example"}
        assert await servers_at(a, room_id, alone) == {"a.example"}
        assert await servers_at(a, room_id, with_c) == {"a.example", "c.example"}
        assert await servers_at(a, room_id, now) == {"a.example", "b.example", "c.example"}
        await a.restarted()


async def test_who_is_kicked_hears_of_it_however_late(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    await a.change(room_id, "kick", b.user("bob"))
    kick = (await a.state(room_id))[("m.room.member", b.user("bob"))]
    await a.change(room_id, "ban", b.user("bob"))
    assert "b.example" in await a.rooms.reader.servers_at_event(room_id, kick, await position_of(a, kick))


async def test_who_leaves_one_of_several_users_stays_concerned(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    await b.join(room_id, "ben")
    await network.settle()
    before = await a.say(room_id, "two of b")
    await b.change(room_id, "leave", b.user("ben"), "ben")
    await network.settle()
    between = await a.say(room_id, "one of b")
    await b.change(room_id, "leave", b.user("bob"), "bob")
    await network.settle()
    assert await servers_at(a, room_id, before) == await servers_at(a, room_id, between) == {"a.example", "b.example"}
    assert set(await a.rooms.reader.servers_in_room(room_id)) == {"a.example"}


async def test_a_room_that_is_not_known_has_no_servers(a: Stack) -> None:
    assert await a.rooms.reader.servers_at(RoomId("!none:a.example"), Position(limits.canonical_integer_max)) == ()
