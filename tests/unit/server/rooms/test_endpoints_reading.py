"""The doors through which clients read: messages, context, single events, state, members."""

from typing import Any
from urllib.parse import quote

import orjson
import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World, bodies, types
from watchword.protocol.ids import RoomId, UserId

NOWHERE = RoomId("!nowhere:here.example")
READABLE = [{"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}]
DOORS = ("state", "state/m.room.create", "members", "joined_members", "messages")


@pytest.fixture
async def room_id(world: World) -> RoomId:
    return await world.public_room(BOB, name="hall")


async def read(world: World, user_id: Any, room_id: RoomId, path: str, **query: Any) -> Any:
    return await world.ask(user_id, "GET", f"rooms/{room_id}/{path}", **query)


async def spoken(world: World, *texts: str, **body: Any) -> RoomId:
    """A public room where ALICE said this."""
    room_id = await world.public_room(**body)
    for text in texts:
        await world.send(ALICE, room_id, text)
    return room_id


def filtering(**wanted: Any) -> str:
    return orjson.dumps(wanted).decode()


# Messages


async def test_messages_come_newest_first_or_oldest_first(world: World) -> None:
    room_id = await spoken(world, "a", "b", "c")
    assert bodies((await world.messages(ALICE, room_id, dir="b"))["chunk"]) == ["c", "b", "a"]
    assert bodies((await world.messages(ALICE, room_id, dir="f"))["chunk"]) == ["a", "b", "c"]


@pytest.mark.parametrize("direction", ["b", "f"])
async def test_pages_follow_one_another_until_there_is_no_end(world: World, direction: str) -> None:
    room_id = await spoken(world, "a", "b", "c", "d", "e")
    found, token = [], None
    for _ in range(20):
        page = await world.messages(ALICE, room_id, dir=direction, limit=2, **{"from": token})
        found += page["chunk"]
        token = page.get("end")
        if token is None:
            break
    assert token is None
    assert bodies(found) == sorted("abcde", reverse=direction == "b")
    assert len({event["event_id"] for event in found}) == len(found) == len(await world.timeline(room_id))


async def test_messages_stop_where_they_shall(world: World) -> None:
    room_id = await spoken(world, "a")
    token = (await world.sync(ALICE))["next_batch"]
    await world.send(ALICE, room_id, "b")
    assert bodies((await world.messages(ALICE, room_id, to=token))["chunk"]) == ["b"]


async def test_messages_may_begin_at_the_token_of_a_sync(world: World) -> None:
    room_id = await spoken(world, "a")
    token = (await world.sync(ALICE))["next_batch"]
    await world.send(ALICE, room_id, "b")
    assert bodies((await world.messages(ALICE, room_id, **{"from": token}))["chunk"]) == ["a"]
    assert bodies((await world.messages(ALICE, room_id, dir="f", **{"from": token}))["chunk"]) == ["b"]


async def test_messages_are_filtered(world: World) -> None:
    room_id = await spoken(world, "a")
    await world.ask(ALICE, "PUT", f"rooms/{room_id}/send/m.sticker/t", {"body": "s"})
    page = await world.messages(ALICE, room_id, filter=filtering(types=["m.sticker"]))
    assert types(page["chunk"]) == ["m.sticker"]
    page = await world.messages(ALICE, room_id, filter=filtering(not_types=["m.room.*"]))
    assert types(page["chunk"]) == ["m.sticker"]


async def test_lazily_loaded_members_are_those_who_spoke(world: World) -> None:
    room_id = await spoken(world, "a", "b")
    await world.join(BOB, room_id)
    await world.join(CAROL, room_id)
    await world.send(BOB, room_id, "c")
    page = await world.messages(ALICE, room_id, limit=1, filter=filtering(lazy_load_members=True))
    assert [event["state_key"] for event in page["state"]] == [BOB]
    assert "state" not in await world.messages(ALICE, room_id, limit=1)


@pytest.mark.parametrize(
    ("query", "errcode"),
    [
        ({"dir": None}, "M_MISSING_PARAM"),
        ({"dir": "x"}, "M_INVALID_PARAM"),
        ({"from": "x"}, "M_INVALID_PARAM"),
        ({"to": "t-1"}, "M_INVALID_PARAM"),
        ({"limit": "x"}, "M_INVALID_PARAM"),
        ({"limit": -1}, "M_INVALID_PARAM"),
        ({"filter": "{"}, "M_NOT_JSON"),
        ({"filter": "[" * 100_000}, "M_NOT_JSON"),
        ({"filter": "[]"}, "M_BAD_JSON"),
        ({"filter": '{"types":5}'}, "M_BAD_JSON"),
    ],
)
async def test_questions_that_make_no_sense_are_refused(world: World, query: dict[str, Any], errcode: str) -> None:
    path = f"rooms/{await world.room()}/messages"
    assert await world.refused(ALICE, "GET", path, **{"dir": "b", **query}) == (400, errcode)


async def test_a_limit_of_nothing_or_very_much_is_brought_within_bounds(world: World) -> None:
    room_id = await spoken(world, "a")
    assert len((await world.messages(ALICE, room_id, limit=0))["chunk"]) == 1
    assert bodies((await world.messages(ALICE, room_id, limit=10**15))["chunk"]) == ["a"]


@pytest.mark.parametrize("door", ["messages", "state", "members", "joined_members", "state/m.room.create"])
async def test_strangers_read_nothing(world: World, door: str) -> None:
    for room_id in (await world.public_room(), NOWHERE):
        assert await world.refused(BOB, "GET", f"rooms/{room_id}/{door}", dir="b") == (403, "M_FORBIDDEN")


@pytest.mark.parametrize("door", ["messages", "state", "members", "state/m.room.create"])
async def test_everybody_reads_a_world_readable_room(world: World, door: str) -> None:
    room_id = await spoken(world, "a", initial_state=READABLE)
    await world.ask(BOB, "GET", f"rooms/{room_id}/{door}", dir="b")


async def test_whoever_left_reads_nothing_of_what_came_later(world: World) -> None:
    room_id = await spoken(world, "a")
    await world.join(BOB, room_id)
    await world.leave(BOB, room_id)
    await world.send(ALICE, room_id, "later")
    assert bodies((await world.messages(BOB, room_id))["chunk"]) == ["a"]


# Context and single events


async def test_context_is_what_stands_around_an_event(world: World) -> None:
    room_id = await spoken(world, "a", "b")
    event_id = await world.send(ALICE, room_id, "middle")
    for text in ("c", "d"):
        await world.send(ALICE, room_id, text)
    found = await world.ask(ALICE, "GET", f"rooms/{room_id}/context/{event_id}", limit=3)
    assert found["event"]["event_id"] == event_id
    assert bodies(found["events_before"]) == ["b"]
    assert bodies(found["events_after"]) == ["c", "d"]


async def test_a_context_of_nothing_is_the_event_alone(world: World) -> None:
    room_id = await spoken(world, "a")
    event_id = await world.send(ALICE, room_id, "b")
    found = await world.ask(ALICE, "GET", f"rooms/{room_id}/context/{event_id}", limit=0)
    assert (found["event"]["event_id"], found["events_before"], found["events_after"]) == (event_id, [], [])


async def test_contexts_tokens_go_on_in_both_directions(world: World) -> None:
    room_id = await spoken(world, "a")
    event_id = await world.send(ALICE, room_id, "middle")
    await world.send(ALICE, room_id, "c")
    found = await world.ask(ALICE, "GET", f"rooms/{room_id}/context/{event_id}", limit=0)
    assert bodies((await world.messages(ALICE, room_id, **{"from": found["start"]}))["chunk"]) == ["a"]
    assert bodies((await world.messages(ALICE, room_id, dir="f", **{"from": found["end"]}))["chunk"]) == ["c"]


async def test_the_state_of_a_context_is_that_after_its_last_event(world: World) -> None:
    room_id = await spoken(world, name="one")
    event_id = await world.send(ALICE, room_id, "middle")
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "two"})
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "three"})
    for limit, name in ((0, "one"), (1, "two"), (9, "three")):
        found = await world.ask(ALICE, "GET", f"rooms/{room_id}/context/{event_id}", limit=limit)
        assert [event["content"]["name"] for event in found["state"] if event["type"] == "m.room.name"] == [name]


