"""Filters as a client sends them; what each of their rules does to a response."""

from typing import Any

import orjson
import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World, bodies, types
from tests.unit.server.sync.answers import join, token
from watchword.base.errors import BadRequest, NotFound
from watchword.protocol.ids import RoomId
from watchword.server.sync.filters import NO_FILTER, Filters


@pytest.fixture
async def filters(world: World) -> Filters:
    return Filters(world.accounts.reader)


async def shown(world: World, room_id: RoomId, since: str, timeline: dict[str, Any]) -> list[str]:
    """The messages that a timeline filter lets through."""
    told_of = join(await world.sync(ALICE, since, filter={"room": {"timeline": timeline}}), room_id)
    return [] if told_of is None else bodies(told_of["timeline"]["events"])


# Finding


async def test_no_filter_is_everything(filters: Filters) -> None:
    assert await filters.find(ALICE, None) is NO_FILTER


async def test_what_begins_with_a_brace_is_the_filter_itself(filters: Filters) -> None:
    found = await filters.find(ALICE, '{"room":{"timeline":{"limit":3}}}')
    assert found.timeline.limit == 3


async def test_anything_else_is_the_id_of_a_stored_filter(world: World) -> None:
    room_id = await world.room()
    for number in range(3):
        await world.send(ALICE, room_id, str(number))
    body = {"room": {"timeline": {"limit": 1}}}
    filter_id = (await world.ask(ALICE, "POST", f"user/{ALICE}/filter", body))["filter_id"]
    assert bodies(join(await world.sync(ALICE, filter=filter_id), room_id)["timeline"]["events"]) == ["2"]


async def test_the_filter_of_another_user_is_not_found(world: World, filters: Filters) -> None:
    filter_id = (await world.ask(ALICE, "POST", f"user/{ALICE}/filter", {}))["filter_id"]
    with pytest.raises(NotFound):
        await filters.find(BOB, filter_id)


async def test_an_unknown_filter_is_not_found(filters: Filters) -> None:
    with pytest.raises(NotFound):
        await filters.find(ALICE, "nonsense")


async def test_the_same_text_is_the_same_filter_to_all(filters: Filters) -> None:
    text = '{"room":{"timeline":{"limit":3}}}'
    first, second = await filters.find(ALICE, text), await filters.find(BOB, text)
    assert first.key == second.key


async def test_other_texts_are_other_filters(filters: Filters) -> None:
    first, second = await filters.find(ALICE, "{}"), await filters.find(ALICE, '{"room":{}}')
    assert len({first.key, second.key, NO_FILTER.key}) == 3


@pytest.mark.parametrize(
    ("value", "errcode"),
    [
        ("{", "M_NOT_JSON"),
        ("{" * 60_000, "M_NOT_JSON"),
        ('{"room":' * 5_000, "M_NOT_JSON"),
        ('{"x":"%s"}' % ("x" * 65_536), "M_BAD_JSON"),
        ({"room": 1}, "M_BAD_JSON"),
        ({"room": None}, "M_BAD_JSON"),
        ({"room": {"timeline": []}}, "M_BAD_JSON"),
        ({"room": {"timeline": {"limit": "many"}}}, "M_BAD_JSON"),
        ({"room": {"timeline": {"limit": -1}}}, "M_BAD_JSON"),
        ({"room": {"timeline": {"types": "m.x"}}}, "M_BAD_JSON"),
        ({"room": {"rooms": [1]}}, "M_BAD_JSON"),
        ({"room": {"include_leave": "yes"}}, "M_BAD_JSON"),
        ({"room": {"state": {"lazy_load_members": 1}}}, "M_BAD_JSON"),
        ({"event_fields": "content"}, "M_BAD_JSON"),
        ({"event_fields": [1]}, "M_BAD_JSON"),
        ({"event_format": "telegram"}, "M_BAD_JSON"),
        ({"event_format": []}, "M_BAD_JSON"),
        ({"presence": 1}, "M_BAD_JSON"),
        ({"account_data": {"not_types": {}}}, "M_BAD_JSON"),
    ],
)
async def test_a_filter_that_is_none_is_refused(filters: Filters, value: Any, errcode: str) -> None:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    with pytest.raises(BadRequest, match=errcode):
        await filters.find(ALICE, text)


