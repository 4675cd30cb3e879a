"""Devices that wait."""

from typing import Any

import pytest

from tests.unit.server.oauth.world import ALICE, SCOPE, World
from watchword.base import limits
from watchword.base.errors import LimitExceeded
from watchword.server.oauth.forms import Form


def asked(client_id: str) -> Form:
    return Form({"client_id": [client_id], "scope": [SCOPE]})


async def test_a_waiting_device_is_found_by_its_code_until_it_was_answered(world: World) -> None:
    begun = await world.oauth.device_grants.begin(asked(await world.client()))
    code = str(begun["user_code"])
    waiting = await world.oauth.device_grants.find(code.lower().replace("-", " "))
    assert waiting is not None
    assert await world.oauth.device_grants.answer(waiting, ALICE, allow=True)
    assert not await world.oauth.device_grants.answer(waiting, ALICE, allow=False)
    assert await world.oauth.device_grants.find(code) is None
    assert await world.oauth.device_grants.find("not a code") is None


async def test_a_code_is_kept_as_a_hash_and_expires(world: World) -> None:
    begun = await world.oauth.device_grants.begin(asked(await world.client()))
    async with world.database.read() as tx:
        row = await tx.fetch_one("SELECT device_code_hash, user_code_hash FROM oauth_device_grants")
    assert row is not None
    assert [len(value) for value in row] == [32, 32]
    world.clock.advance(limits.oauth_device_grant_ms)
    assert await world.oauth.device_grants.find(str(begun["user_code"])) is None


async def test_few_devices_wait_at_a_time(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "oauth_device_grants_max", 1)
    form = asked(await world.client())
    await world.oauth.device_grants.begin(form)
    with pytest.raises(LimitExceeded):
        await world.oauth.device_grants.begin(form)
    world.clock.advance(limits.oauth_device_grant_ms + 1)
    await world.oauth.device_grants.begin(form)


async def test_a_client_is_not_in_use_for_having_devices_wait(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "oauth_clients_max", 1)
    await world.oauth.device_grants.begin(asked(await world.client()))
    await world.client(client_name="Another")


async def test_a_code_that_is_taken_is_drawn_again(world: World, monkeypatch: Any) -> None:
    form = asked(await world.client())
    drawn = iter(["B" * 8, "B" * 8, "C" * 8, *["B" * 8] * 5])
    monkeypatch.setattr(world.oauth.device_grants.entropy, "letters", lambda count, alphabet: next(drawn))
    assert (await world.oauth.device_grants.begin(form))["user_code"] == "BBBB-BBBB"
    assert (await world.oauth.device_grants.begin(form))["user_code"] == "CCCC-CCCC"
    with pytest.raises(LimitExceeded):
        await world.oauth.device_grants.begin(form)
