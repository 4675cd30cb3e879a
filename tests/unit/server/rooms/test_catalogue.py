"""Walking over all rooms and events."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.world import ALICE, BOB, World
from watchword.protocol.ids import EventId, RoomId
from watchword.server.rooms.catalogue import RoomCatalogue, is_open, text_of
from watchword.server.rooms.room import Room


def catalogue_of(world: World) -> RoomCatalogue:
    return RoomCatalogue(world.registry, world.events, world.names)


async def at(world: World, room_id: RoomId) -> Room:
    room = await world.reader.room(room_id)
    assert room is not None
    return room


async def test_events_are_walked_from_the_newest_down(world: World) -> None:
    room_id = await world.public_room()
    sent = [await world.send(ALICE, room_id, f"text {number}") for number in range(3)]
    catalogue = catalogue_of(world)
    async with world.database.read() as tx:
        newest = await catalogue.last_event_nid(tx)
        found = await catalogue.events_below(tx, newest + 1, 2)
        assert [listed.pdu.event_id for listed in found] == sent[:0:-1]
        older = await catalogue.events_below(tx, found[-1].nid, 1)
        assert older[0].pdu.event_id == sent[0]
        assert older[0].room_nid == (await at(world, room_id)).room_nid
        assert await catalogue.history_between(tx, 0, newest) == []
        assert list(await catalogue.by_nid(tx, [newest, 9_999])) == [newest]


async def test_rooms_and_their_members_are_walked_by_number(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.ask(BOB, "PUT", f"profile/{BOB}/displayname", {"displayname": "Bob"})
    await world.set_state(BOB, room_id, "m.room.member", {"membership": "join", "displayname": "Bob"}, BOB)
    catalogue = catalogue_of(world)
    async with world.database.read() as tx:
        ((nid, found),) = await catalogue.rooms_after(tx, 0, 5)
        assert found == room_id
        assert await catalogue.rooms_after(tx, nid, 5) == []
        (first,) = await catalogue.joined_after(tx, await at(world, room_id), 0, 1)
        (second,) = await catalogue.joined_after(tx, await at(world, room_id), first.user_nid, 5)
    assert (first.user_id, first.displayname) == (ALICE, None)
    assert (second.user_id, second.displayname, second.avatar_url) == (BOB, "Bob", None)


async def test_the_newest_valid_edit_counts(world: World) -> None:
    room_id = await world.public_room(BOB)
    original = await world.send(ALICE, room_id, "one")
    plain = await world.send(ALICE, room_id, "nobody edits me")

    async def edit(who: Any, text: str) -> EventId:
        world.clock.advance(1)
        relation = {"rel_type": "m.replace", "event_id": original}
        return await world.send(who, room_id, text, **{"m.new_content": {"body": text}, "m.relates_to": relation})

    await edit(ALICE, "two")
    newest = await edit(ALICE, "three")
    await edit(BOB, "four")
    room = await at(world, room_id)
    async with world.database.read() as tx:
        events = await world.events.many(tx, (original, plain))
        found = await catalogue_of(world).newest_edits(tx, room.room_nid, [event.pdu for event in events.values()])
    assert {parent: event.event_id for parent, event in found.items()} == {original: newest}


async def test_a_room_is_encrypted_once_it_says_so(world: World) -> None:
    room_id = await world.public_room()
    room, catalogue = await at(world, room_id), catalogue_of(world)
    async with world.database.read() as tx:
        assert not await catalogue.is_encrypted(tx, room.room_nid)
    await world.set_state(ALICE, room_id, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    for _ in range(2):
        async with world.database.read() as tx:
            assert await catalogue.is_encrypted(tx, room.room_nid)
    async with world.database.read() as tx:
        assert not await catalogue.is_encrypted(tx, 9_999)


async def test_members_are_known_as_they_were(world: World) -> None:
    room_id = await world.public_room(BOB)
    before = await world.send(BOB, room_id, "before")
    await world.set_state(BOB, room_id, "m.room.member", {"membership": "join", "displayname": "New"}, BOB)
    after = await world.send(BOB, room_id, "after")
    room, catalogue = await at(world, room_id), catalogue_of(world)
    async with world.database.read() as tx:
        events = await world.events.many(tx, (before, after))
        names = []
        for event_id in (before, after):
            member = await catalogue.member_at(tx, room, events[event_id], BOB)
            assert member is not None
            names.append(member.content.get("displayname"))
        assert await catalogue.member_at(tx, room, events[before], ALICE) is not None
        nobody = RoomId("@nobody:x")
        assert await catalogue.member_at(tx, room, events[before], nobody) is None  # type: ignore[arg-type]
        events[before].ordering = None
        assert await catalogue.member_at(tx, room, events[before], BOB) is None
    assert names == [None, "New"]
    world.events.forget((before,))


async def test_rooms_are_open_to_everybody_or_not(world: World) -> None:
    opened = await world.public_room()
    world.clock.advance(1)
    closed = await world.room(preset="private_chat")
    catalogue = catalogue_of(world)
    assert await catalogue.is_open(opened)
    assert not await catalogue.is_open(closed)
    assert not await catalogue.is_open(RoomId("!none:x"))
    await world.set_state(ALICE, closed, "m.room.history_visibility", {"history_visibility": "world_readable"})
    assert await catalogue.is_open(closed)
    await world.leave(ALICE, opened)
    assert not is_open(await at(world, opened))


def test_texts_are_strings_that_are_not_empty() -> None:
    assert [text_of({"name": value}, "name") for value in ("x", "", 5, None)] == ["x", None, None, None]
    assert text_of({}, "name") is None


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[Network]:
    network = Network()
    for name in ("a.example", "b.example"):
        await Stack.start(network, tmp_path, name, "alice", "bob")
    yield network
    for stack in network.stacks.values():
        await stack.database.close()


async def test_history_that_was_fetched_is_walked_and_its_members_are_known(network: Network) -> None:
    a, b = network.stacks.values()
    room_id = await a.create()
    event_id = await a.say(room_id, "long ago")
    await b.join(room_id, "bob", a)
    await network.settle()
    assert await b.bodies(room_id, "bob") == ["long ago"]
    catalogue = b.rooms.catalogue
    async with b.database.read() as tx:
        newest = await catalogue.last_event_nid(tx)
        found = {listed.pdu.event_id: listed for listed in await catalogue.history_between(tx, 0, newest)}
        event = (await catalogue.by_nid(tx, (found[event_id].nid,)))[found[event_id].nid]
        member = await catalogue.member_at(tx, await b.room(room_id), event, a.user("alice"))
    assert member is not None
    assert member.content["membership"] == "join"
