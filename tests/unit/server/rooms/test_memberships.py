"""In which rooms a user is, from memory and from disk."""

from pathlib import Path

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, EVE, World, open_world
from watchword.server.rooms.memberships import Memberships


async def of(world: World, user_id: object) -> dict[str, str]:
    """room → membership as remembered; the same must be on disk."""
    remembered = await world.memberships.of(user_id)  # type: ignore[arg-type]
    stored = await Memberships(world.database, world.names).of(user_id)  # type: ignore[arg-type]
    assert dict(stored) == dict(remembered)
    return {room_id: row.membership for room_id, row in remembered.items()}


async def test_a_user_nobody_ever_named_has_no_rooms(world: World) -> None:
    assert await of(world, EVE) == {}


async def test_every_membership_is_listed_by_its_room(world: World) -> None:
    joined, invited = await world.public_room(BOB), await world.room()
    left = await world.public_room(BOB)
    await world.invite(ALICE, invited, BOB)
    await world.leave(BOB, left)
    assert await of(world, BOB) == {joined: "join", invited: "invite", left: "leave"}


async def test_who_was_looked_up_before_a_change_is_up_to_date_after_it(world: World) -> None:
    room_id = await world.public_room()
    assert await of(world, BOB) == {}
    await world.join(BOB, room_id)
    assert await of(world, BOB) == {room_id: "join"}
    await world.leave(BOB, room_id)
    assert await of(world, BOB) == {room_id: "leave"}


async def test_a_row_says_who_made_the_membership_so(world: World) -> None:
    room_id = await world.room()
    await world.invite(ALICE, room_id, CAROL)
    assert (await world.memberships.of(CAROL))[room_id].sender == ALICE


async def test_a_forgotten_room_stays_listed_as_forgotten(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.leave(BOB, room_id)
    assert not (await world.memberships.of(BOB))[room_id].forgotten
    await world.ask(BOB, "POST", f"rooms/{room_id}/forget", {})
    assert (await world.memberships.of(BOB))[room_id].forgotten


async def test_memberships_survive_a_restart(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.users(ALICE)
        room_id = await world.room()
    async with open_world(tmp_path) as world:
        assert await of(world, ALICE) == {room_id: "join"}
