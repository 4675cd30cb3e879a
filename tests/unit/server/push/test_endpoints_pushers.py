from typing import Any

import pytest

from tests.unit.server.push.world import BOB, Gateway, PushWorld, pusher, set_pusher


async def test_a_pusher_is_set_shown_and_deleted(world: PushWorld, gateway: Gateway) -> None:
    assert await world.ask(BOB, "GET", "pushers") == {"pushers": []}
    body = pusher(gateway, profile_tag="work", data={"format": "event_id_only"})
    await set_pusher(world, BOB, {**body, "append": True})
    assert await world.ask(BOB, "GET", "pushers") == {"pushers": [body]}
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
        ({"data": {"url": "https://gateway.example/"}}, "M_INVALID_PARAM"),
    ],
)
async def test_refusals(world: PushWorld, gateway: Gateway, changes: dict[str, Any], errcode: str) -> None:
    assert await world.refused(BOB, "POST", "pushers/set", pusher(gateway) | changes) == (400, errcode)
