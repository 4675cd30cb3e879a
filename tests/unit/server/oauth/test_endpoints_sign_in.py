"""The pages between a client and its tokens."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.unit.server.oauth.world import ALICE, BASE, CALLBACK, PASSWORD, SCOPE, P, World, authorize_url
from watchword.edge.endpoint import Rate
from watchword.server.accounts.commands import Policy, PolicyText, RegistrationMode
from watchword.server.oauth.endpoints_sign_in import ENDPOINTS

# Signing in


async def test_a_wrong_password_is_said_and_the_name_stays(world: World) -> None:
    await world.user()
    browser = world.browser()
    await browser.get(f"{P}/sign-in")
    answer = await browser.submit(username="alice", password="wrong")
    assert (answer.status, answer.title) == (403, "Sign in")
    assert "The user name or the password is wrong." in answer.text
    assert browser.fields()["username"] == "alice"


async def test_somebody_unknown_is_answered_like_a_wrong_password(world: World) -> None:
    browser = world.browser()
    await browser.get(f"{P}/sign-in")
    assert "The user name or the password is wrong." in (await browser.submit(username="nobody", password="x")).text
    assert "The user name or the password is wrong." in (await browser.submit(username="a@b.example", password="x")).text


async def test_guesses_are_counted_with_those_of_the_legacy_login(worlds: Callable[..., Any]) -> None:
    world: World = await worlds(failed_logins_max=2)
    await world.user()
    login = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"}, "password": "wrong"}
    for _ in range(2):
        answer = await world.json("POST", "/_matrix/client/v3/login", login)
        assert answer.status == 403
    browser = world.browser()
    await browser.get(f"{P}/sign-in")
    answer = await browser.submit(username="alice", password=PASSWORD)
    assert (answer.status, answer.title) == (429, "That did not work")
    assert "Please try again in 5 minutes." in answer.text


async def test_too_many_attempts_of_an_address_get_a_page_too(worlds: Callable[..., Any]) -> None:
    world: World = await worlds(limited=[Rate.LOGIN])
    browser = world.browser()
    for _ in range(2):
        await browser.get(f"{P}/sign-in")
        await browser.submit(username="alice", password="x")
    await browser.get(f"{P}/sign-in")
    answer = await browser.submit(username="alice", password="x")
    assert (answer.status, answer.title) == (429, "That did not work")
    assert answer.headers["content-type"].startswith("text/html")


async def test_whoever_is_signed_in_goes_on_at_once(world: World) -> None:
    await world.user()
    browser = await world.browser().sign_in()
    assert (await browser.get(f"{P}/sign-in")).title == "Your account"
    assert (await browser.get(f"{P}/sign-in?next={P}/account/devices")).title == "Devices"
    assert (await browser.get(f"{P}/sign-in?again=1")).title == "Sign in"


async def test_a_link_to_us_leads_nowhere_else(world: World) -> None:
    await world.user()
    browser = world.browser()
    await browser.get(f"{P}/sign-in?next=https%3A%2F%2Fevil.example%2F")
    assert "next" not in browser.fields()
    answer = await browser.submit(username="alice", password=PASSWORD, next="//evil.example/")
    assert answer.title == "Your account"


async def test_a_locked_account_is_told_so_once_it_proved_itself(world: World) -> None:
    await world.user()
    async with world.database.write() as tx:
        await tx.execute("UPDATE accounts SET is_locked = 1")
    browser = world.browser()
    await browser.get(f"{P}/sign-in")
    assert "This account is locked" in (await browser.submit(username="alice", password=PASSWORD)).text


async def test_a_server_without_passwords_shows_no_form_for_them(worlds: Callable[..., Any]) -> None:
    world: World = await worlds(password_login=False)
    answer = await world.browser().get(f"{P}/sign-in")
    assert answer.page.css_first("input[name=password]") is None
    assert (await world.browser().get(f"{P}/register")).status == 403


async def test_signing_out_ends_the_browsers_session_and_no_device(world: World) -> None:
    tokens = await world.signed_in()
    browser = await world.browser().sign_in()
    await browser.get(f"{P}/sign-out")
    old = browser.cookie
    assert (await browser.submit()).title == "Signed out"
    assert (await browser.get(f"{P}/account")).title == "Sign in"
    browser.cookie = old
    assert (await browser.get(f"{P}/account")).title == "Sign in"
    assert (await world.whoami(tokens["access_token"])).status == 200
    await browser.get(f"{P}/sign-out?next={P}/register")
    assert (await browser.submit()).title == "Create an account"


# Forms


async def test_a_form_that_is_not_ours_is_refused(world: World) -> None:
    await world.user()
    browser = world.browser()
    await browser.get(f"{P}/sign-in")
    answer = await browser.submit(username="alice", password=PASSWORD, form_token="guessed")
    assert (answer.status, answer.title) == (403, "That did not work")
    other = world.browser()
    await other.get(f"{P}/sign-in")
    token = other.fields()["form_token"]
    await browser.get(f"{P}/sign-in")
    assert (await browser.submit(username="alice", password=PASSWORD, form_token=token)).status == 403


async def test_a_form_from_another_site_is_refused(world: World) -> None:
    await world.user()
    browser = world.browser()
    await browser.get(f"{P}/sign-in")
    body = f"form_token={browser.fields()['form_token']}&username=alice&password=x".encode()
    cookie = f"__Host-watchword={browser.cookie}"
    answer = await world.call("POST", f"{P}/sign-in", body, cookie=cookie, sec_fetch_site="cross-site")
    assert "came from elsewhere" in answer.text


async def test_a_form_of_before_the_sign_in_is_worth_nothing_after_it(world: World) -> None:
    await world.user()
    browser = world.browser()
    await browser.get(f"{P}/sign-in")
    before = browser.cookie
    form_token = browser.fields()["form_token"]
    await browser.submit(username="alice", password=PASSWORD)
    assert browser.cookie != before
    await browser.get(f"{P}/sign-out")
    assert (await browser.submit(form_token=form_token)).status == 403


async def test_a_body_that_is_no_form_is_refused(world: World) -> None:
    answer = await world.call("POST", f"{P}/sign-in", b"\xff=\xff")
    assert (answer.status, answer.title) == (400, "That did not work")
    assert (await world.call("POST", f"{P}/sign-in", b"a" * 70_000)).status == 413


# Registering


async def test_a_newcomer_registers_with_an_invitation_and_goes_on_to_the_client(world: World) -> None:
    client_id = await world.client()
    token = await world.invitation()
    browser = world.browser()
    assert (await browser.get(authorize_url(client_id, prompt="create"))).title == "Create an account"
    answer = await browser.submit(
        token=token, username="carol", display_name="Carol C.", password=PASSWORD, password_again=PASSWORD
    )
    assert answer.title == "Let The Client in?"
    assert "@carol:here.example" in answer.text
    back = await browser.submit(answer="allow")
    assert (await world.exchange(client_id, back.answer["code"])).status == 200
    assert await world.accounts.reader.profile("@carol:here.example") == {"displayname": "Carol C."}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ({"token": "wrong"}, "This invitation is not valid."),
        ({"token": ""}, "This invitation is not valid."),
        ({"username": "Al ice"}, "A user name consists of"),
        ({"username": "alice"}, "This user name is taken."),
        ({"password": "short", "password_again": "short"}, "A password has at least 8 characters."),
        ({"password_again": "other"}, "The two passwords are not the same."),
    ],
)
async def test_a_newcomer_is_told_what_is_wrong(world: World, typed: dict[str, str], complaint: str) -> None:
    await world.user()
    token = await world.invitation()
    browser = world.browser()
    await browser.get(f"{P}/register")
    fields = {"token": token, "username": "carol", "password": PASSWORD, "password_again": PASSWORD}
    answer = await browser.submit(**{**fields, **typed})
    assert answer.status >= 400
    assert complaint in answer.text
    # The invitation is not lost.
    assert (await browser.submit(**fields)).title == "Your account"


async def test_an_invitation_makes_no_more_accounts_than_it_allows(world: World) -> None:
    token = await world.invitation()
    for name, status in (("carol", 200), ("dave", 403)):
        browser = world.browser()
        await browser.get(f"{P}/register?token={token}")
        assert browser.fields()["token"] == token
        answer = await browser.submit(username=name, password=PASSWORD, password_again=PASSWORD)
        assert answer.status == status


async def test_where_everybody_may_come_the_invitation_is_optional(worlds: Callable[..., Any]) -> None:
    world: World = await worlds(registration=RegistrationMode.OPEN)
    browser = world.browser()
    await browser.get(f"{P}/register")
    assert (await browser.submit(username="carol", password=PASSWORD, password_again=PASSWORD)).title == "Your account"


async def test_where_nobody_may_come_the_page_says_so(worlds: Callable[..., Any]) -> None:
    world: World = await worlds(registration=RegistrationMode.CLOSED)
    client_id = await world.client()
    browser = world.browser()
    assert (await browser.get(f"{P}/register")).title == "Registration is closed"
    answer = await browser.get(authorize_url(client_id, prompt="create"))
    assert answer.title == "Sign in"
    assert "Create an account" not in answer.text
    answer = await browser.post(f"{P}/register", f"form_token={browser.fields()['form_token']}")
    assert answer.title == "Registration is closed"


async def test_newcomers_agree_to_the_terms(worlds: Callable[..., Any]) -> None:
    policy = Policy("privacy", "1", {"en": PolicyText("Privacy", "https://here.example/privacy")})
    world: World = await worlds(policies=(policy,), registration=RegistrationMode.OPEN)
    browser = world.browser()
    assert "https://here.example/privacy" in (await browser.get(f"{P}/register")).text
    typed = {"username": "carol", "password": PASSWORD, "password_again": PASSWORD}
    assert "Please agree to the terms" in (await browser.submit(**typed)).text
    assert (await browser.submit(**typed, agreed="yes")).title == "Your account"


# Consent


async def test_the_answer_comes_in_the_fragment_where_the_client_asks_for_it(world: World) -> None:
    await world.user()
    client_id = await world.client()
    browser = await world.browser().sign_in()
    await browser.get(authorize_url(client_id, response_mode="fragment"))
    back = await browser.submit(answer="allow")
    assert back.location.startswith(f"{CALLBACK}#")
    assert back.answer["code"]


async def test_a_no_goes_back_to_the_client_as_an_error(world: World) -> None:
    await world.user()
    client_id = await world.client()
    browser = await world.browser().sign_in()
    await browser.get(authorize_url(client_id))
    back = await browser.submit(answer="deny")
    assert (back.answer["error"], back.answer["state"]) == ("access_denied", "its state")


async def test_the_form_of_consent_may_lead_to_the_client_alone(world: World) -> None:
    await world.user()
    client_id = await world.client()
    browser = await world.browser().sign_in()
    answer = await browser.get(authorize_url(client_id))
    policy = answer.headers["content-security-policy"]
    assert "form-action 'self' https://app.client.example;" in policy
    assert policy.startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in policy
    assert "one of yours already" not in answer.text


async def test_an_administrator_is_told_what_he_would_let_an_application_do(world: World) -> None:
    await world.user()
    client_id = await world.client()
    browser = await world.browser().sign_in()
    assert "administer this server" not in (await browser.get(authorize_url(client_id))).text
    await world.accounts.admin.set_admin(ALICE, True)
    assert "administer this server" in (await browser.get(authorize_url(client_id))).text


async def test_a_device_that_exists_is_named_as_such(world: World) -> None:
    client_id = await world.client()
    await world.signed_in(client_id)
    browser = await world.browser().sign_in()
    assert "one of yours already" in (await browser.get(authorize_url(client_id))).text


async def test_an_address_that_was_not_registered_is_not_gone_to(world: World) -> None:
    client_id = await world.client()
    for url in (authorize_url(client_id, redirect_uri="https://evil.example/"), authorize_url("unknown")):
        answer = await world.browser().get(url)
        assert (answer.status, answer.title) == (400, "This link does not work")
        assert "evil" not in answer.text


async def test_other_mistakes_are_shown_with_a_way_back(world: World) -> None:
    client_id = await world.client()
    answer = await world.browser().get(authorize_url(client_id, code_challenge=None))
    assert (answer.status, answer.title) == (400, "This request does not work")
    link = answer.page.css_first("main a")
    assert link is not None
    assert str(link.attributes["href"]).startswith(f"{CALLBACK}?error=invalid_request&")


async def test_a_client_that_wants_nobody_asked_is_refused(world: World) -> None:
    client_id = await world.client()
    assert "interaction_required" in (await world.browser().get(authorize_url(client_id, prompt="none"))).text


async def test_a_client_may_ask_for_a_new_sign_in(world: World) -> None:
    await world.user()
    client_id = await world.client()
    browser = await world.browser().sign_in()
    assert (await browser.get(authorize_url(client_id, prompt="login"))).title == "Sign in"
    assert (await browser.submit(username="alice", password=PASSWORD)).title == "Let The Client in?"


async def test_a_hint_of_whom_to_sign_in_fills_the_form(world: World) -> None:
    client_id = await world.client()
    browser = world.browser()
    await browser.get(authorize_url(client_id, login_hint=f"mxid:{ALICE}"))
    assert browser.fields()["username"] == "alice"


async def test_consent_without_a_sign_in_or_for_a_changed_request_is_worth_nothing(world: World) -> None:
    await world.user()
    client_id = await world.client()
    browser = await world.browser().sign_in()
    await browser.get(authorize_url(client_id))
    assert (await browser.submit(answer="allow", request="client_id=unknown")).title == "This link does not work"
    stranger = world.browser()
    await stranger.get(f"{P}/sign-in")
    body = urlencode({"form_token": stranger.fields()["form_token"], "request": "client_id=x", "answer": "allow"})
    assert (await stranger.post(f"{P}/oauth/authorize", body)).title == "Sign in"


async def test_a_device_id_that_names_a_cross_signing_key_is_refused(world: World) -> None:
    await world.user()
    world.keys.names.add("PHONE12345")
    client_id = await world.client()
    browser = await world.browser().sign_in()
    await browser.get(authorize_url(client_id))
    assert (await browser.submit(answer="allow")).answer["error"] == "invalid_scope"


# Devices without a browser


async def begun(world: World, client_id: str) -> Any:
    answer = await world.form(f"{P}/oauth/device", client_id=client_id, scope=SCOPE)
    assert answer.status == 200, answer.text
    return answer.json


async def polled(world: World, client_id: str, device_code: str) -> Any:
    world.clock.advance(5_000)
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    return await world.form(f"{P}/oauth/token", grant_type=grant, client_id=client_id, device_code=device_code)


async def test_a_device_without_a_browser_is_let_in(world: World) -> None:
    await world.user()
    client_id = await world.client()
    grant = await begun(world, client_id)
    assert grant["verification_uri"] == f"{BASE}{P}/device"
    assert (await polled(world, client_id, grant["device_code"])).json["error"] == "authorization_pending"
    browser = world.browser()
    await browser.get(f"{P}/device")
    assert (await browser.submit(username="alice", password=PASSWORD)).title == "Sign in a device"
    answer = await browser.submit(user_code=grant["user_code"].lower())
    assert answer.title == "Let this device in?"
    assert grant["user_code"] in answer.text
    assert (await browser.submit(answer="allow")).title == "Device signed in"
    tokens = await polled(world, client_id, grant["device_code"])
    assert tokens.json["scope"] == SCOPE
    assert (await world.whoami(tokens.json["access_token"])).json["user_id"] == ALICE
    assert (await polled(world, client_id, grant["device_code"])).json["error"] == "invalid_grant"


async def test_a_device_is_turned_away(world: World) -> None:
    await world.user()
    client_id = await world.client()
    grant = await begun(world, client_id)
    browser = await world.browser().sign_in()
    await browser.get(grant["verification_uri_complete"].removeprefix(BASE))
    assert (await browser.submit(answer="deny")).title == "Not signed in"
    assert (await polled(world, client_id, grant["device_code"])).json["error"] == "access_denied"


async def test_a_code_that_nobody_waits_with_is_said(world: World) -> None:
    await world.user()
    browser = await world.browser().sign_in()
    await browser.get(f"{P}/device")
    answer = await browser.submit(user_code="BCDF-BCDF")
    assert (answer.status, answer.title) == (404, "Sign in a device")
    assert browser.fields()["user_code"] == "BCDF-BCDF"
    answer = await browser.submit(user_code="nonsense", answer="allow")
    assert "This device waits no more" in answer.text


async def test_a_waiting_device_may_not_take_the_name_of_a_key(world: World) -> None:
    await world.user()
    client_id = await world.client()
    grant = await begun(world, client_id)
    browser = await world.browser().sign_in()
    await browser.get(grant["verification_uri_complete"].removeprefix(BASE))
    world.keys.names.add("PHONE12345")
    assert (await browser.submit(answer="allow")).status == 404


# Every page


async def test_the_style_sheet_is_asked_for_by_its_version(world: World) -> None:
    answer = await world.browser().get(f"{P}/sign-in")
    link = answer.page.css_first("link[rel=stylesheet]")
    assert link is not None
    style = await world.call("GET", str(link.attributes["href"]))
    assert (style.status, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "immutable" in style.headers["cache-control"]
    assert (await world.call("GET", f"{P}/pages.css")).status == 404


async def test_every_page_has_what_people_and_their_tools_need(world: World) -> None:
    await world.signed_in()
    client_id = await world.client()
    grant = await begun(world, client_id)
    browser = await world.browser().sign_in()
    pages = ["sign-in?again=1", "register", "sign-out", "device", f"device?user_code={grant['user_code']}", "account"]
    pages += ["account/devices", "account/device?device_id=PHONE12345", "account/device/sign-out?device_id=PHONE12345"]
    pages += ["account/password", "account/deactivate", "account/reset-identity?device_id=PHONE12345"]
    urls = [f"{P}/{name}" for name in pages] + [
        authorize_url(client_id),
        authorize_url(client_id, scope="x"),
        authorize_url("x"),
    ]
    titles = set()
    for url in urls:
        answer = await browser.get(url)
        page = answer.page
        html = page.css_first("html")
        assert html is not None
        assert html.attributes["lang"] == "en"
        assert len(page.css("h1")) == len(page.css("main")) == 1
        assert not page.css("style, [style], [onclick], img")
        scripts = page.css("script")
        assert not scripts or (url == f"{P}/register" and scripts[0].attributes == {})
        labels = {label.attributes["for"] for label in page.css("label")}
        for field in page.css("input:not([type=hidden])"):
            assert "hidden" in field.attributes or field.attributes["id"] in labels, url
        for form in page.css("form"):
            assert form.attributes["method"] == "post"
            assert form.css_first("input[name=form_token]") is not None
        assert answer.headers["cache-control"] == "no-store"
        assert ("script-src 'sha256-" in answer.headers["content-security-policy"]) == bool(scripts)
        assert "unsafe" not in answer.headers["content-security-policy"]
        titles.add(answer.title)
    assert len(titles) == len(urls)


async def test_what_people_write_is_shown_and_never_obeyed(world: World) -> None:
    await world.user()
    client_id = await world.client(client_name="<script>alert(1)</script>")
    browser = await world.browser().sign_in()
    answer = await browser.get(authorize_url(client_id, state='"><script>'))
    assert "<script>" not in answer.text
    assert answer.title == "Let <script>alert(1)</script> in?"


def test_pages_take_their_rate_themselves_so_that_refusals_are_pages() -> None:
    assert {row.rate for row in ENDPOINTS if not row.path.endswith(".css")} == {Rate.NONE}
