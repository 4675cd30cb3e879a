from typing import Any

import pytest

from tests.unit.server.e2ee.world import ALICE, BOB, PHONE, World, device_keys, one_time_key
from watchword.base.errors import Refusal
from watchword.protocol.ids import DeviceId

_UNDER = "unstable/org.matrix.msc3814.v1/"
_DATA = {"algorithm": "org.matrix.msc3814.v2", "device_pickle": "secret to us"}


async def _put(world: World, device: str = "DRY", **changes: Any) -> Any:
    body = {
        "device_id": device,
        "device_data": _DATA,
        "initial_device_display_name": "Dried",
        "device_keys": device_keys(ALICE, DeviceId(device)),
        "one_time_keys": {"signed_curve25519:1": one_time_key("a")},
        **changes,
    }
    return await world.ask("PUT", "dehydrated_device", body, under=_UNDER)


async def _get(world: World) -> Any:
    return await world.ask("GET", "dehydrated_device", under=_UNDER)


async def _events(world: World, device: str = "DRY", **body: str) -> Any:
    return await world.ask("POST", f"dehydrated_device/{device}/events", body, under=_UNDER)


async def _send(world: World, text: str, device: str = "DRY") -> None:
    messages = {"messages": {ALICE: {device: {"text": text}}}}
    await world.ask("PUT", f"sendToDevice/m.test/{text}", messages, user=BOB)


async def test_a_dehydrated_device_is_kept_and_is_a_device_to_others(world: World) -> None:
    assert await _put(world) == {"device_id": "DRY"}
    assert await _get(world) == {"device_id": "DRY", "device_data": _DATA}
    found = await world.ask("POST", "keys/query", {"device_keys": {ALICE: []}}, user=BOB)
    assert found["device_keys"][ALICE]["DRY"]["unsigned"] == {"device_display_name": "Dried"}
    claimed = await world.ask("POST", "keys/claim", {"one_time_keys": {ALICE: {"DRY": "signed_curve25519"}}}, user=BOB)
    assert claimed["one_time_keys"][ALICE]["DRY"] == {"signed_curve25519:1": one_time_key("a")}


async def test_a_new_one_takes_the_place_of_the_old_one(world: World) -> None:
    await _put(world, "OLD")
    await _put(world, "NEW")
    await world.follower.catch_up()
    assert (await _get(world))["device_id"] == "NEW"
    found = await world.ask("POST", "keys/query", {"device_keys": {ALICE: []}})
    assert "OLD" not in found["device_keys"][ALICE]


async def test_the_same_request_again_changes_nothing(world: World) -> None:
    await _put(world)
    await _send(world, "hello")
    await _put(world)
    await world.follower.catch_up()
    assert [each["content"]["text"] for each in (await _events(world))["events"]] == ["hello"]


async def test_messages_stay_until_the_device_goes(world: World) -> None:
    await _put(world)
    for number in range(130):
        await _send(world, str(number))
    first = await _events(world)
    assert len(first["events"]) == 100
    second = await _events(world, next_batch=first["next_batch"])
    assert [each["content"]["text"] for each in second["events"]] == [str(number) for number in range(100, 130)]
    assert (await _events(world, next_batch=second["next_batch"]))["events"] == []
    assert await _events(world) == first


async def test_only_the_dehydrated_device_is_read_so(world: World) -> None:
    await _put(world)
    for device in ("PHONE", "NONE"):
        with pytest.raises(Refusal, match="M_FORBIDDEN"):
            await _events(world, device)


async def test_deleting_it_deletes_the_device_and_its_messages(world: World) -> None:
    await _put(world)
    await _send(world, "hello")
    assert await world.ask("DELETE", "dehydrated_device", under=_UNDER) == {"device_id": "DRY"}
    await world.follower.catch_up()
    for ask in (_get(world), world.ask("DELETE", "dehydrated_device", under=_UNDER)):
        with pytest.raises(Refusal, match="M_NOT_FOUND"):
            await ask
    assert DeviceId("DRY") not in world.neighbours.names[ALICE]
    assert await world.messages(device=DeviceId("DRY")) == []


async def test_one_that_was_deleted_as_a_device_is_gone(world: World) -> None:
    await _put(world)
    async with world.database.write() as tx:
        await world.neighbours.end(tx, ALICE, [DeviceId("DRY")])
    await world.follower.catch_up()
    with pytest.raises(Refusal, match="M_NOT_FOUND"):
        await _get(world)


async def test_a_device_with_a_session_is_not_replaced(world: World) -> None:
    with pytest.raises(Refusal, match="M_INVALID_PARAM"):
        await _put(world, PHONE)
    with pytest.raises(Refusal, match="M_NOT_FOUND"):
        await _get(world)


@pytest.mark.parametrize(
    ("changes", "errcode"),
    [
        ({"device_keys": None}, "M_MISSING_PARAM"),
        ({"device_keys": device_keys(ALICE, DeviceId("OTHER"))}, "M_INVALID_PARAM"),
        ({"device_data": {"algorithm": 1}}, "M_BAD_JSON"),
        ({"device_data": {"algorithm": "x", "share": 0.5}}, "M_BAD_JSON"),
        ({"device_data": "x"}, "M_BAD_JSON"),
    ],
)
async def test_what_is_not_a_device_is_refused(world: World, changes: dict[str, Any], errcode: str) -> None:
    with pytest.raises(Refusal, match=errcode):
        await _put(world, **changes)
    assert DeviceId("DRY") not in world.neighbours.names[ALICE]
