"""Lazily loaded members: those who speak, each once, unless the answer was lost."""

from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, LAPTOP, World
from watchword.protocol.ids import RoomId

LAZY = {"room": {"state": {"lazy_load_members": True}}}


def members(section: Any, name: str = "state") -> list[str]:
    return sorted(event["state_key"] for event in section[name]["events"] if event["type"] == "m.room.member")


async def sync(world: World, since: str | None = None, limit: int | None = None, **more: Any) -> Any:
    filter_: dict[str, Any] = {"room": {"state": {"lazy_load_members": True, **more.pop("state", {})}}}
    if limit is not None:
        filter_["room"]["timeline"] = {"limit": limit}
    return await world.sync(ALICE, since, filter=filter_, **more)


async def section(world: World, room_id: RoomId, since: str | None = None, limit: int | None = None, **more: Any) -> Any:
    return (await sync(world, since, limit, **more))["rooms"]["join"][room_id]


@pytest.fixture
async def room_id(world: World) -> RoomId:
    """A room whose members joined long ago."""
    made = await world.public_room(BOB, CAROL)
    for number in range(12):
        await world.send(ALICE, made, str(number))
    return made


async def test_a_first_sync_has_those_who_speak_heroes_and_oneself(world: World) -> None:
    made = await world.public_room(BOB, CAROL)
    others = [f"user{number}" for number in range(8)]
    for name in others:
        await world.accounts.registrar.register_as_operator(name, "correct horse", admin=False, wants_login=False)
        await world.join(f"@{name}:here.example", made)  # type: ignore[arg-type]
    await world.send(f"@{others[-1]}:here.example", made)  # type: ignore[arg-type]
    found = await section(world, made, limit=1)
    assert set(found["summary"]["m.heroes"]) | {ALICE, f"@{others[-1]}:here.example"} == set(members(found))
    assert len(found["summary"]["m.heroes"]) == 5


async def test_a_sender_is_introduced_once(world: World, room_id: RoomId) -> None:
    first = await sync(world, limit=1)
    await world.send(BOB, room_id)
    second = await sync(world, first["next_batch"])
    introduced = members(second["rooms"]["join"][room_id])
    # BOB is a hero: the first answer had him.
    assert introduced == []
    assert BOB in members(first["rooms"]["join"][room_id])


async def test_a_sender_whom_the_client_cannot_know_is_introduced_once(world: World, room_id: RoomId) -> None:
    since = (await world.sync(ALICE, filter=LAZY, device=LAPTOP))["next_batch"]
    since = (await sync(world, since))["next_batch"]
    await world.send(BOB, room_id)
    body = await sync(world, since)
    assert members(body["rooms"]["join"][room_id]) == [BOB]
    await world.send(BOB, room_id)
    assert members(await section(world, room_id, body["next_batch"])) == []
    redundant = await section(world, room_id, body["next_batch"], state={"include_redundant_members": True})
    assert members(redundant) == [BOB]


async def test_an_answer_that_was_lost_is_given_again_with_its_members(world: World, room_id: RoomId) -> None:
    since = (await world.sync(ALICE, filter=LAZY, device=LAPTOP))["next_batch"]
    since = (await sync(world, since))["next_batch"]
    await world.send(BOB, room_id)
    assert members(await section(world, room_id, since)) == [BOB]
    assert members(await section(world, room_id, since)) == [BOB]
    await world.send(BOB, room_id)
    assert members(await section(world, room_id, since)) == [BOB]


async def test_devices_are_introduced_by_themselves(world: World, room_id: RoomId) -> None:
    since = (await world.sync(ALICE, filter=LAZY))["next_batch"]
    await world.send(BOB, room_id)
    assert members(await section(world, room_id, since)) == []
    assert members(await section(world, room_id, since, device=LAPTOP)) == [BOB]


async def test_membership_changes_in_a_gap_are_told_even_of_those_who_are_silent(world: World, room_id: RoomId) -> None:
    since = (await sync(world))["next_batch"]
    await world.leave(CAROL, room_id)
    for number in range(3):
        await world.send(ALICE, room_id, str(number))
    assert members(await section(world, room_id, since, limit=2)) == [CAROL]


async def test_a_sender_who_takes_another_name_is_introduced_as_he_was_before(world: World, room_id: RoomId) -> None:
    since = (await world.sync(ALICE, filter=LAZY, device=LAPTOP))["next_batch"]
    since = (await sync(world, since))["next_batch"]
    await world.send(BOB, room_id)
    await world.set_state(BOB, room_id, "m.room.member", {"membership": "join", "displayname": "Bobby"}, BOB)
    found = await section(world, room_id, since)
    (event,) = [event for event in found["state"]["events"] if event["type"] == "m.room.member"]
    assert (event["state_key"], event["content"]) == (BOB, {"membership": "join"})
    after = await section(world, room_id, since, use_state_after="true")
    assert [event["content"].get("displayname") for event in after["state_after"]["events"]] == ["Bobby"]


async def test_a_state_filter_keeps_members_out(world: World, room_id: RoomId) -> None:
    since = (await world.sync(ALICE, filter=LAZY, device=LAPTOP))["next_batch"]
    await world.send(BOB, room_id)
    found = await section(world, room_id, since, state={"types": ["m.room.name"]})
    assert members(found) == []
    found = await section(world, room_id, since, state={"not_senders": [BOB]})
    assert members(found) == []
