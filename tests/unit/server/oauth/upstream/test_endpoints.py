"""Signing in elsewhere, through the router and a real provider."""

from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.unit.server.oauth.upstream.conftest import WorldOpener
from tests.unit.server.oauth.upstream.provider import OpenIdProvider
from tests.unit.server.oauth.world import ALICE, PASSWORD, Answer, Browser, P, World, authorize_url
from watchword.server.accounts.commands import Policy, PolicyText, RegistrationMode

REDIRECT = "/_matrix/client/v3/login/sso/redirect"
SITE = "https://web.example/?loginToken=stale#/home"


async def goes_elsewhere(browser: Browser, provider: OpenIdProvider, start: str = f"{P}/upstream/start/idp") -> Answer:
    """A browser that goes to the provider, whose user signs in there, and comes back."""
    away = await browser.get(start)
    assert away.status in (302, 303), away.text
    return await browser.get(provider.signs_in(away.location))


async def test_somebody_new_gets_an_account_with_an_invitation_and_is_known_the_next_time(
    provider: OpenIdProvider, worlds_beside: WorldOpener
) -> None:
    world = await worlds_beside()
    client_id, token = await world.client(), await world.invitation()
    browser = world.browser()
    page = await browser.get(authorize_url(client_id))
    link = next(node for node in page.page.css("a") if "Continue with Elsewhere" in node.text())
    answer = await goes_elsewhere(browser, provider, str(link.attributes["href"]))
    assert answer.title == "Welcome"
    assert (browser.fields()["username"], browser.fields()["display_name"]) == ("alice", "Alice Elsewhere")
    assert "This invitation is not valid." in (await browser.submit(token="wrong")).text
    assert (await browser.submit(token=token)).title == "Let The Client in?"
    back = await browser.submit(answer="allow")
    assert (await world.exchange(client_id, back.answer["code"])).status == 200
    assert await world.accounts.reader.profile(ALICE) == {"displayname": "Alice Elsewhere"}
    account = await world.accounts.reader.account(ALICE)
    assert account is not None
    assert account.password_hash is None
    assert (await goes_elsewhere(world.browser(), provider)).title == "Your account"


async def test_where_the_operator_says_so_no_invitation_is_needed(provider: OpenIdProvider, worlds_beside: WorldOpener) -> None:
    world = await worlds_beside(registration=RegistrationMode.OPEN)
    browser = world.browser()
    await goes_elsewhere(browser, provider)
    assert browser.form.css_first("input[name=token]") is None
    assert (await browser.submit(username="alicia")).title == "Your account"


async def test_newcomers_from_elsewhere_agree_to_the_terms_too(provider: OpenIdProvider, worlds_beside: WorldOpener) -> None:
    policy = Policy("privacy", "1", {"en": PolicyText("Privacy", "https://here.example/privacy")})
    world = await worlds_beside({"policies": (policy,)}, registration=RegistrationMode.OPEN)
    browser = world.browser()
    await goes_elsewhere(browser, provider)
    assert "Please agree to the terms" in (await browser.submit()).text
    assert (await browser.submit(agreed="yes")).title == "Your account"


async def test_where_nobody_new_may_come_he_is_told_so(provider: OpenIdProvider, worlds_beside: WorldOpener) -> None:
    world = await worlds_beside(registration=RegistrationMode.CLOSED)
    answer = await goes_elsewhere(world.browser(), provider)
    assert (answer.status, "Nobody here belongs to your account at Elsewhere." in answer.text) == (403, True)


async def test_an_account_of_the_same_name_is_not_given_away(provider: OpenIdProvider, worlds_beside: WorldOpener) -> None:
    world = await worlds_beside(registration=RegistrationMode.OPEN)
    await world.user()
    browser = world.browser()
    assert (await goes_elsewhere(browser, provider)).title == "Welcome"
    assert "This user name is taken." in (await browser.submit()).text