async def test_a_filter_is_for_what_stands_around_not_for_the_event(world: World) -> None:
    room_id = await spoken(world, "a")
    event_id = await world.send(ALICE, room_id, "b")
    path = f"rooms/{room_id}/context/{event_id}"
    found = await world.ask(ALICE, "GET", path, filter=filtering(not_types=["m.room.message"]))
    assert found["event"]["event_id"] == event_id
    assert bodies(found["events_before"]) == []


@pytest.mark.parametrize("door", ["context", "event"])
async def test_an_event_that_one_may_not_see_is_not_found(world: World, door: str) -> None:
    room_id = await world.public_room()
    event_id = await world.send(ALICE, room_id)
    assert await world.refused(BOB, "GET", f"rooms/{room_id}/{door}/{event_id}") == (404, "M_NOT_FOUND")
    assert await world.refused(ALICE, "GET", f"rooms/{room_id}/{door}/$unknown") == (404, "M_NOT_FOUND")
    assert await world.refused(ALICE, "GET", f"rooms/{NOWHERE}/{door}/{event_id}") == (404, "M_NOT_FOUND")


@pytest.mark.parametrize("door", ["context", "event"])
async def test_an_event_of_another_room_is_not_found(world: World, door: str) -> None:
    room_id, other = await world.room(), await world.room()
    event_id = await world.send(ALICE, other)
    assert await world.refused(ALICE, "GET", f"rooms/{room_id}/{door}/{event_id}") == (404, "M_NOT_FOUND")


