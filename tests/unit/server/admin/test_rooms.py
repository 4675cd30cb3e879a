"""Rooms: lists, sheets, members."""

import pytest

from tests.unit.server.admin.world import ALICE, BOB, V3, AdminWorld, quoted
from watchword.base.errors import BadRequest, NotFound
from watchword.protocol.ids import RoomId
from watchword.server.admin.rooms import ORDERS, RoomDesk, RoomQuery


def _desk(world: AdminWorld) -> RoomDesk:
    return world.server.admin.door.rooms


async def _names(world: AdminWorld, **query: object) -> list[str | None]:
    page, total = await _desk(world).page(RoomQuery(**query))  # type: ignore[arg-type]
    assert total >= len(page)
    return [room.name for room in page]


@pytest.fixture
async def housed(world: AdminWorld) -> AdminWorld:
    """Three rooms: a large public one, one that everybody has left, one without a name."""
    choir = await world.room(name="Choir", preset="public_chat", visibility="public", room_alias_name="singers")
    await world.call("bob", "POST", f"{V3}/rooms/{quoted(choir)}/join", {})
    empty = await world.room("bob", name="Attic")
    await world.call("bob", "POST", f"{V3}/rooms/{quoted(empty)}/leave", {})
    await world.room("bob")
    return world


async def test_rooms_are_ordered_with_the_nameless_last(housed: AdminWorld) -> None:
    assert await _names(housed) == ["Attic", "Choir", None]
    assert await _names(housed, backwards=True) == [None, "Choir", "Attic"]
    assert (await _names(housed, order_by="joined_members"))[0] == "Choir"
    assert await _names(housed, start=1, limit=1) == ["Choir"]


@pytest.mark.parametrize("order", ORDERS)
async def test_every_order_is_one(housed: AdminWorld, order: str) -> None:
    assert set(await _names(housed, order_by=order)) == {"Attic", "Choir", None}


async def test_an_unknown_order_is_refused(housed: AdminWorld) -> None:
    with pytest.raises(BadRequest):
        await _names(housed, order_by="beauty")


async def test_rooms_are_searched_and_chosen(housed: AdminWorld) -> None:
    assert await _names(housed, search="CHO") == ["Choir"]
    assert await _names(housed, search="#singers") == ["Choir"]
    assert await _names(housed, search="no such thing") == []
    assert await _names(housed, public=True) == ["Choir"]
    assert await _names(housed, public=False) == ["Attic", None]
    assert await _names(housed, empty=True) == ["Attic"]
    (room,), _ = await _desk(housed).page(RoomQuery(search="Choir"))
    assert await _names(housed, search=room.room_id) == ["Choir"]


async def test_a_sheet_says_what_there_is_of_a_room(world: AdminWorld) -> None:
    room_id = RoomId(await world.room(name="Choir", topic="Songs", room_alias_name="choir"))
    await world.call(
        "alice", "PUT", f"{V3}/rooms/{quoted(room_id)}/state/m.room.avatar/", {"url": "mxc://here.example/picture"}
    )
    sheet = await _desk(world).sheet(room_id)
    assert (sheet.entry.name, sheet.topic, sheet.avatar_url) == ("Choir", "Songs", "mxc://here.example/picture")
    assert (sheet.aliases, sheet.servers, sheet.blocked_by) == (["#choir:here.example"], 1, None)
    assert sheet.state_types["m.room.member"] == 1
    assert sheet.size.events > 5


async def test_members_are_listed_by_membership(world: AdminWorld) -> None:
    room_id = RoomId(await world.room(invite=[BOB]))
    assert await _desk(world).members(room_id, "join", "", 10) == [(ALICE, True)]
    assert await _desk(world).members(room_id, "invite", "", 10) == [(BOB, True)]
    with pytest.raises(BadRequest):
        await _desk(world).members(room_id, "friend", "", 10)
    with pytest.raises(NotFound):
        await _desk(world).members(RoomId("!no:x"), "join", "", 10)