async def test_an_account_of_the_same_name_is_given_where_the_operator_trusts_the_provider(
    provider: OpenIdProvider, worlds_beside: WorldOpener
) -> None:
    world = await worlds_beside(adopts_accounts=True, registration=RegistrationMode.CLOSED)
    await world.user()
    browser = world.browser()
    assert (await goes_elsewhere(browser, provider)).title == "Your account"
    assert list(await world.oauth.upstream.providers_of(ALICE)) == ["Elsewhere"]
    provider.claims["preferred_username"] = "somebody else"
    assert (await goes_elsewhere(world.browser(), provider)).title == "Your account"


async def test_who_takes_over_a_name_elsewhere_does_not_take_over_the_account(
    provider: OpenIdProvider, worlds_beside: WorldOpener
) -> None:
    world = await worlds_beside(adopts_accounts=True, registration=RegistrationMode.CLOSED)
    await world.user()
    assert (await goes_elsewhere(world.browser(), provider)).title == "Your account"
    provider.claims["sub"] = "somebody-who-is-called-so-now"
    assert (await goes_elsewhere(world.browser(), provider)).status == 403


@pytest.mark.parametrize("name", ["bob", "alice b"])
async def test_a_name_that_is_not_exact_adopts_nothing(provider: OpenIdProvider, worlds_beside: WorldOpener, name: str) -> None:
    world = await worlds_beside(adopts_accounts=True, registration=RegistrationMode.CLOSED)
    await world.user()
    await world.user("alice_b")
    provider.claims["preferred_username"] = name
    assert (await goes_elsewhere(world.browser(), provider)).status == 403


async def test_a_locked_account_is_not_let_in_from_elsewhere(provider: OpenIdProvider, worlds_beside: WorldOpener) -> None:
    world = await worlds_beside(adopts_accounts=True)
    await world.user()
    async with world.database.write() as tx:
        await tx.execute("UPDATE accounts SET is_locked = 1")
    assert "This account is locked" in (await goes_elsewhere(world.browser(), provider)).text


async def test_only_the_browser_that_left_may_come_back_and_only_once(
    provider: OpenIdProvider, worlds_beside: WorldOpener
) -> None:
    world = await worlds_beside(registration=RegistrationMode.OPEN)
    victim, attacker = world.browser(), world.browser()
    back = provider.signs_in((await attacker.get(f"{P}/upstream/start/idp")).location)
    await victim.get(f"{P}/sign-in")
    assert "began in another browser" in (await victim.get(back)).text
    assert "began in another browser" in (await attacker.get(back)).text


async def test_somebody_new_finishes_in_his_own_browser(provider: OpenIdProvider, worlds_beside: WorldOpener) -> None:
    world = await worlds_beside(registration=RegistrationMode.OPEN)
    browser, thief = world.browser(), world.browser()
    await goes_elsewhere(browser, provider)
    await thief.get(f"{P}/sign-in")
    assert (await thief.get(browser.at)).status == 403
    browser_fields = browser.fields()
    await thief.get(f"{P}/sign-in")
    body = f"form_token={thief.fields()['form_token']}&stranger={browser_fields['stranger']}&username=mallory"
    assert (await thief.post(f"{P}/upstream/finish", body)).status == 403


@pytest.mark.parametrize("changed", ["error=access_denied&", "iss=https%3A%2F%2Fevil.example&", ""])
async def test_an_answer_that_is_none_is_refused(provider: OpenIdProvider, worlds_beside: WorldOpener, changed: str) -> None:
    world = await worlds_beside()
    browser = world.browser()
    away = (await browser.get(f"{P}/upstream/start/idp")).location
    state = parse_qs(urlsplit(away).query)["state"][0]
    code = "code=x&" if changed else ""
    answer = await browser.get(f"{P}/upstream/callback?{changed}{code}state={state}")
    assert "Elsewhere did not sign you in." in answer.text


async def test_a_provider_that_does_not_answer_is_said_so(provider: OpenIdProvider, worlds_beside: WorldOpener) -> None:
    world = await worlds_beside()
    browser = world.browser()
    away = (await browser.get(f"{P}/upstream/start/idp")).location
    provider.token_answer = {"id_token": "nonsense"}
    answer = await browser.get(provider.signs_in(away))
    assert (answer.status, answer.title) == (502, "That did not work")
    elsewhere = await worlds_beside(issuer="http://127.0.0.1:1")
    assert (await elsewhere.browser().get(f"{P}/upstream/start/idp")).status == 502