@pytest.mark.parametrize("door", ["context", "event"])
async def test_what_is_no_event_id_is_invalid(world: World, door: str) -> None:
    assert await world.refused(ALICE, "GET", f"rooms/{await world.room()}/{door}/x") == (400, "M_INVALID_PARAM")


async def test_an_event_is_shown_with_room_and_age(world: World) -> None:
    room_id = await world.room()
    event_id = await world.send(ALICE, room_id, "a")
    world.clock.advance(1_000)
    found = await world.ask(ALICE, "GET", f"rooms/{room_id}/event/{event_id}")
    assert (found["event_id"], found["room_id"], found["unsigned"]["age"]) == (event_id, room_id, 1_000)


# State


async def test_the_state_is_all_current_state_events(world: World) -> None:
    room_id = await world.room(name="one")
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "two"})
    found = await world.ask(ALICE, "GET", f"rooms/{room_id}/state")
    assert len(found) == len({(event["type"], event["state_key"]) for event in found}) == 7
    assert [event["content"] for event in found if event["type"] == "m.room.name"] == [{"name": "two"}]


@pytest.mark.parametrize("path", ["state/m.room.name", "state/m.room.name/"])
async def test_the_empty_state_key_may_be_left_out(world: World, path: str) -> None:
    room_id = await world.room(name="Lobby")
    assert await world.ask(ALICE, "GET", f"rooms/{room_id}/{path}") == {"name": "Lobby"}
    assert await world.ask(ALICE, "GET", f"rooms/{room_id}/{path}", format="content") == {"name": "Lobby"}


@pytest.mark.parametrize("state_key", ["x", "a/b", "ü%"])
async def test_state_is_found_by_its_key(world: World, state_key: str) -> None:
    room_id = await world.room()
    await world.set_state(ALICE, room_id, "m.x", {"a": 1}, state_key)
    path = f"rooms/{room_id}/state/m.x/{quote(state_key, safe='')}"
    assert await world.ask(ALICE, "GET", path) == {"a": 1}
    assert await world.refused(ALICE, "GET", f"rooms/{room_id}/state/m.x") == (404, "M_NOT_FOUND")


