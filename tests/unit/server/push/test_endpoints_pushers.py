from typing import Any

import pytest

from tests.unit.server.push.world import ALICE, BOB, PHONE, Gateway, PushWorld, pusher, set_pusher
from tests.unit.server.rooms.world import LAPTOP


async def test_a_pusher_is_set_shown_and_deleted(world: PushWorld, gateway: Gateway) -> None:
    assert await world.ask(BOB, "GET", "pushers") == {"pushers": []}
    body = pusher(gateway, profile_tag="work", data={"format": "event_id_only"})
    await set_pusher(world, BOB, {**body, "append": True})
    ours = {"org.matrix.msc3881.enabled": True, "org.matrix.msc3881.device_id": PHONE}
    assert await world.ask(BOB, "GET", "pushers") == {"pushers": [body | ours]}
    await set_pusher(world, BOB, {"kind": None, "app_id": "app", "pushkey": "key"})
    assert await world.ask(BOB, "GET", "pushers") == {"pushers": []}


@pytest.mark.parametrize("missing", ["kind", "app_id", "pushkey", "app_display_name", "device_display_name", "lang", "data"])
async def test_what_is_required_is_missed(world: PushWorld, gateway: Gateway, missing: str) -> None:
    body = {name: value for name, value in pusher(gateway).items() if name != missing}
    assert await world.refused(BOB, "POST", "pushers/set", body) == (400, "M_MISSING_PARAM")


@pytest.mark.parametrize(
    ("changes", "errcode"),
    [
        ({"kind": "email"}, "M_INVALID_PARAM"),
        ({"kind": 1}, "M_BAD_JSON"),
        ({"app_id": "a" * 65}, "M_INVALID_PARAM"),
        ({"append": "yes"}, "M_BAD_JSON"),
        ({"org.matrix.msc3881.enabled": "yes"}, "M_BAD_JSON"),
        ({"data": {"url": "https://gateway.example/"}}, "M_INVALID_PARAM"),
    ],
)
async def test_refusals(world: PushWorld, gateway: Gateway, changes: dict[str, Any], errcode: str) -> None:
    assert await world.refused(BOB, "POST", "pushers/set", pusher(gateway) | changes) == (400, errcode)


async def test_a_pusher_is_switched_off_and_on_from_another_session(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway))
    async with world.pushing():
        (shown,) = (await world.ask(BOB, "GET", "pushers"))["pushers"]
        await set_pusher(world, BOB, {**shown, "org.matrix.msc3881.enabled": False}, LAPTOP)
        await world.send(ALICE, room, "not told")
        await world.caught_up()
        (shown,) = (await world.ask(BOB, "GET", "pushers"))["pushers"]
        assert shown["org.matrix.msc3881.enabled"] is False
        assert shown["org.matrix.msc3881.device_id"] == PHONE
        await set_pusher(world, BOB, {**shown, "org.matrix.msc3881.enabled": True}, LAPTOP)
        told = await world.send(ALICE, room, "told")
        assert await gateway.events(1) == [told]


async def test_a_session_that_makes_a_pusher_anew_takes_it_over(world: PushWorld, gateway: Gateway) -> None:
    await set_pusher(world, BOB, pusher(gateway))
    await set_pusher(world, BOB, pusher(gateway), LAPTOP)
    (shown,) = (await world.ask(BOB, "GET", "pushers"))["pushers"]
    assert shown["org.matrix.msc3881.device_id"] == LAPTOP
    named = {"org.matrix.msc3881.enabled": True, "org.matrix.msc3881.device_id": PHONE}
    await set_pusher(world, BOB, pusher(gateway) | named, PHONE)
    (shown,) = (await world.ask(BOB, "GET", "pushers"))["pushers"]
    assert shown["org.matrix.msc3881.device_id"] == PHONE


async def test_what_is_switched_off_stays_so_over_a_restart_and_still_goes_with_its_session(
    world: PushWorld, gateway: Gateway
) -> None:
    room = await world.public_room(BOB)
    await set_pusher(world, BOB, pusher(gateway) | {"org.matrix.msc3881.enabled": False})
    world.rebuild_push()
    async with world.pushing():
        await world.send(ALICE, room)
        await world.caught_up()
        await gateway.hears(0)
        await world.accounts.admin.deactivate(BOB, erase=False)
        await world.caught_up()
        assert await world.push.pushers.of(BOB) == []