# Rules


async def test_only_rooms_that_are_named_are_told_of(world: World) -> None:
    wanted, _ = await world.room(), await world.room()
    body = await world.sync(ALICE, filter={"room": {"rooms": [wanted]}})
    assert body["rooms"]["join"].keys() == {wanted}


async def test_not_rooms_win(world: World) -> None:
    first, second = await world.room(), await world.room()
    body = await world.sync(ALICE, filter={"room": {"rooms": [first, second], "not_rooms": [second]}})
    assert body["rooms"]["join"].keys() == {first}


async def test_an_empty_list_of_rooms_is_none(world: World) -> None:
    await world.room()
    assert "rooms" not in await world.sync(ALICE, filter={"room": {"rooms": []}})


async def test_a_star_in_a_type_stands_for_anything(world: World) -> None:
    room_id = await world.room()
    since = await token(world)
    await world.send(ALICE, room_id)
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "x"})
    await world.set_state(ALICE, room_id, "org.other", {})
    wanted = {"room": {"timeline": {"types": ["m.room.*"]}}}
    events = join(await world.sync(ALICE, since, filter=wanted), room_id)["timeline"]["events"]
    assert types(events) == ["m.room.message", "m.room.name"]


async def test_not_types_win(world: World) -> None:
    room_id = await world.room()
    since = await token(world)
    await world.send(ALICE, room_id)
    assert await shown(world, room_id, since, {"types": ["m.room.message"], "not_types": ["m.room.*"]}) == []


async def test_an_empty_list_of_types_is_none(world: World) -> None:
    room_id = await world.room()
    since = await token(world)
    await world.send(ALICE, room_id)
    assert await shown(world, room_id, since, {"types": []}) == []


async def test_senders_are_chosen(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    since = await token(world)
    for user_id in (ALICE, BOB, CAROL):
        await world.send(user_id, room_id, user_id)
    assert await shown(world, room_id, since, {"senders": [BOB, CAROL]}) == [BOB, CAROL]
    assert await shown(world, room_id, since, {"senders": [BOB, CAROL], "not_senders": [CAROL]}) == [BOB]
    assert await shown(world, room_id, since, {"senders": []}) == []


@pytest.mark.parametrize(("wanted", "expected"), [(True, ["with"]), (False, ["without"])])
async def test_events_are_chosen_by_having_a_url(world: World, wanted: bool, expected: list[str]) -> None:
    room_id = await world.room()
    since = await token(world)
    await world.send(ALICE, room_id, "with", url="mxc://here.example/x")
    await world.send(ALICE, room_id, "without")
    assert await shown(world, room_id, since, {"contains_url": wanted}) == expected


async def test_global_account_data_is_chosen_by_type(world: World) -> None:
    await world.ask(ALICE, "PUT", f"user/{ALICE}/account_data/x", {})
    await world.ask(ALICE, "PUT", f"user/{ALICE}/account_data/y", {})
    body = await world.sync(ALICE, filter={"account_data": {"types": ["x", "y"], "not_types": ["y"]}})
    assert types(body["account_data"]["events"]) == ["x"]


async def test_account_data_of_rooms_is_chosen_by_type(world: World) -> None:
    room_id = await world.room()
    await world.ask(ALICE, "PUT", f"user/{ALICE}/rooms/{room_id}/account_data/x", {})
    await world.ask(ALICE, "PUT", f"user/{ALICE}/rooms/{room_id}/account_data/y", {})
    body = await world.sync(ALICE, filter={"room": {"account_data": {"types": ["x"]}}})
    assert types(join(body, room_id)["account_data"]["events"]) == ["x"]