async def test_state_may_be_asked_for_as_a_whole_event(world: World) -> None:
    room_id = await world.room(name="Lobby")
    found = await world.ask(ALICE, "GET", f"rooms/{room_id}/state/m.room.name", format="event")
    assert (found["type"], found["sender"], found["content"]) == ("m.room.name", ALICE, {"name": "Lobby"})


async def test_there_is_no_other_format(world: World) -> None:
    path = f"rooms/{await world.room(name='x')}/state/m.room.name"
    assert await world.refused(ALICE, "GET", path, format="xml") == (400, "M_INVALID_PARAM")


async def test_whoever_left_reads_the_state_as_it_was(world: World) -> None:
    room_id = await world.public_room(BOB, name="before")
    await world.leave(BOB, room_id)
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "after"})
    await world.join(CAROL, room_id)
    assert await world.ask(BOB, "GET", f"rooms/{room_id}/state/m.room.name") == {"name": "before"}
    names = [e["content"] for e in await world.ask(BOB, "GET", f"rooms/{room_id}/state") if e["type"] == "m.room.name"]
    assert names == [{"name": "before"}]
    assert await members(world, room_id, BOB) == {ALICE: "join", BOB: "leave"}


async def test_the_invited_read_no_state(world: World) -> None:
    room_id = await world.room(invite=[BOB])
    assert await world.refused(BOB, "GET", f"rooms/{room_id}/state") == (403, "M_FORBIDDEN")


# Members


async def members(world: World, room_id: RoomId, reader: UserId = ALICE, **query: Any) -> dict[str, str]:
    chunk = (await world.ask(reader, "GET", f"rooms/{room_id}/members", **query))["chunk"]
    assert set(types(chunk)) <= {"m.room.member"}
    return {event["state_key"]: event["content"]["membership"] for event in chunk}


async def of_every_kind(world: World) -> RoomId:
    """ALICE is joined, BOB invited, CAROL has left."""
    room_id = await world.public_room(CAROL)
    await world.leave(CAROL, room_id)
    await world.invite(ALICE, room_id, BOB)
    return room_id


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {ALICE, BOB, CAROL}),
        ({"membership": "join"}, {ALICE}),
        ({"membership": "ban"}, set()),
        ({"not_membership": "leave"}, {ALICE, BOB}),
        ({"membership": "invite", "not_membership": "invite"}, {ALICE, BOB, CAROL}),
        ({"membership": "join", "not_membership": "invite"}, {ALICE, CAROL}),
        ({"membership": "leave", "not_membership": "leave"}, {ALICE, BOB, CAROL}),
    ],
)
async def test_the_two_conditions_widen_each_other(world: World, query: dict[str, str], expected: set[UserId]) -> None:
    assert set(await members(world, await of_every_kind(world), ALICE, **query)) == expected


@pytest.mark.parametrize("query", [{"membership": "x"}, {"not_membership": ""}, {"at": "x"}])
async def test_conditions_that_make_no_sense_are_invalid(world: World, query: dict[str, str]) -> None:
    path = f"rooms/{await world.room()}/members"
    assert await world.refused(ALICE, "GET", path, **query) == (400, "M_INVALID_PARAM")


async def test_members_are_shown_as_at_a_token(world: World) -> None:
    room_id = await world.public_room(BOB)
    token = (await world.sync(ALICE))["next_batch"]
    await world.leave(BOB, room_id)
    await world.join(CAROL, room_id)
    assert await members(world, room_id, at=token) == {ALICE: "join", BOB: "join"}
    assert await members(world, room_id) == {ALICE: "join", BOB: "leave", CAROL: "join"}


