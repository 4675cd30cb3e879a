"""The whole way: a client registers, a person signs in and says yes, and the tokens do what tokens do."""

from tests.unit.server.oauth.world import ALICE, CALLBACK, P, World, authorize_url


async def test_a_client_registers_gets_a_code_and_its_tokens_live_and_end(world: World) -> None:
    await world.user()
    found = (await world.json("GET", "/_matrix/client/v1/auth_metadata")).json
    client_id = await world.client()
    browser = world.browser()
    assert (await browser.get(authorize_url(client_id))).title == "Sign in"
    assert (await browser.submit(username="alice", password="correct horse")).title == "Let The Client in?"
    back = await browser.submit(answer="allow")
    assert back.location.startswith(f"{CALLBACK}?")
    assert back.answer["state"] == "its state"
    assert back.answer["iss"] == found["issuer"]

    answer = await world.exchange(client_id, back.answer["code"])
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 900
    assert tokens["scope"] == "urn:matrix:client:api:* urn:matrix:client:device:PHONE12345"
    assert (await world.whoami(tokens["access_token"])).json == {
        "user_id": ALICE,
        "device_id": "PHONE12345",
        "is_guest": False,
    }

    fields = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": tokens["refresh_token"]}
    fresh = (await world.form(f"{P}/oauth/token", **fields)).json
    assert (await world.whoami(tokens["access_token"])).status == 200
    assert (await world.whoami(fresh["access_token"])).status == 200
    assert (await world.whoami(tokens["access_token"])).status == 401

    revoked = await world.form(f"{P}/oauth/revoke", token=fresh["refresh_token"], client_id=client_id)
    assert (revoked.status, revoked.json) == (200, {})
    assert (await world.whoami(fresh["access_token"])).status == 401
    assert await world.devices() == set()
