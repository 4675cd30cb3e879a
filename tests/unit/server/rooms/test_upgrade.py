from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, DAVE, EVE, HERE, World, open_world, types
from watchword.base import limits
from watchword.protocol.ids import RoomId, UserId
from watchword.server.rooms.append import NewPdu
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent
from watchword.storage import Tx


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as world:
        await world.users(ALICE, BOB, CAROL, DAVE)
        yield world


async def upgraded(world: World, room_id: RoomId, version: str = "12", user: UserId = ALICE, **more: Any) -> RoomId:
    body = {"new_version": version, **more}
    return RoomId((await world.ask(user, "POST", f"rooms/{room_id}/upgrade", body))["replacement_room"])


async def state(world: World, room_id: RoomId, user: UserId = ALICE) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    events = await world.ask(user, "GET", f"rooms/{room_id}/state")
    return {(event["type"], event["state_key"]): event["content"] for event in events}


@pytest.mark.parametrize("old", ["1", "3", "6", "9", "10", "11", "12"])
@pytest.mark.parametrize("new", ["1", "2", "5", "8", "11", "12"])
async def test_a_room_of_any_version_is_replaced_by_one_of_any_other(world: World, old: str, new: str) -> None:
    room_id = await world.room(ALICE, room_version=old, name="The room", preset="public_chat")
    await world.join(BOB, room_id)
    new_id = await upgraded(world, room_id, new)
    there = await state(world, new_id)
    assert there[("m.room.create", "")]["room_version"] == new
    assert there[("m.room.create", "")]["predecessor"]["room_id"] == room_id
    assert there[("m.room.name", "")] == {"name": "The room"}
    assert there[("m.room.join_rules", "")] == {"join_rule": "public"}
    here = await state(world, room_id)
    assert here[("m.room.tombstone", "")]["replacement_room"] == new_id
    assert here[("m.room.power_levels", "")]["events_default"] == 50
    await world.join(BOB, new_id)
    await world.send(BOB, new_id, "moved")
    assert await world.refused(BOB, "PUT", f"rooms/{room_id}/send/m.room.message/1", {"body": "late"}) == (403, "M_FORBIDDEN")


async def test_before_version_12_the_new_room_names_the_tombstone(world: World) -> None:
    room_id = await world.room(ALICE, room_version="11")
    new_id = await upgraded(world, room_id, "11")
    tombstone = [event for event in await world.timeline(room_id) if event["type"] == "m.room.tombstone"]
    found = await world.ask(ALICE, "GET", f"rooms/{room_id}/state/m.room.tombstone", format="event")
    assert (await state(world, new_id))[("m.room.create", "")]["predecessor"] == {
        "room_id": room_id,
        "event_id": found["event_id"],
    }
    assert len(tombstone) == 1


async def test_the_new_room_begins_with_its_creation_and_whoever_upgrades(world: World) -> None:
    room_id = await world.room(ALICE, room_version="10", topic="Of things")
    new_id = await upgraded(world, room_id, "11")
    events = await world.timeline(new_id)
    assert types(events)[:2] == ["m.room.create", "m.room.member"]
    assert types(events)[-1] == "m.room.power_levels"


async def test_somebody_with_just_the_right_to_do_it_can_replace_a_room(world: World) -> None:
    room_id = await world.room(
        ALICE, room_version="11", preset="public_chat", power_level_content_override={"users": {ALICE: 100, BOB: 50}}
    )
    await world.join(BOB, room_id)
    levels = dict((await state(world, room_id))[("m.room.power_levels", "")])
    await world.set_state(ALICE, room_id, "m.room.power_levels", {**levels, "events": {"m.room.tombstone": 50}})
    new_id = await upgraded(world, room_id, "11", BOB)
    assert (await state(world, new_id, BOB))[("m.room.power_levels", "")]["users"] == {ALICE: 100, BOB: 50}


async def test_creators_are_whom_the_request_names(world: World) -> None:
    room_id = await world.room(
        ALICE, room_version="11", power_level_content_override={"users": {ALICE: 100, BOB: 100, CAROL: 50}}
    )
    new_id = await upgraded(world, room_id, "12", additional_creators=[BOB])
    there = await state(world, new_id)
    assert there[("m.room.create", "")]["additional_creators"] == [BOB]
    assert there[("m.room.power_levels", "")]["users"] == {CAROL: 50}
    assert there[("m.room.power_levels", "")]["events"]["m.room.tombstone"] == 150


async def test_aliases_and_the_place_in_the_directory_move(world: World) -> None:
    room_id = await world.room(ALICE, visibility="public", room_alias_name="us")
    new_id = await upgraded(world, room_id)
    assert (await world.ask(BOB, "GET", f"directory/room/%23us:{HERE}".replace("%23us", "#us")))["room_id"] == new_id
    listed = await world.ask(BOB, "GET", "publicRooms")
    assert [each["room_id"] for each in listed["chunk"]] == [new_id]
    assert (await state(world, new_id))[("m.room.canonical_alias", "")] == {"alias": f"#us:{HERE}"}
    assert (await state(world, room_id))[("m.room.canonical_alias", "")] == {}


async def test_bans_hold_in_the_new_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "upgrade_bans_max", 1)
    room_id = await world.public_room(BOB, CAROL)
    for user in (BOB, CAROL, EVE):
        await world.ask(ALICE, "POST", f"rooms/{room_id}/ban", {"user_id": user, "reason": "Spam."})
    new_id = await upgraded(world, room_id)
    there = await state(world, new_id)
    for user in (BOB, CAROL, EVE):
        assert there[("m.room.member", user)] == {"membership": "ban", "reason": "Spam."}
    assert await world.refused(BOB, "POST", f"rooms/{new_id}/join", {}) == (403, "M_FORBIDDEN")


