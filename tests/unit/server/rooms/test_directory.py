"""Aliases and the list of published rooms, behind the doors."""

from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World
from watchword.base.errors import BadRequest, Conflict, Forbidden, NotFound, Refusal
from watchword.protocol.ids import RoomAlias, RoomId
from watchword.server.rooms.commands import SendEvent
from watchword.server.rooms.published import DirectoryQuery

LOBBY, CELLAR = RoomAlias("#lobby:here.example"), RoomAlias("#cellar:here.example")
NOWHERE = RoomId("!nowhere:here.example")


async def listed(world: World, **query: Any) -> list[str]:
    """The published rooms of one page."""
    body = await world.directory.public_rooms(DirectoryQuery(**{"limit": 100, **query}))
    return [entry["room_id"] for entry in body["chunk"]]


async def published(world: World, **body: Any) -> RoomId:
    return await world.room(visibility="public", **body)


# Aliases


async def test_a_member_may_take_an_alias(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.directory.set_alias(LOBBY, room_id, BOB)
    assert await world.reader.alias(LOBBY) == (room_id, BOB)


async def test_an_alias_names_one_room(world: World) -> None:
    first, second = await world.room(), await world.room()
    await world.directory.set_alias(LOBBY, first, ALICE)
    with pytest.raises(Conflict, match="M_UNKNOWN"):
        await world.directory.set_alias(LOBBY, second, ALICE)
    assert await world.reader.alias(LOBBY) == (first, ALICE)


@pytest.mark.parametrize("known", [True, False])
async def test_who_is_not_in_a_room_may_not_name_it(world: World, known: bool) -> None:
    room_id = await world.room() if known else NOWHERE
    with pytest.raises(Forbidden):
        await world.directory.set_alias(LOBBY, room_id, BOB)


async def test_aliases_of_other_servers_are_not_given_here(world: World) -> None:
    with pytest.raises(BadRequest, match="M_INVALID_PARAM"):
        await world.directory.set_alias(RoomAlias("#lobby:there.example"), await world.room(), ALICE)


async def test_its_creator_may_delete_an_alias(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.directory.set_alias(LOBBY, room_id, BOB)
    await world.directory.delete_alias(LOBBY, BOB, is_admin=False)
    assert await world.reader.alias(LOBBY) is None


async def test_its_creator_may_delete_an_alias_even_after_leaving(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.directory.set_alias(LOBBY, room_id, BOB)
    await world.leave(BOB, room_id)
    await world.directory.delete_alias(LOBBY, BOB, is_admin=False)
    assert await world.reader.alias(LOBBY) is None


async def test_who_may_say_the_canonical_alias_may_delete_the_aliases_of_others(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.directory.set_alias(LOBBY, room_id, BOB)
    await world.directory.delete_alias(LOBBY, ALICE, is_admin=False)
    assert await world.reader.alias(LOBBY) is None


async def test_other_members_may_not_delete_an_alias(world: World) -> None:
    await world.public_room(BOB, room_alias_name="lobby")
    with pytest.raises(Forbidden):
        await world.directory.delete_alias(LOBBY, BOB, is_admin=False)
    with pytest.raises(Forbidden):
        await world.directory.delete_alias(LOBBY, CAROL, is_admin=False)


async def test_an_administrator_may_delete_any_alias(world: World) -> None:
    await world.room(room_alias_name="lobby")
    await world.directory.delete_alias(LOBBY, BOB, is_admin=True)
    assert await world.reader.alias(LOBBY) is None


async def test_an_alias_that_names_nothing_cannot_be_deleted(world: World) -> None:
    with pytest.raises(NotFound):
        await world.directory.delete_alias(LOBBY, ALICE, is_admin=True)


async def test_a_deleted_alias_may_name_another_room(world: World) -> None:
    await world.room(room_alias_name="lobby")
    await world.directory.delete_alias(LOBBY, ALICE, is_admin=False)
    room_id = await world.room(room_alias_name="lobby")
    assert await world.reader.alias(LOBBY) == (room_id, ALICE)


# The canonical alias


async def canonical(world: World, room_id: RoomId, content: dict[str, Any]) -> str | None:
    """The errcode of a refusal, None if there is none."""
    try:
        await world.directory.check_canonical_alias(room_id, content)
    except Refusal as refusal:
        return refusal.errcode
    return None


@pytest.mark.parametrize("content", [{"alias": LOBBY}, {"alt_aliases": [LOBBY]}, {"alias": None}, {"alias": ""}, {}])
async def test_aliases_of_the_room_and_none_at_all_are_good(world: World, content: dict[str, Any]) -> None:
    assert await canonical(world, await world.room(room_alias_name="lobby"), content) is None


@pytest.mark.parametrize("content", [{"alias": CELLAR}, {"alias": LOBBY, "alt_aliases": [LOBBY, CELLAR]}])
@pytest.mark.parametrize("elsewhere", [True, False])
async def test_an_alias_that_does_not_name_the_room_is_bad(world: World, content: dict[str, Any], elsewhere: bool) -> None:
    room_id = await world.room(room_alias_name="lobby")
    if elsewhere:
        await world.room(room_alias_name="cellar")
    assert await canonical(world, room_id, content) == "M_BAD_ALIAS"


@pytest.mark.parametrize("text", ["lobby", "#lobby", "@lobby:here.example", "#" + "x" * 255 + ":here.example"])
@pytest.mark.parametrize("key", ["alias", "alt_aliases"])
async def test_what_is_no_alias_is_invalid(world: World, text: str, key: str) -> None:
    content = {key: text if key == "alias" else [text]}
    assert await canonical(world, await world.room(), content) == "M_INVALID_PARAM"


@pytest.mark.parametrize("content", [{"alias": 5}, {"alt_aliases": LOBBY}, {"alt_aliases": [5]}, {"alt_aliases": None}])
async def test_what_is_no_list_of_aliases_is_bad_json(world: World, content: dict[str, Any]) -> None:
    assert await canonical(world, await world.room(), content) == "M_BAD_JSON"


async def test_old_aliases_are_not_looked_up_again(world: World) -> None:
    room_id = await world.room(room_alias_name="lobby")
    await world.directory.delete_alias(LOBBY, ALICE, is_admin=False)
    assert await canonical(world, room_id, {"alt_aliases": [LOBBY]}) is None


# The list


async def test_published_rooms_are_listed(world: World) -> None:
    room_id = await published(world)
    await world.room()
    assert await listed(world) == [room_id]


async def test_a_room_that_everybody_left_is_not_listed(world: World) -> None:
    room_id = await published(world)
    await world.leave(ALICE, room_id)
    assert await listed(world) == []


async def test_who_may_say_the_canonical_alias_may_publish_a_room_and_take_it_off(world: World) -> None:
    room_id = await world.room()
    await world.directory.list_room(room_id, ALICE, listed=True, is_admin=False)
    assert await listed(world) == [room_id]
    await world.directory.list_room(room_id, ALICE, listed=False, is_admin=False)
    assert await listed(world) == []


@pytest.mark.parametrize("who", [BOB, CAROL])
async def test_others_may_not_publish_a_room(world: World, who: Any) -> None:
    room_id = await world.public_room(BOB)
    with pytest.raises(Forbidden):
        await world.directory.list_room(room_id, who, listed=True, is_admin=False)
    assert await listed(world) == []


async def test_an_administrator_may_publish_any_room(world: World) -> None:
    room_id = await world.room()
    await world.directory.list_room(room_id, BOB, listed=True, is_admin=True)
    assert await listed(world) == [room_id]


async def test_an_unknown_room_cannot_be_published(world: World) -> None:
    with pytest.raises(NotFound):
        await world.directory.list_room(NOWHERE, ALICE, listed=True, is_admin=True)


@pytest.mark.parametrize("term", ["lob", "LOBBY", "talk", "#lobby:"])
async def test_a_search_looks_at_name_topic_and_alias(world: World, term: str) -> None:
    room_id = await published(world, name="The Lobby", topic="We talk", room_alias_name="lobby")
    await published(world, name="Cellar")
    assert await listed(world, search=term) == [room_id]


@pytest.mark.parametrize(("wanted", "expected"), [(["m.space"], "s"), ([None], "r"), ([None, "m.space"], "rs"), ([], "")])
async def test_room_types_choose_and_null_means_rooms_without_one(world: World, wanted: list[Any], expected: str) -> None:
    rooms = {"r": await published(world), "s": await published(world, creation_content={"type": "m.space"})}
    assert set(await listed(world, room_types=wanted)) == {rooms[letter] for letter in expected}


async def test_pages_follow_one_another_to_the_end(world: World) -> None:
    rooms = {await published(world) for _ in range(5)}
    found: list[str] = []
    since = None
    for _ in range(3):
        body = await world.directory.public_rooms(DirectoryQuery(2, since))
        found += [entry["room_id"] for entry in body["chunk"]]
        since = body.get("next_batch")
    assert since is None
    assert len(found) == 5
    assert set(found) == rooms


async def test_the_order_is_the_same_each_time(world: World) -> None:
    for _ in range(4):
        await published(world)
    assert await listed(world) == await listed(world)


async def test_an_entry_says_what_the_room_is(world: World) -> None:
    visible = {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}
    avatar = {"type": "m.room.avatar", "content": {"url": "mxc://here.example/a"}}
    guests = {"type": "m.room.guest_access", "content": {"guest_access": "can_join"}}
    room_id = await published(
        world,
        name="Lobby",
        topic="Talk",
        room_alias_name="lobby",
        creation_content={"type": "m.space"},
        initial_state=[visible, avatar, guests],
    )
    await world.join(BOB, room_id)
    assert await world.directory.summary(room_id) == {
        "room_id": room_id,
        "num_joined_members": 2,
        "world_readable": True,
        "guest_can_join": True,
        "join_rule": "public",
        "name": "Lobby",
        "topic": "Talk",
        "avatar_url": "mxc://here.example/a",
        "canonical_alias": LOBBY,
        "room_type": "m.space",
    }


async def test_an_entry_is_silent_of_what_the_room_has_not(world: World) -> None:
    room_id = await published(world, initial_state=[{"type": "m.room.name", "content": {"name": 5}}])
    entry = await world.directory.summary(room_id)
    assert entry is not None
    assert not {"name", "topic", "avatar_url", "canonical_alias", "room_type"} & set(entry)


async def test_an_unknown_room_has_no_entry(world: World) -> None:
    assert await world.directory.summary(NOWHERE) is None


async def test_a_canonical_alias_that_makes_no_sense_can_be_replaced(world: World) -> None:
    """It may have come from another server."""
    room_id = await world.room(room_alias_name="hall")
    await world.writer.send(SendEvent(room_id, ALICE, "m.room.canonical_alias", {"alias": 1, "alt_aliases": {}}, ""))
    await world.set_state(ALICE, room_id, "m.room.canonical_alias", {"alias": "#hall:here.example"})
