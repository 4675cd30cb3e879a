from tests.unit.server.e2ee.world import ALICE, BOB, LAPTOP, PHONE, World, cross_signing_key, device_keys, public
from watchword.protocol.ids import DeviceId
from watchword.server.changes import CrossSigningChanged, DeviceListChanged
from watchword.storage.log import Position


async def send(world: World, count: int) -> None:
    for number in range(count):
        body = {"messages": {ALICE: {PHONE: {"n": number}}}}
        await world.ask("PUT", f"sendToDevice/m.test/{world.log.position}", body, user=BOB)


async def change(world: World, *changes: CrossSigningChanged | DeviceListChanged) -> Position:
    async with world.database.write() as tx:
        for one in changes:
            position = await world.log.append(tx, one)
    return position


async def test_messages_come_in_pages_that_follow_each_other(world: World) -> None:
    await send(world, 5)
    until = world.log.position
    first, at = await world.reader.to_device(ALICE, PHONE, Position(0), until, 3)
    second, end = await world.reader.to_device(ALICE, PHONE, at, until, 3)
    assert (len(first), at, len(second), end) == (3, 3, 2, until)
    assert await world.reader.to_device(ALICE, PHONE, end, until, 3) == ((), until)


async def test_a_repeated_position_repeats_the_messages_until_they_are_deleted(world: World) -> None:
    await send(world, 3)
    assert await world.messages() == await world.messages()
    await world.reader.delete_to_device(ALICE, PHONE, Position(2))
    await world.settle()
    assert [message["content"]["n"] for message in await world.messages()] == [2]
    await world.reader.delete_to_device(ALICE, PHONE, world.log.position)
    await world.settle()
    await world.reader.delete_to_device(ALICE, PHONE, world.log.position)
    assert await world.messages() == []
    await send(world, 1)
    assert len(await world.messages()) == 1


async def test_a_message_beyond_the_end_of_a_sync_waits_for_the_next(world: World) -> None:
    await send(world, 2)
    found, at = await world.reader.to_device(ALICE, PHONE, Position(0), Position(1), 10)
    assert (len(found), at) == (1, 1)


async def test_a_device_without_keys_or_messages_has_none(world: World) -> None:
    nobody = DeviceId("NONE")
    assert await world.reader.key_counts(ALICE, nobody) == ({"signed_curve25519": 0}, ())
    assert await world.messages(device=nobody) == []
    await world.reader.delete_to_device(ALICE, nobody, Position(9))
    await world.ask("POST", "keys/upload", {"one_time_keys": {"a:1": "x"}}, device=nobody)
    assert (await world.reader.key_counts(ALICE, nobody))[0] == {"a": 1, "signed_curve25519": 0}


async def test_changes_are_seen_before_and_after_the_follower_copied_them(world: World) -> None:
    until = await change(world, DeviceListChanged(ALICE, PHONE), CrossSigningChanged(BOB), DeviceListChanged(ALICE, LAPTOP))
    before = await world.reader.device_list_changes(Position(0), until)
    assert dict(before) == {ALICE: 3, BOB: 2}
    await world.follower.catch_up()
    assert dict(await world.reader.device_list_changes(Position(0), until)) == dict(before)
    assert await world.reader.device_list_changes(until, until) == []
    assert dict(await world.reader.device_list_changes(Position(1), Position(2))) == {BOB: 2}


async def test_updates_for_other_servers_follow_each_other(world: World) -> None:
    await world.ask("POST", "keys/upload", {"device_keys": device_keys()})
    second = await change(world, DeviceListChanged(BOB, PHONE), CrossSigningChanged(ALICE), DeviceListChanged(ALICE, LAPTOP))
    for _ in range(2):
        assert await world.reader.device_list_edu(ALICE, PHONE, False) == {
            "user_id": ALICE,
            "device_id": PHONE,
            "stream_id": 1,
            "prev_id": [],
            "device_display_name": "Phone",
            "keys": device_keys(),
        }
        update = {"user_id": ALICE, "device_id": LAPTOP, "stream_id": second, "prev_id": [1]}
        assert await world.reader.device_list_edu(ALICE, LAPTOP, False) == update
        assert await world.reader.device_list_edu(ALICE, LAPTOP, True) == {**update, "deleted": True}
        assert (await world.reader.user_devices(ALICE))["stream_id"] == second
        await world.follower.catch_up()


async def test_an_update_names_the_change_that_it_is_asked_for(world: World) -> None:
    await change(world, DeviceListChanged(ALICE, PHONE), DeviceListChanged(ALICE, PHONE), DeviceListChanged(ALICE, PHONE))
    found = [await world.reader.device_list_edu(ALICE, PHONE, False, Position(at)) for at in (1, 2, 3)]
    assert [(update["stream_id"], update["prev_id"]) for update in found] == [(1, []), (2, [1]), (3, [2])]


async def test_a_change_of_the_whole_list_makes_the_peer_fetch_it(world: World) -> None:
    await world.ask("POST", "keys/upload", {"device_keys": device_keys()})
    at = await change(world, DeviceListChanged(ALICE, None))
    update = await world.reader.device_list_edu(ALICE, None, False)
    assert (update["stream_id"], update["device_id"]) == (at, PHONE)
    assert update["prev_id"][0] > at


async def test_the_list_for_other_servers_has_devices_with_keys_and_public_cross_signing_keys(world: World) -> None:
    await world.ask("POST", "keys/upload", {"device_keys": device_keys()})
    keys = {"master_key": cross_signing_key("master", 5), "self_signing_key": cross_signing_key("self_signing", 6, by=5)}
    user_signing = {"user_signing_key": cross_signing_key("user_signing", 7, by=5)}
    await world.ask("POST", "keys/device_signing/upload", {**keys, **user_signing})
    assert await world.reader.user_devices(ALICE) == {
        "user_id": ALICE,
        "stream_id": 1,
        "devices": [{"device_id": PHONE, "keys": device_keys(), "device_display_name": "Phone"}],
        **keys,
    }
    assert await world.reader.signing_key_edu(ALICE) == {"user_id": ALICE, **keys}
    assert await world.reader.is_cross_signing_key(ALICE, public(7))
    assert not await world.reader.is_cross_signing_key(ALICE, PHONE)


async def test_a_device_that_was_deleted_is_hidden_at_once(world: World) -> None:
    await world.ask("POST", "keys/upload", {"device_keys": device_keys()})
    del world.neighbours.names[ALICE][PHONE]
    assert (await world.ask("POST", "keys/query", {"device_keys": {ALICE: []}}))["device_keys"] == {ALICE: {}}
    assert (await world.reader.user_devices(ALICE))["devices"] == []