async def test_a_banned_user_who_is_named_creator_is_welcome(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.ask(ALICE, "POST", f"rooms/{room_id}/ban", {"user_id": BOB})
    new_id = await upgraded(world, room_id, additional_creators=[BOB])
    await world.join(BOB, new_id)


async def test_a_space_keeps_its_children_and_is_kept_by_those_who_name_it(world: World) -> None:
    space = await world.room(ALICE, creation_content={"type": "m.space"})
    child, gone = await world.room(ALICE), await world.room(ALICE)
    await world.set_state(ALICE, space, "m.space.child", {"via": [HERE, "there.example"]}, child)
    await world.set_state(ALICE, space, "m.space.child", {}, gone)
    await world.set_state(ALICE, child, "m.space.parent", {"via": ["there.example"], "canonical": True}, space)
    new_space = await upgraded(world, space)
    there = await state(world, new_space)
    assert there[("m.room.create", "")]["type"] == "m.space"
    assert there[("m.space.child", child)] == {"via": [HERE, "there.example"]}
    assert ("m.space.child", gone) not in there
    inside = await state(world, child)
    assert inside[("m.space.parent", new_space)] == {"via": [HERE], "canonical": True}
    assert inside[("m.space.parent", space)] == {}


async def test_the_spaces_of_a_room_name_its_replacement(world: World) -> None:
    space = await world.room(ALICE, creation_content={"type": "m.space"})
    child = await world.room(ALICE)
    await world.set_state(ALICE, space, "m.space.child", {"via": ["x.example"], "order": "a"}, child)
    await world.set_state(ALICE, child, "m.space.parent", {"via": [HERE]}, space)
    new_child = await upgraded(world, child)
    there = await state(world, space)
    assert there[("m.space.child", new_child)] == {"via": [HERE], "order": "a"}
    assert there[("m.space.child", child)] == {}
    assert (await state(world, new_child))[("m.space.parent", space)] == {"via": [HERE]}


async def test_a_space_in_which_one_may_not_name_rooms_stays_as_it_is(world: World) -> None:
    space = await world.room(BOB, creation_content={"type": "m.space"}, preset="public_chat")
    child = await world.room(ALICE)
    await world.set_state(BOB, space, "m.space.child", {"via": [HERE]}, child)
    await world.join(ALICE, space)
    new_child = await upgraded(world, child)
    there = await state(world, space)
    assert there[("m.space.child", child)] == {"via": [HERE]}
    assert ("m.space.child", new_child) not in there


async def test_what_the_new_version_cannot_carry_is_left_out(world: World) -> None:
    room_id = await world.room(ALICE, room_version="5")
    await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "Of things", "weight": 1.5})
    new_id = await upgraded(world, room_id, "11")
    assert ("m.room.topic", "") not in await state(world, new_id)


@pytest.mark.parametrize(
    ("user", "body", "expected"),
    [
        (ALICE, {}, (400, "M_MISSING_PARAM")),
        (ALICE, {"new_version": "99"}, (400, "M_UNSUPPORTED_ROOM_VERSION")),
        (ALICE, {"new_version": 12}, (400, "M_BAD_JSON")),
        (ALICE, {"new_version": "12", "additional_creators": "me"}, (400, "M_BAD_JSON")),
        (ALICE, {"new_version": "12", "additional_creators": ["me"]}, (400, "M_INVALID_PARAM")),
        (ALICE, {"new_version": "12", "additional_creators": [1]}, (400, "M_INVALID_PARAM")),
        (BOB, {"new_version": "12"}, (403, "M_FORBIDDEN")),
        (CAROL, {"new_version": "12"}, (403, "M_FORBIDDEN")),
    ],
)
async def test_bad_requests_are_refused(world: World, user: UserId, body: dict[str, Any], expected: tuple[int, str]) -> None:
    room_id = await world.public_room(BOB)
    assert await world.refused(user, "POST", f"rooms/{room_id}/upgrade", body) == expected
    assert ("m.room.tombstone", "") not in await state(world, room_id)


async def test_additional_creators_do_not_matter_where_creators_are_as_others(world: World) -> None:
    room_id = await world.room(ALICE, room_version="11")
    new_id = await upgraded(world, room_id, "11", additional_creators="nonsense")
    assert "additional_creators" not in (await state(world, new_id))[("m.room.create", "")]


async def test_a_replacement_that_cannot_be_written_leaves_everything_as_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = await world.room(ALICE, room_alias_name="us")
    original = world.appender.append
    left = 4

    async def failing(tx: Tx, room: Room, event: NewPdu) -> StoredEvent:
        nonlocal left
        left -= 1
        if left < 0:
            raise RuntimeError("the machine stops")
        return await original(tx, room, event)

    monkeypatch.setattr(world.appender, "append", failing)
    with pytest.raises(RuntimeError):
        await upgraded(world, room_id)
    monkeypatch.undo()
    assert ("m.room.tombstone", "") not in await state(world, room_id)
    assert (await world.ask(BOB, "GET", f"directory/room/#us:{HERE}"))["room_id"] == room_id
    assert await world.reader.joined_rooms(ALICE) == [room_id]
    await upgraded(world, room_id)
