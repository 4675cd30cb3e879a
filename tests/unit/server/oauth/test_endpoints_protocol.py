"""What OAuth clients ask without a browser."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.server.oauth.world import BASE, SCOPE, WEB_CLIENT, P, World, authorize_url
from watchword.edge.endpoint import Rate
from watchword.server.accounts.commands import RegistrationMode

CLIENT_V1 = "/_matrix/client/v1"
OLD = "/_matrix/client/unstable/org.matrix.msc2965"


async def test_the_metadata_names_every_endpoint(world: World) -> None:
    answer = await world.json("GET", f"{CLIENT_V1}/auth_metadata")
    found = answer.json
    assert answer.headers["cache-control"].startswith("public")
    assert found["issuer"] == f"{BASE}/"
    assert found["authorization_endpoint"] == f"{BASE}{P}/oauth/authorize"
    assert found["prompt_values_supported"] == ["create"]
    assert found["account_management_actions_supported"] == [
        "org.matrix.profile",
        "org.matrix.devices_list",
        "org.matrix.device_view",
        "org.matrix.device_delete",
        "org.matrix.account_deactivate",
        "org.matrix.cross_signing_reset",
    ]
    assert (await world.json("GET", "/.well-known/oauth-authorization-server")).json == found


async def test_older_clients_find_the_metadata_under_the_old_names(world: World) -> None:
    assert (await world.json("GET", f"{OLD}/auth_issuer")).json == {"issuer": f"{BASE}/"}
    for path in (f"{OLD}/auth_metadata", "/.well-known/openid-configuration"):
        found = (await world.json("GET", path)).json
        assert "org.matrix.session_end" in found["account_management_actions_supported"]


async def test_where_nobody_may_register_the_prompt_is_not_offered(worlds: Callable[..., Any]) -> None:
    world: World = await worlds(registration=RegistrationMode.CLOSED)
    assert (await world.json("GET", f"{CLIENT_V1}/auth_metadata")).json["prompt_values_supported"] == []


async def test_a_client_is_registered_with_what_is_known_here(world: World) -> None:
    answer = await world.json("POST", f"{P}/oauth/register", WEB_CLIENT)
    assert answer.status == 201
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json
    assert body["client_id_issued_at"] == world.clock.now_ms() // 1000
    assert "telepathy" not in body["grant_types"]
    assert body["client_name#de"] == "Der Klient"
    assert "client_secret" not in body


async def test_registrations_that_are_refused_say_so_in_the_words_of_oauth(world: World) -> None:
    answer = await world.json("POST", f"{P}/oauth/register", {**WEB_CLIENT, "redirect_uris": ["http://client.example/"]})
    assert (answer.status, answer.json["error"]) == (400, "invalid_redirect_uri")
    answer = await world.json("POST", f"{P}/oauth/register", {})
    assert (answer.status, answer.json["error"]) == (400, "invalid_client_metadata")
    assert (await world.call("POST", f"{P}/oauth/register", b"[]")).status == 400
    assert (await world.call("POST", f"{P}/oauth/register", b"{" * 40_000)).status == 413


async def test_registrations_are_limited_by_address(worlds: Callable[..., Any]) -> None:
    world: World = await worlds(limited=[Rate.LOGIN])
    found = [(await world.json("POST", f"{P}/oauth/register", WEB_CLIENT)).status for _ in range(3)]
    assert found == [201, 201, 429]


@pytest.mark.parametrize(
    ("changed", "status", "error"),
    [
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"client_id": ""}, 400, "invalid_request"),
        ({"client_id": "unknown"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"code": ""}, 400, "invalid_request"),
        ({"redirect_uri": ""}, 400, "invalid_request"),
        ({"code_verifier": ""}, 400, "invalid_request"),
        ({"code": "unknown"}, 400, "invalid_grant"),
        ({"redirect_uri": "https://client.example/other"}, 400, "invalid_grant"),
        ({"code_verifier": "x" * 43}, 400, "invalid_grant"),
    ],
)
async def test_requests_for_tokens_that_are_refused(world: World, changed: dict[str, str], status: int, error: str) -> None:
    await world.user()
    client_id = await world.client()
    browser = await world.browser().sign_in()
    await browser.get(authorize_url(client_id))
    code = (await browser.submit(answer="allow")).answer["code"]
    answer = await world.exchange(client_id, code, **changed)
    assert (answer.status, answer.json["error"]) == (status, error)
    assert answer.headers["cache-control"] == "no-store"
    # The code is not lost by a mistake.
    assert (await world.exchange(client_id, code)).status == 200


async def test_bodies_that_are_no_forms_are_refused(world: World) -> None:
    for path in ("token", "revoke", "device"):
        for body in (b"\xff=\xff", b"&".join([b"a=b"] * 50)):
            answer = await world.call("POST", f"{P}/oauth/{path}", body)
            assert (answer.status, answer.json["error"]) == (400, "invalid_request")
    answer = await world.call("POST", f"{P}/oauth/token", b"grant_type=a&grant_type=b")
    assert answer.json["error"] == "invalid_request"


async def test_a_token_that_is_not_known_is_revoked_all_the_same(world: World) -> None:
    answer = await world.form(f"{P}/oauth/revoke", token="unknown")
    assert (answer.status, answer.json) == (200, {})
    assert (await world.form(f"{P}/oauth/revoke")).json["error"] == "invalid_request"


async def test_revoking_is_not_for_the_client_alone_but_for_oauth_alone(world: World) -> None:
    tokens = await world.signed_in()
    legacy = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"}, "password": "correct horse"}
    token = (await world.json("POST", "/_matrix/client/v3/login", legacy)).json["access_token"]
    await world.form(f"{P}/oauth/revoke", token=token)
    assert (await world.whoami(token)).status == 200
    await world.form(f"{P}/oauth/revoke", token=tokens["access_token"], client_id="a finder")
    assert (await world.whoami(tokens["access_token"])).status == 401


async def test_a_device_that_may_not_wait_is_told_why(world: World) -> None:
    client_id = await world.client(grant_types=["authorization_code"])
    answer = await world.form(f"{P}/oauth/device", client_id=client_id, scope=SCOPE)
    assert answer.json["error"] == "unauthorized_client"
    client_id = await world.client()
    assert (await world.form(f"{P}/oauth/device", client_id=client_id)).json["error"] == "invalid_scope"
    assert (await world.form(f"{P}/oauth/device", client_id="x", scope=SCOPE)).status == 401