async def test_a_token_shows_whoever_left_nothing_of_what_came_later(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.leave(BOB, room_id)
    await world.join(CAROL, room_id)
    token = (await world.sync(ALICE))["next_batch"]
    assert await members(world, room_id, BOB, at=token) == {ALICE: "join", BOB: "leave"}


async def test_joined_members_are_shown_by_name(world: World) -> None:
    await world.ask(BOB, "PUT", f"profile/{BOB}/displayname", {"displayname": "Bob"})
    room_id = await world.public_room(BOB)
    await world.invite(ALICE, room_id, CAROL)
    assert await world.ask(ALICE, "GET", f"rooms/{room_id}/joined_members") == {
        "joined": {ALICE: {}, BOB: {"display_name": "Bob"}}
    }


async def test_names_that_are_no_text_are_not_shown(world: World) -> None:
    room_id = await world.public_room()
    await world.set_state(ALICE, room_id, "m.room.member", {"membership": "join", "displayname": 5, "avatar_url": {}}, ALICE)
    assert (await world.ask(ALICE, "GET", f"rooms/{room_id}/joined_members"))["joined"] == {ALICE: {}}


async def test_whoever_left_sees_no_joined_members(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.leave(BOB, room_id)
    assert await world.refused(BOB, "GET", f"rooms/{room_id}/joined_members") == (403, "M_FORBIDDEN")


# Who may, and in which form


@pytest.mark.parametrize("door", DOORS)
async def test_strangers_and_the_invited_read_nothing(world: World, room_id: RoomId, door: str) -> None:
    for _ in range(2):
        assert await world.refused(CAROL, "GET", f"rooms/{room_id}/{door}", dir="b") == (403, "M_FORBIDDEN")
        await world.invite(ALICE, room_id, CAROL)


@pytest.mark.parametrize("door", DOORS)
async def test_whoever_rejected_an_invite_reads_no_state(world: World, room_id: RoomId, door: str) -> None:
    await world.invite(ALICE, room_id, CAROL)
    await world.leave(CAROL, room_id)
    status, body = await world.tried(CAROL, "GET", f"rooms/{room_id}/{door}", dir="b")
    if door == "messages":
        assert {event["state_key"] for event in body["chunk"]} == {CAROL}
    else:
        assert status == 403


async def test_everybody_reads_a_world_readable_room_but_not_its_joined_members(world: World) -> None:
    room_id = await world.public_room(initial_state=READABLE)
    for door in ("state", "state/m.room.create", "members", "messages"):
        await read(world, CAROL, room_id, door, dir="b")
    assert await world.refused(CAROL, "GET", f"rooms/{room_id}/joined_members") == (403, "M_FORBIDDEN")


async def test_whoever_left_reads_the_state_as_of_his_leaving(world: World, room_id: RoomId) -> None:
    await world.leave(BOB, room_id)
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "secret"})
    await world.join(CAROL, room_id)
    assert await read(world, BOB, room_id, "state/m.room.name") == {"name": "hall"}
    assert {event["state_key"] for event in (await read(world, BOB, room_id, "members"))["chunk"]} == {ALICE, BOB}
    assert "secret" not in str(await read(world, BOB, room_id, "state"))
    assert await world.refused(BOB, "GET", f"rooms/{room_id}/joined_members") == (403, "M_FORBIDDEN")
    later = (await world.sync(ALICE))["next_batch"]
    at = await read(world, BOB, room_id, "members", at=later)
    assert {event["state_key"] for event in at["chunk"]} == {ALICE, BOB}


@pytest.mark.parametrize("door", DOORS)
async def test_a_forgotten_room_is_read_no_more(world: World, room_id: RoomId, door: str) -> None:
    await world.leave(BOB, room_id)
    await world.ask(BOB, "POST", f"rooms/{room_id}/forget", {})
    assert await world.refused(BOB, "GET", f"rooms/{room_id}/{door}", dir="b") == (403, "M_FORBIDDEN")