async def test_a_provider_that_is_not_known_is_not_found(worlds_beside: WorldOpener) -> None:
    world = await worlds_beside()
    assert (await world.browser().get(f"{P}/upstream/start/other")).status == 404


async def test_a_new_sign_in_asks_the_provider_to_ask(worlds_beside: WorldOpener) -> None:
    world = await worlds_beside()
    assert "prompt=login" in (await world.browser().get(f"{P}/upstream/start/idp?again=1")).location


# Single sign-on


async def logged_in(world: World, location: str) -> Any:
    token = parse_qs(urlsplit(location).query)["loginToken"][0]
    return await world.json("POST", "/_matrix/client/v3/login", {"type": "m.login.token", "token": token})


async def test_a_legacy_client_logs_in_with_a_token_once_the_user_agreed(
    provider: OpenIdProvider, worlds_beside: WorldOpener
) -> None:
    world = await worlds_beside(adopts_accounts=True)
    await world.user()
    browser = world.browser()
    away = await browser.get(f"{REDIRECT}/idp?redirectUrl={quote(SITE, safe='')}")
    answer = await browser.get(provider.signs_in(away.location))
    assert answer.title == "Continue to your application?"
    assert "https://web.example" in answer.text
    assert "loginToken=wwl" not in answer.text
    assert "form-action 'self' https://web.example;" in answer.headers["content-security-policy"]
    back = await browser.submit()
    assert back.location.startswith("https://web.example/?loginToken=wwl_")
    assert back.location.endswith("#/home")
    assert (await logged_in(world, back.location)).json["user_id"] == ALICE
    assert (await logged_in(world, back.location)).status == 403


async def test_without_a_provider_in_the_path_every_way_in_is_offered(worlds_beside: WorldOpener) -> None:
    world = await worlds_beside()
    await world.user()
    browser = world.browser()
    first = await world.call("GET", f"{REDIRECT}?redirectUrl=element%3A%2F%2Fconnect")
    assert first.status == 302
    page = await browser.get(first.location)
    assert (page.title, "Continue with Elsewhere" in page.text) == ("Sign in", True)
    answer = await browser.submit(username="alice", password=PASSWORD)
    assert "element:" in answer.headers["content-security-policy"]
    assert (await browser.submit()).location.startswith("element://connect?loginToken=wwl_")


async def test_a_client_may_say_that_its_user_is_new(worlds_beside: WorldOpener) -> None:
    world = await worlds_beside()
    url = f"{REDIRECT}?redirectUrl={quote(SITE)}&action="
    assert (await world.browser().get(url + "register")).title == "Create an account"
    assert (await world.browser().get(url + "login")).title == "Sign in"


async def test_the_flows_name_the_providers(worlds_beside: WorldOpener) -> None:
    world = await worlds_beside()
    flows = {flow["type"]: flow for flow in (await world.json("GET", "/_matrix/client/v3/login")).json["flows"]}
    assert flows["m.login.sso"]["identity_providers"] == [{"id": "idp", "name": "Elsewhere"}]
    assert flows["m.login.sso"]["oauth_aware_preferred"] is True
    assert flows["m.login.token"] == {"type": "m.login.token"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (REDIRECT, 400),
        (f"{REDIRECT}?redirectUrl=javascript%3Aalert(1)", 400),
        (f"{REDIRECT}/other?redirectUrl=https%3A%2F%2Fa.example", 404),
        (f"{P}/sso?redirect_url=data%3Ax", 400),
    ],
)
async def test_redirects_that_lead_nowhere_are_pages_that_say_so(worlds_beside: WorldOpener, path: str, status: int) -> None:
    world = await worlds_beside()
    await world.user()
    browser = await world.browser().sign_in()
    answer = await browser.get(path)
    assert (answer.status, answer.title) == (status, "That did not work")


