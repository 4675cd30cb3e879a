import asyncio
from typing import Any

import pytest

from tests.unit.server.e2ee.world import ALICE, CAROL, DAVE, THERE, World, cross_signing_key, device_keys
from watchword.protocol.ids import DeviceId, UserId
from watchword.server.changes import CrossSigningChanged, DeviceListChanged
from watchword.storage.log import Position

C1, C2 = DeviceId("C1"), DeviceId("C2")


def listed(stream_id: int, *devices: DeviceId, user: UserId = CAROL, **more: Any) -> dict[str, Any]:
    found = [{"device_id": device, "keys": device_keys(user, device), "device_display_name": "Name"} for device in devices]
    return {"user_id": user, "stream_id": stream_id, "devices": found, **more}


def update(stream_id: int, prev: list[int], device: DeviceId = C2, user: str = CAROL, **more: Any) -> dict[str, Any]:
    keys = device_keys(UserId(user), device)
    return {"user_id": user, "device_id": device, "stream_id": stream_id, "prev_id": prev, "keys": keys, **more}


async def devices(world: World, user: UserId = CAROL) -> list[str]:
    answer = await world.ask("POST", "keys/query", {"device_keys": {user: []}})
    return sorted(answer["device_keys"].get(user, {}))


async def tracked(world: World) -> World:
    """Carol shares a room with Alice; her list with C1 is known up to 5."""
    world.neighbours.share(ALICE, CAROL)
    world.neighbours.device_lists[CAROL] = listed(5, C1)
    await devices(world)
    await world.settle()
    assert await world.service.lists.fetch_due() == 1
    world.neighbours.questions.clear()
    return world


async def changes(world: World) -> list[object]:
    return [logged.change for logged in await world.log.read(Position(0), 100)]


async def test_a_tracked_list_answers_without_asking_its_server(world: World) -> None:
    await tracked(world)
    answer = await world.ask("POST", "keys/query", {"device_keys": {CAROL: []}})
    shown = {**device_keys(CAROL, C1), "unsigned": {"device_display_name": "Name"}}
    assert answer["device_keys"] == {CAROL: {C1: shown}}
    assert (await world.ask("POST", "keys/query", {"device_keys": {CAROL: [C2]}}))["device_keys"] == {CAROL: {}}
    assert world.neighbours.questions == []


async def test_users_who_share_no_room_are_not_tracked(world: World) -> None:
    await devices(world)
    await world.settle()
    assert await world.service.lists.fetch_due() == 0


async def test_an_update_that_follows_is_applied(world: World) -> None:
    await tracked(world)
    await world.service.receive_device_list_update(THERE, update(6, [5]))
    assert await devices(world) == [C1, C2]
    await world.service.receive_device_list_update(THERE, update(7, [6], C1, deleted=True))
    assert await devices(world) == [C2]
    assert world.neighbours.questions == []
    assert (await changes(world))[-2:] == [DeviceListChanged(CAROL, C2), DeviceListChanged(CAROL, C1, True)]


async def test_a_repeated_update_is_ignored(world: World) -> None:
    await tracked(world)
    before = world.log.position
    for stream_id in (5, 4):
        await world.service.receive_device_list_update(THERE, update(stream_id, [stream_id - 1]))
    assert world.log.position == before
    assert await devices(world) == [C1]


async def test_a_gap_makes_the_list_stale_until_it_was_fetched_again(world: World) -> None:
    await tracked(world)
    await world.service.receive_device_list_update(THERE, update(8, [7]))
    await devices(world)
    assert world.neighbours.questions == [("query", {CAROL: []})]
    world.neighbours.device_lists[CAROL] = listed(8, C2)
    assert await world.service.lists.fetch_due() == 1
    world.neighbours.questions.clear()
    assert await devices(world) == [C2]
    assert world.neighbours.questions == []
    assert (await changes(world))[-2:] == [DeviceListChanged(CAROL, C2), DeviceListChanged(CAROL, None)]


async def test_an_update_that_comes_while_the_list_is_fetched_is_not_lost(world: World) -> None:
    await tracked(world)
    await world.service.lists.server_was_down(THERE)

    async def user_devices(server_name: str, user_id: UserId) -> dict[str, Any]:
        await world.service.receive_device_list_update(THERE, update(6, [5]))
        return listed(5, C1)

    world.neighbours.user_devices = user_devices  # type: ignore[method-assign]
    await world.service.lists.fetch_due()
    await devices(world)
    assert world.neighbours.questions == [("query", {CAROL: []})]


