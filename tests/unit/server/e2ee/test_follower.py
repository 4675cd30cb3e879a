import asyncio

import pytest

from tests.unit.server.e2ee.world import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    LAPTOP,
    PHONE,
    World,
    cross_signing_key,
    device_keys,
    sign,
    signer,
)
from watchword.base import limits
from watchword.protocol.ids import EventId, RoomId
from watchword.server.changes import (
    AccountDeactivated,
    Change,
    DeviceDeleted,
    DeviceListChanged,
    EventAppended,
    PushersChanged,
    StateChanged,
)
from watchword.storage.log import Position


async def append(world: World, *changes: Change) -> None:
    async with world.database.write() as tx:
        for change in changes:
            await world.log.append(tx, change)


def leave(user: str) -> EventAppended:
    return EventAppended(RoomId("!r"), EventId("$e"), "m.room.member", user, CAROL, False, "leave")


async def test_a_deleted_device_takes_its_keys_and_messages_along(world: World) -> None:
    await world.ask("POST", "keys/upload", {"device_keys": device_keys(), "one_time_keys": {"a:1": "x"}})
    await world.ask("PUT", "sendToDevice/m.test/t", {"messages": {ALICE: {PHONE: {}}}}, user=BOB)
    assert len(await world.messages()) == 1
    await append(
        world, DeviceDeleted(ALICE, PHONE), DeviceListChanged(ALICE, PHONE, deleted=True), DeviceDeleted(ALICE, LAPTOP)
    )
    await world.follower.catch_up()
    assert await world.messages() == []
    assert await world.reader.key_counts(ALICE, PHONE) == ({"signed_curve25519": 0}, ())
    assert (await world.ask("POST", "keys/query", {"device_keys": {ALICE: []}}))["device_keys"] == {ALICE: {}}


async def test_a_deactivated_account_keeps_no_cross_signing_keys_and_no_backup(world: World) -> None:
    await world.ask("POST", "keys/device_signing/upload", {"master_key": cross_signing_key("master", 5)})
    await world.ask("POST", "room_keys/version", {"algorithm": "a", "auth_data": {}})
    await append(world, AccountDeactivated(ALICE, False))
    await world.follower.catch_up()
    assert await world.reader.signing_key_edu(ALICE) == {"user_id": ALICE}
    assert await world.service.backup.create(ALICE, "a", {}) == "1"


async def is_cached(world: World) -> bool:
    """Whether a query about Carol is answered without asking her server. Asking tracks her again."""
    questions = len(world.neighbours.questions)
    await world.ask("POST", "keys/query", {"device_keys": {CAROL: []}})
    return len(world.neighbours.questions) == questions


@pytest.mark.parametrize(
    ("change", "is_dropped"),
    [(leave(CAROL), True), (leave(ALICE), True), (StateChanged(RoomId("!r"), []), True), (leave(DAVE), False)],
)
async def test_a_list_is_dropped_when_its_user_shares_no_room_any_more(world: World, change: Change, is_dropped: bool) -> None:
    world.neighbours.share(ALICE, CAROL)
    world.neighbours.device_lists[CAROL] = {"user_id": CAROL, "stream_id": 1, "devices": []}
    await is_cached(world)
    await world.settle()
    await world.service.lists.fetch_due()
    await append(world, change)
    await world.follower.catch_up()
    assert await is_cached(world)
    world.neighbours.part(CAROL)
    await append(world, change)
    await world.follower.catch_up()
    assert await is_cached(world) is not is_dropped


async def test_a_follower_that_starts_again_goes_on_where_it_was(world: World) -> None:
    await append(world, DeviceListChanged(ALICE, PHONE), DeviceListChanged(ALICE, LAPTOP))
    await world.follower.catch_up()
    async with world.database.read() as view:
        assert await world.log.cursor(view, "e2ee") == 2
    await append(world, PushersChanged(ALICE))
    await world.follower.catch_up()
    async with world.database.read() as view:
        assert await world.log.cursor(view, "e2ee") == 2
    await world.follower.start()
    assert dict(await world.reader.device_list_changes(Position(0), Position(9))) == {ALICE: 2}


async def test_a_user_who_changes_often_keeps_the_last_changes_only(world: World) -> None:
    many = limits.device_list_changes_per_user_max * 2
    await append(world, *(DeviceListChanged(ALICE, PHONE) for _ in range(many)))
    await world.follower.catch_up()
    assert dict(await world.reader.device_list_changes(Position(0), Position(many))) == {ALICE: many}
    assert await world.reader.device_list_changes(Position(0), Position(many // 4)) == []
    assert (await world.reader.device_list_edu(ALICE, PHONE, False))["prev_id"] == [many - 1]


async def test_it_acts_as_soon_as_something_concerns_it(world: World) -> None:
    following = asyncio.ensure_future(world.follower.run())
    await append(world, DeviceListChanged(ALICE, PHONE))
    for _ in range(200):
        await asyncio.sleep(0.001)
        if not world.recent.between(Position(0), Position(9)):
            break
    assert dict(await world.reader.device_list_changes(Position(0), Position(9))) == {ALICE: 1}
    assert not world.recent.between(Position(0), Position(9))
    following.cancel()


async def test_a_signature_on_a_deleted_device_goes_with_it(world: World) -> None:
    keys = {"master_key": cross_signing_key("master", 5), "self_signing_key": cross_signing_key("self_signing", 6, by=5)}
    await world.ask("POST", "keys/device_signing/upload", keys)
    await world.ask("POST", "keys/upload", {"device_keys": device_keys()})
    signed = sign(device_keys(), ALICE, signer(6).verify_key.to_base64(), signer(6))
    assert await world.ask("POST", "keys/signatures/upload", {ALICE: {PHONE: signed}}) == {"failures": {}}
    await append(world, DeviceDeleted(ALICE, PHONE))
    await world.follower.catch_up()
    await world.ask("POST", "keys/upload", {"device_keys": device_keys()})
    answer = await world.ask("POST", "keys/query", {"device_keys": {ALICE: []}})
    assert answer["device_keys"][ALICE][PHONE]["signatures"] == device_keys()["signatures"]
