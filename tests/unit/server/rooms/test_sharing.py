"""How sharing rooms changed between two positions."""

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World
from watchword.server.rooms.sharing import SharingHistory


@pytest.fixture
def history(world: World) -> SharingHistory:
    return SharingHistory(world.reader)


async def test_who_joins_a_room_of_mine_begins_to_share(world: World, history: SharingHistory) -> None:
    room_id = await world.public_room()
    before = world.log.position
    await world.join(BOB, room_id)
    assert await history.sharing_changes(ALICE, before, world.log.position) == ({BOB}, set())


async def test_everybody_begins_to_share_when_i_join(world: World, history: SharingHistory) -> None:
    room_id = await world.public_room(BOB)
    before = world.log.position
    await world.join(CAROL, room_id)
    begun, ended = await history.sharing_changes(CAROL, before, world.log.position)
    assert {ALICE, BOB} <= begun
    assert ended == set()


async def test_who_leaves_the_only_room_ends_to_share(world: World, history: SharingHistory) -> None:
    room_id = await world.public_room(BOB)
    before = world.log.position
    await world.leave(BOB, room_id)
    assert await history.sharing_changes(ALICE, before, world.log.position) == (set(), {BOB})


async def test_leaving_ends_sharing_with_all_who_stay(world: World, history: SharingHistory) -> None:
    room_id = await world.public_room(BOB, CAROL)
    before = world.log.position
    await world.leave(BOB, room_id)
    assert await history.sharing_changes(BOB, before, world.log.position) == (set(), {ALICE, CAROL})


async def test_who_shares_another_room_goes_on_sharing(world: World, history: SharingHistory) -> None:
    first = await world.public_room(BOB)
    await world.public_room(BOB)
    before = world.log.position
    await world.leave(BOB, first)
    assert await history.sharing_changes(ALICE, before, world.log.position) == (set(), set())


async def test_a_new_display_name_changes_nothing(world: World, history: SharingHistory) -> None:
    room_id = await world.public_room(BOB)
    before = world.log.position
    await world.set_state(BOB, room_id, "m.room.member", {"membership": "join", "displayname": "B"}, BOB)
    assert await history.sharing_changes(ALICE, before, world.log.position) == (set(), set())