async def test_a_server_that_is_down_is_asked_again_later_and_less_and_less_often(world: World) -> None:
    await tracked(world)
    await world.service.lists.server_was_down(THERE)
    world.neighbours.down.add(THERE)
    waits = []
    for _ in range(12):
        assert await world.service.lists.fetch_due() == 1
        waited = 0
        while not await world.service.lists.fetch_due():
            world.clock.advance(30_000)
            waited += 30_000
            if waited > 3_600_000:
                break
            async with world.database.read() as view:
                row = await view.fetch_one("SELECT retry_ts FROM remote_device_lists")
            assert row is not None
            if row[0] <= world.clock.now_ms():
                break
        waits.append(waited)
    assert waits[:3] == [30_000, 60_000, 120_000]
    assert waits[-1] == 3_600_000
    world.neighbours.down.clear()
    assert await world.service.lists.fetch_due() == 1
    world.neighbours.questions.clear()
    assert await devices(world) == [C1]
    assert world.neighbours.questions == []


@pytest.mark.parametrize("answer", [None, {"user_id": ALICE}, {}, listed(-1), {**listed(1), "devices": {}}])
async def test_a_list_that_does_not_exist_or_is_malformed_is_not_kept(world: World, answer: dict[str, Any] | None) -> None:
    await tracked(world)
    del world.neighbours.device_lists[CAROL]
    if answer is not None:
        world.neighbours.device_lists[CAROL] = answer
    await world.service.lists.server_was_down(THERE)
    await world.service.lists.fetch_due()
    await devices(world)
    assert world.neighbours.questions[-1] == ("query", {CAROL: []})


@pytest.mark.parametrize(
    "content",
    [
        update(6, [5], user="@carol:evil.example"),
        update(6, [5], user=ALICE),
        {**update(6, [5]), "keys": device_keys(CAROL, C1)},
        {**update(6, [5]), "keys": device_keys(DAVE, C2)},
        {**update(6, [5]), "stream_id": "6"},
        {**update(6, [5]), "stream_id": True},
        {**update(6, [5]), "prev_id": [-1]},
        {**update(6, [5]), "prev_id": 5},
        {**update(6, [5]), "device_id": None},
        {},
    ],
)
async def test_a_spoofed_or_malformed_update_is_dropped(world: World, content: dict[str, Any]) -> None:
    await tracked(world)
    before = world.log.position
    await world.service.receive_device_list_update(THERE, content)
    assert world.log.position == before
    assert await devices(world) == [C1]


async def test_an_update_of_a_user_who_shares_no_room_is_dropped(world: World) -> None:
    await world.service.receive_device_list_update(THERE, update(6, [5]))
    await world.service.receive_signing_key_update(THERE, {"user_id": CAROL})
    assert world.log.position == 0


async def test_an_update_of_a_user_who_is_not_tracked_is_told_to_clients(world: World) -> None:
    world.neighbours.share(ALICE, CAROL)
    await world.service.receive_device_list_update(THERE, update(6, [5]))
    await world.service.receive_signing_key_update(THERE, {"user_id": CAROL})
    assert await changes(world) == [DeviceListChanged(CAROL, C2), CrossSigningChanged(CAROL)]


async def test_new_cross_signing_keys_are_kept_and_old_ones_told_once(world: World) -> None:
    await tracked(world)
    master = cross_signing_key("master", 5, user=CAROL)
    for _ in range(2):
        await world.service.receive_signing_key_update(THERE, {"user_id": CAROL, "master_key": master})
    answer = await world.ask("POST", "keys/query", {"device_keys": {CAROL: []}})
    assert answer["master_keys"] == {CAROL: master}
    assert (await changes(world)).count(CrossSigningChanged(CAROL)) == 1


@pytest.mark.parametrize("user", [ALICE, "@carol:evil.example", "there.example", None])
async def test_spoofed_cross_signing_keys_are_dropped(world: World, user: object) -> None:
    await tracked(world)
    before = world.log.position
    await world.service.receive_signing_key_update(THERE, {"user_id": user})
    assert world.log.position == before


async def test_the_loop_fetches_what_becomes_stale(world: World) -> None:
    await tracked(world)
    looping = asyncio.ensure_future(world.service.lists.run())
    world.neighbours.device_lists[CAROL] = listed(9, C1, C2)
    await world.service.receive_device_list_update(THERE, update(9, [8]))
    for _ in range(200):
        await asyncio.sleep(0.001)
        if ("devices", CAROL) in world.neighbours.questions and world.log.position >= 3:
            break
    world.neighbours.questions.clear()
    assert await devices(world) == [C1, C2]
    assert world.neighbours.questions == []
    looping.cancel()