async def test_an_event_of_a_forgotten_room_is_not_there(world: World, room_id: RoomId) -> None:
    event_id = await world.send(BOB, room_id)
    await world.leave(BOB, room_id)
    assert (await read(world, BOB, room_id, f"event/{event_id}"))["sender"] == BOB
    await world.ask(BOB, "POST", f"rooms/{room_id}/forget", {})
    assert await world.refused(BOB, "GET", f"rooms/{room_id}/event/{event_id}") == (404, "M_NOT_FOUND")


async def test_state_is_every_state_event(world: World, room_id: RoomId) -> None:
    state = await read(world, ALICE, room_id, "state")
    assert {(event["type"], event["state_key"]) for event in state} >= {("m.room.create", ""), ("m.room.member", BOB)}
    assert all(event["room_id"] == room_id for event in state)


@pytest.mark.parametrize("path", ["state/m.room.name", "state/m.room.name/"])
async def test_one_state_event_is_its_content_or_the_event(world: World, room_id: RoomId, path: str) -> None:
    assert await read(world, ALICE, room_id, path) == {"name": "hall"}
    assert await read(world, ALICE, room_id, path, format="content") == {"name": "hall"}
    event = await read(world, ALICE, room_id, path, format="event")
    assert (event["content"], event["sender"], event["room_id"]) == ({"name": "hall"}, ALICE, room_id)
    assert await world.refused(ALICE, "GET", f"rooms/{room_id}/{path}", format="x") == (400, "M_INVALID_PARAM")


async def test_state_under_a_key_is_found_by_it(world: World, room_id: RoomId) -> None:
    await world.set_state(ALICE, room_id, "m.x", {"n": 1}, "a/ü")
    assert await read(world, ALICE, room_id, "state/m.x/a%2F%C3%BC") == {"n": 1}
    assert await world.refused(ALICE, "GET", f"rooms/{room_id}/state/m.x") == (404, "M_NOT_FOUND")


async def test_membership_and_not_membership_widen_each_other(world: World, room_id: RoomId) -> None:
    await world.join(CAROL, room_id)
    await world.leave(CAROL, room_id)
    for query, expected in (
        ({}, {ALICE, BOB, CAROL}),
        ({"membership": "join"}, {ALICE, BOB}),
        ({"membership": "leave"}, {CAROL}),
        ({"not_membership": "leave"}, {ALICE, BOB}),
        ({"membership": "join", "not_membership": "join"}, {ALICE, BOB, CAROL}),
        ({"membership": "ban"}, set()),
    ):
        chunk = (await read(world, ALICE, room_id, "members", **query))["chunk"]
        assert {event["state_key"] for event in chunk} == expected
    for name in ("membership", "not_membership"):
        assert await world.refused(ALICE, "GET", f"rooms/{room_id}/members", **{name: "x"}) == (400, "M_INVALID_PARAM")


async def test_members_as_of_a_token(world: World, room_id: RoomId) -> None:
    before = (await world.sync(ALICE))["next_batch"]
    await world.join(CAROL, room_id)
    chunk = (await read(world, ALICE, room_id, "members", at=before))["chunk"]
    assert {event["state_key"] for event in chunk} == {ALICE, BOB}
    assert await world.refused(ALICE, "GET", f"rooms/{room_id}/members", at="x") == (400, "M_INVALID_PARAM")


async def test_joined_members_are_told_with_name_and_avatar(world: World, room_id: RoomId) -> None:
    content = {"membership": "join", "displayname": "Bob", "avatar_url": "mxc://x/y"}
    await world.set_state(BOB, room_id, "m.room.member", content, BOB)
    joined = (await read(world, ALICE, room_id, "joined_members"))["joined"]
    assert joined == {ALICE: {}, BOB: {"display_name": "Bob", "avatar_url": "mxc://x/y"}}


async def test_an_event_that_is_no_id_is_an_invalid_parameter(world: World, room_id: RoomId) -> None:
    assert await world.refused(ALICE, "GET", f"rooms/{room_id}/event/nonsense") == (400, "M_INVALID_PARAM")