async def test_without_providers_there_is_no_single_sign_on(world: World) -> None:
    answer = await world.call("GET", f"{REDIRECT}?redirectUrl=https%3A%2F%2Fa.example")
    assert (answer.status, answer.json["errcode"]) == (404, "M_UNRECOGNIZED")
    answer = await world.browser().get(f"{REDIRECT}?redirectUrl=https%3A%2F%2Fa.example")
    assert (answer.status, answer.title) == (404, "That did not work")


# Proving once more who asks


DEVICES = "/_matrix/client/v3/delete_devices"
FALLBACK = "/_matrix/client/v3/auth/m.login.sso/fallback/web"


async def legacy_session(world: World, provider: OpenIdProvider) -> tuple[Browser, Any]:
    browser = world.browser()
    await goes_elsewhere(browser, provider)
    await browser.get(f"{P}/sso?redirect_url=element%3A%2F%2Fconnect")
    return browser, (await logged_in(world, (await browser.submit()).location)).json


async def test_who_came_by_single_sign_on_proves_himself_at_our_page(
    provider: OpenIdProvider, worlds_beside: WorldOpener
) -> None:
    world = await worlds_beside(adopts_accounts=True)
    await world.user()
    browser, login = await legacy_session(world, provider)
    body = {"devices": [login["device_id"]]}
    asked = (await world.json("POST", DEVICES, body, by=login["access_token"])).json
    assert {"stages": ["m.login.sso"]} in asked["flows"]
    auth = {"auth": {"type": "m.login.sso", "session": asked["session"], "proof": {"user_id": ALICE}}}
    assert (await world.json("POST", DEVICES, {**body, **auth}, by=login["access_token"])).status == 401
    page = await browser.get(f"{FALLBACK}?session={asked['session']}")
    assert (page.title, "sign out devices of yours" in page.text) == ("Is that you?", True)
    done = await browser.submit()
    assert "window.onAuthDone" in done.text
    assert "script-src 'sha256-" in done.headers["content-security-policy"]
    poll = {**body, "auth": {"session": asked["session"]}}
    assert (await world.json("POST", DEVICES, poll, by=login["access_token"])).status == 200
    assert await world.devices() == set()


async def test_a_confirmation_needs_a_fresh_sign_in_of_the_right_user(
    provider: OpenIdProvider, worlds_beside: WorldOpener
) -> None:
    world = await worlds_beside(adopts_accounts=True)
    await world.user()
    await world.user("bob")
    browser, login = await legacy_session(world, provider)
    asked = (await world.json("POST", DEVICES, {"devices": ["A"]}, by=login["access_token"])).json
    bob = await world.browser().sign_in("bob")
    page = await bob.get(f"{FALLBACK}?session={asked['session']}")
    assert "somebody else" in page.text
    body = f"form_token={(await world.visit()).form_token}&session={asked['session']}"
    assert (await bob.post(f"{P}/confirm", body)).status == 403
    await browser.get(f"{FALLBACK}?session={asked['session']}")
    world.clock.advance(600_000)
    assert (await browser.submit()).title == "Sign in"
    assert (await browser.get(f"{FALLBACK}?session={asked['session']}")).title == "Sign in"
    assert (await (await world.browser().sign_in()).get(f"{FALLBACK}?session=unknown")).title == "Too late"


async def test_somebody_else_cannot_confirm(provider: OpenIdProvider, worlds_beside: WorldOpener) -> None:
    world = await worlds_beside(adopts_accounts=True)
    await world.user()
    bob_id = await world.user("bob")
    _, login = await legacy_session(world, provider)
    asked = (await world.json("POST", DEVICES, {"devices": ["A"]}, by=login["access_token"])).json
    visit = await world.visit(bob_id)
    bob = world.browser()
    bob.cookie = visit.token
    answer = await bob.post(f"{P}/confirm", f"form_token={visit.form_token}&session={asked['session']}")
    assert "somebody else" in answer.text
    poll = {"devices": ["A"], "auth": {"session": asked["session"]}}
    assert (await world.json("POST", DEVICES, poll, by=login["access_token"])).status == 401
