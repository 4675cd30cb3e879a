"""Whose keys a client is told to ask for again, and whom it may forget."""

from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World
from tests.unit.server.sync.answers import ENCRYPTED, log_in, token, upload_keys


@pytest.fixture
async def with_devices(world: World) -> World:
    for user_id in (ALICE, BOB, CAROL):
        await log_in(world, user_id)
    return world


async def lists(world: World, since: str, user_id: Any = ALICE, **query: Any) -> Any:
    return (await world.sync(user_id, since, **query)).get("device_lists")


async def test_new_keys_of_somebody_who_shares_a_room_are_told(with_devices: World) -> None:
    await with_devices.public_room(BOB, **ENCRYPTED)
    since = await token(with_devices)
    await upload_keys(with_devices, BOB)
    assert await lists(with_devices, since) == {"changed": [BOB], "left": []}


async def test_new_keys_are_told_once(with_devices: World) -> None:
    await with_devices.public_room(BOB, **ENCRYPTED)
    await upload_keys(with_devices, BOB)
    assert await lists(with_devices, await token(with_devices)) is None


async def test_new_keys_of_ones_own_are_told_to_oneself(with_devices: World) -> None:
    since = await token(with_devices)
    await upload_keys(with_devices, ALICE)
    assert await lists(with_devices, since) == {"changed": [ALICE], "left": []}


async def test_new_keys_of_strangers_are_not_told(with_devices: World) -> None:
    since = await token(with_devices)
    await upload_keys(with_devices, BOB)
    assert await lists(with_devices, since) is None


async def test_whoever_joins_an_encrypted_room_is_told_of(with_devices: World) -> None:
    room_id = await with_devices.public_room(**ENCRYPTED)
    since = await token(with_devices)
    await with_devices.join(BOB, room_id)
    assert await lists(with_devices, since) == {"changed": [BOB], "left": []}


async def test_whoever_joins_an_encrypted_room_is_told_of_all_there(with_devices: World) -> None:
    room_id = await with_devices.public_room(CAROL, **ENCRYPTED)
    since = await token(with_devices, BOB)
    await with_devices.join(BOB, room_id)
    assert await lists(with_devices, since, BOB) == {"changed": [ALICE, BOB, CAROL], "left": []}


async def test_whoever_joins_a_plain_room_is_no_news_of_keys(with_devices: World) -> None:
    room_id = await with_devices.public_room()
    since = await token(with_devices)
    await with_devices.join(BOB, room_id)
    assert await lists(with_devices, since) is None


async def test_an_invite_to_an_encrypted_room_is_no_news_of_keys(with_devices: World) -> None:
    room_id = await with_devices.room(**ENCRYPTED)
    since = await token(with_devices)
    await with_devices.invite(ALICE, room_id, BOB)
    assert await lists(with_devices, since) is None


async def test_a_room_that_becomes_encrypted_tells_of_all_there(with_devices: World) -> None:
    room_id = await with_devices.public_room(BOB)
    since = await token(with_devices)
    await with_devices.set_state(ALICE, room_id, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    assert await lists(with_devices, since) == {"changed": [ALICE, BOB], "left": []}


async def test_whoever_leaves_the_last_encrypted_room_shared_has_left(with_devices: World) -> None:
    room_id = await with_devices.public_room(BOB, **ENCRYPTED)
    since = await token(with_devices)
    await with_devices.leave(BOB, room_id)
    assert await lists(with_devices, since) == {"changed": [], "left": [BOB]}


async def test_for_whoever_leaves_all_the_others_have_left(with_devices: World) -> None:
    room_id = await with_devices.public_room(BOB, CAROL, **ENCRYPTED)
    since = await token(with_devices, BOB)
    await with_devices.leave(BOB, room_id)
    assert await lists(with_devices, since, BOB) == {"changed": [], "left": [ALICE, CAROL]}


async def test_whoever_left_is_not_told_who_came_later(with_devices: World) -> None:
    room_id = await with_devices.public_room(BOB, **ENCRYPTED)
    since = await token(with_devices, BOB)
    await with_devices.ask(ALICE, "POST", f"rooms/{room_id}/ban", {"user_id": BOB})
    await with_devices.join(CAROL, room_id)
    assert await lists(with_devices, since, BOB) == {"changed": [], "left": [ALICE]}


async def test_whoever_shares_another_room_has_not_left(with_devices: World) -> None:
    room_id = await with_devices.public_room(BOB, **ENCRYPTED)
    with_devices.clock.advance(1)
    await with_devices.public_room(BOB, **ENCRYPTED)
    since = await token(with_devices)
    await with_devices.leave(BOB, room_id)
    assert await lists(with_devices, since) is None


async def test_whoever_leaves_a_plain_room_is_no_news_of_keys(with_devices: World) -> None:
    room_id = await with_devices.public_room(BOB)
    since = await token(with_devices)
    await with_devices.leave(BOB, room_id)
    assert await lists(with_devices, since) is None


async def test_a_new_name_is_no_news_of_keys(with_devices: World) -> None:
    room_id = await with_devices.public_room(BOB, **ENCRYPTED)
    since = await token(with_devices)
    await with_devices.set_state(BOB, room_id, "m.room.member", {"membership": "join", "displayname": "B"}, BOB)
    assert await lists(with_devices, since) is None


async def test_an_initial_sync_has_no_device_lists(with_devices: World) -> None:
    await with_devices.public_room(BOB, **ENCRYPTED)
    await upload_keys(with_devices, BOB)
    assert "device_lists" not in await with_devices.sync()


async def test_a_filter_of_rooms_does_not_hide_new_keys(with_devices: World) -> None:
    await with_devices.public_room(BOB, **ENCRYPTED)
    since = await token(with_devices)
    await upload_keys(with_devices, BOB)
    assert await lists(with_devices, since, filter={"room": {"rooms": []}}) == {"changed": [BOB], "left": []}
