"""Keeping the index of people."""

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, EVE
from tests.unit.server.search.world import SearchWorld
from watchword.protocol import canonical_json
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.changes import Change, EventAppended, StateChanged
from watchword.server.rooms.records import FOREVER
from watchword.server.search import people_tables
from watchword.server.search.commands import Person
from watchword.server.search.people_index import words_of

FRED = UserId("@fred:there.example")


async def with_stranger(world: SearchWorld, room_id: RoomId, user_id: UserId, **content: str) -> EventId:
    """A user of another server in a room, as far as the database knows: what a remote join leaves behind."""
    event_id = EventId(f"${user_id}{room_id}")
    pdu = (await world.timeline(room_id))[1]
    member = {**pdu, "sender": user_id, "state_key": user_id, "content": {"membership": "join", **content}}
    async with world.database.write() as tx:
        room_nid = await world.names.number(tx, room_id)
        user_nid = await world.names.number(tx, user_id)
        type_nid = await world.names.number(tx, "m.room.member")
        await tx.execute(
            "INSERT INTO events (event_id, room_nid, ordering, depth, json) VALUES (?, ?, NULL, 1, ?)",
            event_id,
            room_nid,
            canonical_json.encode(member),
        )
        await tx.execute(
            "INSERT INTO memberships (room_nid, user_nid, membership, event_id, position, sender, is_local) "
            "VALUES (?, ?, 'join', ?, 1, ?, 0)",
            room_nid,
            user_nid,
            event_id,
            user_id,
        )
        await tx.execute(
            "INSERT INTO state_line (room_nid, type_nid, key_nid, position, until, event_nid) "
            "SELECT ?, ?, ?, 1, ?, event_nid FROM events WHERE event_id = ?",
            room_nid,
            type_nid,
            user_nid,
            FOREVER,
            event_id,
        )
    room = world.registry.at_hand(room_id)
    if room is not None:
        world.registry.evict(room)
    world.memberships.forget(user_id)
    return event_id


async def logged(world: SearchWorld, change: Change) -> None:
    async with world.database.write() as tx:
        await world.log.append(tx, change)


async def test_a_stranger_who_joins_is_found_by_those_in_the_room(world: SearchWorld) -> None:
    room_id = await world.room(preset="private_chat")
    event_id = await with_stranger(world, room_id, EVE, displayname="Evelyn")
    await logged(world, EventAppended(room_id, event_id, "m.room.member", EVE, EVE, False, "join"))
    assert await world.people(ALICE, "evel") == [EVE]
    assert await world.people(ALICE, "@eve:there") == [EVE]
    assert await world.people(BOB, "evel") == []


async def test_a_stranger_in_an_open_room_is_found_by_everybody(world: SearchWorld) -> None:
    room_id = await world.public_room()
    event_id = await with_stranger(world, room_id, EVE, displayname="Evelyn")
    await logged(world, StateChanged(room_id, [event_id]))
    assert await world.people(BOB, "evel") == [EVE]
    await world.set_state(ALICE, room_id, "m.room.join_rules", {"join_rule": "invite"})
    assert await world.people(BOB, "evel") == []
    assert await world.people(ALICE, "evel") == [EVE]


async def test_a_name_of_a_room_that_one_is_not_in_is_not_told(world: SearchWorld) -> None:
    hidden = await world.room(preset="private_chat")
    world.clock.advance(1)
    event_id = await with_stranger(world, hidden, EVE, displayname="Codename")
    await logged(world, EventAppended(hidden, event_id, "m.room.member", EVE, EVE, False, "join"))
    opened = await world.public_room()
    await with_stranger(world, opened, EVE, displayname="Evelyn")
    assert await world.people(BOB, "codename") == []


async def test_everybody_in_a_room_that_was_joined_is_taken_over_in_parts(
    world: SearchWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("watchword.base.limits.people_filled_at_once", 1)
    room_id = await world.public_room()
    await with_stranger(world, room_id, EVE, displayname="Evelyn")
    await with_stranger(world, room_id, FRED)
    await logged(world, StateChanged(room_id, []))
    await world.search.follower.catch_up()
    assert list(world.search.people.index.to_fill) == [room_id]
    room = await world.reader.room(room_id)
    assert room is not None
    after: int | None = 0
    while after is not None:
        after = await world.search.people.index.fill_some(room, after)
    assert await world.people(BOB, "evelyn") == [EVE]
    assert await world.people(BOB, "fred") == [FRED]


async def test_a_room_that_is_to_be_filled_is_not_forgotten(world: SearchWorld) -> None:
    room_id = await world.public_room()
    await with_stranger(world, room_id, EVE, displayname="Evelyn")
    await logged(world, StateChanged(room_id, []))
    await world.search.follower.catch_up()
    world.rebuild_search()
    await world.search.start()
    assert list(world.search.people.index.to_fill) == [room_id]
    room = await world.reader.room(room_id)
    assert room is not None
    await world.search.people.index.fill_some(room, 0)
    assert await world.people(BOB, "evelyn") == [EVE]
    world.rebuild_search()
    await world.search.start()
    assert world.search.people.index.to_fill == {}


async def test_a_stranger_who_left_every_room_is_forgotten(world: SearchWorld) -> None:
    room_id = await world.public_room()
    event_id = await with_stranger(world, room_id, EVE, displayname="Evelyn")
    await logged(world, EventAppended(room_id, event_id, "m.room.member", EVE, EVE, False, "join"))
    assert await world.people(BOB, "evelyn") == [EVE]
    async with world.database.write() as tx:
        await tx.execute("UPDATE memberships SET membership = 'leave' WHERE event_id = ?", event_id)
    world.memberships.forget(EVE)
    await logged(world, EventAppended(room_id, event_id, "m.room.member", EVE, EVE, False, "leave"))
    await world.search.follower.catch_up()
    async with world.database.read() as tx:
        user_nid = await world.names.find(tx, EVE)
        assert user_nid is not None
        assert await people_tables.person(tx, user_nid) is None


async def test_rooms_are_known_to_be_open_after_a_restart(world: SearchWorld) -> None:
    room_id = await world.public_room()
    await world.search.follower.catch_up()
    world.rebuild_search()
    await world.search.start()
    assert world.search.people.index.rooms == {room_id: True}


async def test_a_room_that_everybody_left_is_open_no_more(world: SearchWorld) -> None:
    room_id = await world.public_room()
    await world.search.follower.catch_up()
    await world.leave(ALICE, room_id)
    await world.search.follower.catch_up()
    assert world.search.people.index.rooms == {room_id: False}


def test_people_are_found_by_the_words_of_their_names_and_ids() -> None:
    person = Person(UserId("@Anna.Lena:x.example"), "Anna 山田", None)
    assert words_of(person) == [
        "@anna.lena:x.example",
        "anna.lena:x.example",
        "anna.lena",
        "anna",
        "lena",
        "山田",
        "田",
    ]
    assert words_of(Person(UserId("@:x"), "\ud800", None)) == ["@:x", ":x"]
