"""Codes, refresh tokens and device codes become sessions, and end them when they come back."""

from collections.abc import Callable
from typing import Any

from tests.unit.server.oauth.world import ALICE, P, World, authorize_url

LEGACY_REFRESH = "/_matrix/client/v3/refresh"


async def code_of(world: World, client_id: str, **changed: str) -> str:
    if await world.accounts.reader.account(ALICE) is None:
        await world.user()
    browser = await world.browser().sign_in()
    await browser.get(authorize_url(client_id, **changed))
    return (await browser.submit(answer="allow")).answer["code"]


async def refreshed(world: World, client_id: str, token: str) -> Any:
    return await world.form(f"{P}/oauth/token", grant_type="refresh_token", client_id=client_id, refresh_token=token)


async def test_a_code_that_comes_back_ends_what_was_given_for_it(world: World) -> None:
    client_id = await world.client()
    code = await code_of(world, client_id)
    tokens = (await world.exchange(client_id, code)).json
    again = await world.exchange(client_id, code)
    assert (again.status, again.json["error"]) == (400, "invalid_grant")
    assert (await world.whoami(tokens["access_token"])).status == 401
    assert (await refreshed(world, client_id, tokens["refresh_token"])).json["error"] == "invalid_grant"
    assert await world.devices() == set()


async def test_a_code_that_comes_back_leaves_a_later_sign_in_of_the_device_alone(world: World) -> None:
    client_id = await world.client()
    old = await code_of(world, client_id)
    await world.exchange(client_id, old)
    tokens = (await world.exchange(client_id, await code_of(world, client_id))).json
    await world.exchange(client_id, old)
    assert (await world.whoami(tokens["access_token"])).status == 200


async def test_a_code_expires(world: World) -> None:
    client_id = await world.client()
    code = await code_of(world, client_id)
    world.clock.advance(300_000)
    assert (await world.exchange(client_id, code)).json["error"] == "invalid_grant"


async def test_a_code_is_good_for_its_client_alone(world: World) -> None:
    client_id, other = await world.client(), await world.client(client_name="Another")
    code = await code_of(world, client_id)
    assert (await world.exchange(other, code)).json["error"] == "invalid_grant"


async def test_a_device_signed_in_again_loses_its_old_tokens(world: World) -> None:
    client_id = await world.client()
    old = await world.signed_in(client_id)
    new = await world.signed_in(client_id)
    assert (await world.whoami(old["access_token"])).status == 401
    assert (await world.whoami(new["access_token"])).status == 200
    assert await world.devices() == {"PHONE12345"}


async def test_a_new_device_bears_the_name_of_the_client(world: World) -> None:
    await world.signed_in()
    assert await world.accounts.reader.device_names(ALICE) == {"PHONE12345": "The Client"}


async def test_a_client_that_cannot_refresh_gets_a_token_that_lasts(world: World) -> None:
    tokens = await world.signed_in(await world.client(grant_types=["authorization_code"]))
    assert "refresh_token" not in tokens
    assert "expires_in" not in tokens


async def test_a_refresh_token_is_good_for_its_client_alone_and_not_for_the_legacy_api(world: World) -> None:
    client_id, other = await world.client(), await world.client(client_name="Another")
    tokens = await world.signed_in(client_id)
    assert (await refreshed(world, other, tokens["refresh_token"])).json["error"] == "invalid_grant"
    legacy = await world.json("POST", LEGACY_REFRESH, {"refresh_token": tokens["refresh_token"]})
    assert (legacy.status, legacy.json["errcode"]) == (401, "M_UNKNOWN_TOKEN")
    assert (await refreshed(world, client_id, tokens["refresh_token"])).status == 200


async def test_a_refresh_token_that_was_followed_ends_the_session_when_it_comes_back(world: World) -> None:
    client_id = await world.client()
    old = await world.signed_in(client_id)
    new = (await refreshed(world, client_id, old["refresh_token"])).json
    assert "scope" not in new
    assert (await world.whoami(new["access_token"])).status == 200
    assert (await refreshed(world, client_id, old["refresh_token"])).json["error"] == "invalid_grant"
    assert (await world.whoami(new["access_token"])).status == 401


async def test_nothing_is_given_for_an_account_that_is_locked_or_closed_meanwhile(world: World) -> None:
    client_id = await world.client()
    tokens = await world.signed_in(client_id)
    code = await code_of(world, client_id)
    async with world.database.write() as tx:
        await tx.execute("UPDATE accounts SET is_locked = 1")
    assert (await world.exchange(client_id, code)).json["error"] == "invalid_grant"
    assert (await refreshed(world, client_id, tokens["refresh_token"])).json["error"] == "invalid_grant"
    async with world.database.write() as tx:
        await tx.execute("UPDATE accounts SET is_locked = 0")
    assert (await world.exchange(client_id, code)).status == 200


async def test_a_device_that_asks_too_often_waits_longer(worlds: Callable[..., Any]) -> None:
    world: World = await worlds()
    client_id = await world.client()
    scope = "urn:matrix:client:api:* urn:matrix:client:device:TELEVISION"
    grant = (await world.form(f"{P}/oauth/device", client_id=client_id, scope=scope)).json

    async def ask(after_ms: int) -> str:
        world.clock.advance(after_ms)
        fields = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": grant["device_code"]}
        error: str = (await world.form(f"{P}/oauth/token", client_id=client_id, **fields)).json["error"]
        return error

    assert [await ask(5_000), await ask(1_000), await ask(5_000), await ask(15_000)] == [
        "authorization_pending",
        "slow_down",
        "slow_down",
        "authorization_pending",
    ]
    assert await ask(1_200_000) == "expired_token"


async def test_what_has_expired_is_forgotten(world: World) -> None:
    client_id = await world.client()
    await code_of(world, client_id)
    scope = "urn:matrix:client:api:* urn:matrix:client:device:TELEVISION"
    await world.form(f"{P}/oauth/device", client_id=client_id, scope=scope)
    world.clock.advance(300_000 + 3_600_000 + 1)
    await world.oauth.grants.forget_old()
    async with world.database.read() as tx:
        assert await tx.fetch_all("SELECT client_id FROM oauth_codes LIMIT 5") == []
        assert await tx.fetch_all("SELECT client_id FROM oauth_device_grants LIMIT 5") == []
