import pytest

from tests.unit.server.push.world import ALICE, BOB, PushWorld
from tests.unit.server.rooms.world import CAROL
from watchword.base import limits
from watchword.protocol.ids import UserId
from watchword.server.push.compose import Composer
from watchword.server.push.missed import Missed, MissedRooms, MissedText
from watchword.server.push.noted import NotedEvents
from watchword.storage import Position


async def missed(world: PushWorld, after: int = 0, user_id: UserId = BOB) -> Missed:
    push, events = world.push, NotedEvents(world.reader)
    rooms = MissedRooms(push.notifications, Composer(world.reader, push.unread), events, with_texts=True)
    return await rooms.of(user_id, Position(after))


async def test_nothing_is_missed_where_nothing_is_unread(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    assert (await missed(world)).is_nothing
    await world.read(BOB, room, await world.send(ALICE, room))
    assert (await missed(world)).is_nothing


async def test_rooms_are_told_with_all_that_is_unread_and_the_newest_texts(world: PushWorld) -> None:
    room = await world.public_room(BOB, CAROL, name="Room")
    for text in ("one", "two", "three", "four\nlines"):
        await world.send(ALICE, room, text)
    await world.send(CAROL, room, "for you", **{"m.mentions": {"user_ids": [BOB]}})
    (found,) = (await missed(world)).rooms
    assert (found.title, found.count, found.highlights) == ("Room", 5, 1)
    assert found.texts == [MissedText(ALICE, "three"), MissedText(ALICE, "four lines"), MissedText(CAROL, "for you")]


async def test_threads_count_too(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    root = await world.send(ALICE, room)
    await world.send(ALICE, room, "in it", **{"m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    (found,) = (await missed(world)).rooms
    assert found.count == 2


async def test_what_was_told_before_is_not_told_alone(world: PushWorld) -> None:
    first, second = await world.two_rooms(BOB)
    await world.send(ALICE, first)
    await world.send(ALICE, second)
    told = world.log.position
    assert (await missed(world, told)).is_nothing
    await world.send(ALICE, first)
    (found,) = (await missed(world, told)).rooms
    assert found.count == 2


async def test_a_room_without_a_name_is_called_by_its_alias_or_who_speaks(world: PushWorld) -> None:
    room = await world.public_room(BOB, CAROL)
    await world.send(CAROL, room)
    assert (await missed(world)).rooms[0].title == CAROL
    await world.send(ALICE, room)
    assert (await missed(world)).rooms[0].title == f"{ALICE}, {CAROL}"
    await world.ask(ALICE, "PUT", "directory/room/%23tea:here.example", {"room_id": room})
    await world.set_state(ALICE, room, "m.room.canonical_alias", {"alias": "#tea:here.example"})
    assert (await missed(world)).rooms[0].title == "#tea:here.example"


async def test_long_names_are_cut(world: PushWorld) -> None:
    room = await world.public_room(BOB, name="x" * 200)
    await world.send(ALICE, room, "y" * 500)
    (found,) = (await missed(world)).rooms
    assert found.title == "x" * 99 + "…"
    assert len(found.texts[0].text) == limits.digest_text_characters_max


async def test_many_rooms_are_only_counted(world: PushWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "digest_rooms_max", 1)
    for room in await world.two_rooms(BOB):
        await world.send(ALICE, room)
    found = await missed(world)
    assert (len(found.rooms), found.more) == (1, 1)


async def test_invites_are_counted_unless_their_sender_is_ignored(world: PushWorld) -> None:
    await world.invite(ALICE, await world.room(ALICE), BOB)
    assert (await missed(world)).invites == 1
    assert (await missed(world, world.log.position)).is_nothing
    await world.ask(BOB, "PUT", f"user/{BOB}/account_data/m.ignored_user_list", {"ignored_users": {ALICE: {}}})
    assert (await missed(world)).invites == 0
