"""The doors of aliases and of the public directory."""

from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, World, as_admin
from watchword.protocol.ids import RoomId

LOBBY = "directory/room/%23lobby:here.example"
NOWHERE = "!nowhere:here.example"


# Aliases


async def test_an_alias_is_taken_and_found(world: World) -> None:
    room_id = await world.room()
    assert await world.ask(ALICE, "PUT", LOBBY, {"room_id": room_id}) == {}
    assert await world.ask(BOB, "GET", LOBBY) == {"room_id": room_id, "servers": ["here.example"]}


async def test_an_alias_that_names_nothing_is_not_found(world: World) -> None:
    assert await world.refused(ALICE, "GET", LOBBY) == (404, "M_NOT_FOUND")


async def test_an_alias_of_another_server_that_nobody_knows_is_not_found(world: World) -> None:
    assert await world.refused(ALICE, "GET", "directory/room/%23lobby:there.example") == (404, "M_NOT_FOUND")


async def test_an_alias_that_is_taken_is_a_conflict(world: World) -> None:
    room_id = await world.room(room_alias_name="lobby")
    assert await world.refused(ALICE, "PUT", LOBBY, {"room_id": room_id}) == (409, "M_UNKNOWN")


@pytest.mark.parametrize("alias", ["lobby", "%23lobby", "%23" + "x" * 255 + ":here.example", "%23a%00b:here.example"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_what_is_no_alias_is_an_invalid_parameter(world: World, alias: str, method: str) -> None:
    body = {"room_id": await world.room()} if method == "PUT" else None
    assert await world.refused(ALICE, method, f"directory/room/{alias}", body) == (400, "M_INVALID_PARAM")


async def test_an_alias_of_another_server_cannot_be_taken(world: World) -> None:
    body = {"room_id": await world.room()}
    assert await world.refused(ALICE, "PUT", "directory/room/%23lobby:there.example", body) == (400, "M_INVALID_PARAM")


@pytest.mark.parametrize(
    ("body", "errcode"), [({}, "M_MISSING_PARAM"), ({"room_id": 5}, "M_BAD_JSON"), ({"room_id": "x"}, "M_INVALID_PARAM")]
)
async def test_an_alias_needs_a_room(world: World, body: dict[str, Any], errcode: str) -> None:
    assert await world.refused(ALICE, "PUT", LOBBY, body) == (400, errcode)


async def test_a_deleted_alias_is_not_found(world: World) -> None:
    await world.room(room_alias_name="lobby")
    assert await world.ask(ALICE, "DELETE", LOBBY) == {}
    assert await world.refused(ALICE, "GET", LOBBY) == (404, "M_NOT_FOUND")


async def test_strangers_may_not_delete_an_alias(world: World) -> None:
    await world.room(room_alias_name="lobby")
    assert await world.refused(BOB, "DELETE", LOBBY) == (403, "M_FORBIDDEN")


async def test_an_administrator_may_delete_an_alias(world: World) -> None:
    await world.room(room_alias_name="lobby")
    assert await world.ask(BOB, "DELETE", LOBBY, requester=as_admin(BOB)) == {}


async def test_an_alias_that_names_nothing_cannot_be_deleted(world: World) -> None:
    assert await world.refused(ALICE, "DELETE", LOBBY) == (404, "M_NOT_FOUND")


async def test_members_see_the_aliases_of_a_room(world: World) -> None:
    room_id = await world.room(room_alias_name="lobby")
    assert await world.ask(ALICE, "GET", f"rooms/{room_id}/aliases") == {"aliases": ["#lobby:here.example"]}


async def test_everybody_sees_the_aliases_of_a_world_readable_room(world: World) -> None:
    visible = {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}
    room_id = await world.room(room_alias_name="lobby", initial_state=[visible])
    assert await world.ask(BOB, "GET", f"rooms/{room_id}/aliases") == {"aliases": ["#lobby:here.example"]}


async def test_others_do_not_see_the_aliases_of_a_room(world: World) -> None:
    room_id = await world.room(preset="public_chat", room_alias_name="lobby")
    assert await world.refused(BOB, "GET", f"rooms/{room_id}/aliases") == (403, "M_FORBIDDEN")
    assert await world.refused(BOB, "GET", f"rooms/{NOWHERE}/aliases") == (403, "M_FORBIDDEN")


# The list


async def published(world: World, **body: Any) -> RoomId:
    return await world.room(visibility="public", **body)


async def test_published_rooms_are_listed_and_counted(world: World) -> None:
    room_id = await published(world, name="Lobby")
    body = await world.ask(BOB, "GET", "publicRooms")
    assert [(entry["room_id"], entry["name"]) for entry in body["chunk"]] == [(room_id, "Lobby")]
    assert body["total_room_count_estimate"] == 1
    assert "next_batch" not in body


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_pages_are_turned_by_the_token_alone(world: World, method: str) -> None:
    rooms = [await published(world) for _ in range(3)]
    found: list[str] = []
    asked: dict[str, Any] = {"limit": 1}
    for _ in rooms:
        page = (
            await world.ask(BOB, "GET", "publicRooms", **asked)
            if method == "GET"
            else await world.ask(BOB, "POST", "publicRooms", asked)
        )
        found += [entry["room_id"] for entry in page["chunk"]]
        asked = {"limit": 1, "since": page.get("next_batch")}
    assert sorted(found) == sorted(rooms)
    assert asked["since"] is None


async def test_a_search_finds_words(world: World) -> None:
    room_id = await published(world, name="Lobby")
    await published(world, name="Cellar")
    body = await world.ask(BOB, "POST", "publicRooms", {"filter": {"generic_search_term": "lob"}})
    assert [entry["room_id"] for entry in body["chunk"]] == [room_id]


async def test_a_search_finds_types(world: World) -> None:
    space = await published(world, creation_content={"type": "m.space"})
    room_id = await published(world)
    for wanted, expected in ((["m.space"], {space}), ([None], {room_id}), (None, {space, room_id})):
        body = await world.ask(BOB, "POST", "publicRooms", {"filter": {"room_types": wanted}})
        assert {entry["room_id"] for entry in body["chunk"]} == expected


@pytest.mark.parametrize(
    "body",
    [
        {"filter": []},
        {"filter": {"generic_search_term": 5}},
        {"filter": {"room_types": "m.space"}},
        {"filter": {"room_types": [5]}},
        {"limit": "x"},
        {"since": 5},
    ],
)
async def test_a_search_that_is_no_search_is_bad_json(world: World, body: dict[str, Any]) -> None:
    assert await world.refused(BOB, "POST", "publicRooms", body) == (400, "M_BAD_JSON")


@pytest.mark.parametrize("limit", ["x", "-1", "1.5"])
async def test_a_limit_that_is_no_number_is_invalid(world: World, limit: str) -> None:
    assert await world.refused(BOB, "GET", "publicRooms", limit=limit) == (400, "M_INVALID_PARAM")


@pytest.mark.parametrize("limit", [0, 10**9])
async def test_a_limit_out_of_bounds_is_brought_within(world: World, limit: int) -> None:
    await published(world)
    assert len((await world.ask(BOB, "GET", "publicRooms", limit=limit))["chunk"]) == 1
    assert len((await world.ask(BOB, "POST", "publicRooms", {"limit": limit}))["chunk"]) == 1


async def test_naming_this_server_asks_this_server(world: World) -> None:
    await published(world)
    assert len((await world.ask(BOB, "GET", "publicRooms", server="here.example"))["chunk"]) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_lists_of_other_servers_are_not_here(world: World, method: str) -> None:
    assert await world.refused(BOB, method, "publicRooms", server="there.example") == (404, "M_NOT_FOUND")


# Publishing


@pytest.mark.parametrize("visibility", ["public", "private"])
async def test_everybody_may_know_whether_a_room_is_listed(world: World, visibility: str) -> None:
    room_id = await world.room(visibility=visibility)
    assert await world.ask(BOB, "GET", f"directory/list/room/{room_id}") == {"visibility": visibility}


async def test_an_unknown_room_has_no_visibility(world: World) -> None:
    assert await world.refused(BOB, "GET", f"directory/list/room/{NOWHERE}") == (404, "M_NOT_FOUND")
    assert await world.refused(BOB, "PUT", f"directory/list/room/{NOWHERE}", {}) == (404, "M_NOT_FOUND")


async def test_a_room_is_published_and_taken_off(world: World) -> None:
    path = f"directory/list/room/{await world.room()}"
    for visibility in ("public", "private"):
        assert await world.ask(ALICE, "PUT", path, {"visibility": visibility}) == {}
        assert await world.ask(ALICE, "GET", path) == {"visibility": visibility}


async def test_publishing_is_meant_if_nothing_is_said(world: World) -> None:
    path = f"directory/list/room/{await world.room()}"
    await world.ask(ALICE, "PUT", path, {})
    assert await world.ask(ALICE, "GET", path) == {"visibility": "public"}


@pytest.mark.parametrize(("value", "errcode"), [("secret", "M_INVALID_PARAM"), (5, "M_BAD_JSON")])
async def test_there_is_no_third_visibility(world: World, value: object, errcode: str) -> None:
    path = f"directory/list/room/{await world.room()}"
    assert await world.refused(ALICE, "PUT", path, {"visibility": value}) == (400, errcode)


async def test_members_without_the_level_may_not_publish(world: World) -> None:
    room_id = await world.public_room(BOB)
    path = f"directory/list/room/{room_id}"
    assert await world.refused(BOB, "PUT", path, {"visibility": "public"}) == (403, "M_FORBIDDEN")
    assert await world.ask(BOB, "PUT", path, {"visibility": "public"}, requester=as_admin(BOB)) == {}
