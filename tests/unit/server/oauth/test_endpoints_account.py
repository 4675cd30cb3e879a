"""The account page and what can be done there."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.server.oauth.world import ALICE, PASSWORD, Browser, P, World
from watchword.server.oauth.endpoints_account import seen_text

ACCOUNT = f"{P}/account"
NEW = "battery staple"


@pytest.fixture
async def browser(world: World) -> Browser:
    await world.signed_in()
    return await world.browser().sign_in()


@pytest.mark.parametrize(
    ("action", "title"),
    [
        ("org.matrix.profile", "Your account"),
        ("org.example.unknown", "Your account"),
        ("org.matrix.devices_list", "Devices"),
        ("org.matrix.sessions_list", "Devices"),
        ("org.matrix.device_view&device_id=PHONE12345", "The Client"),
        ("org.matrix.session_view&device_id=PHONE12345", "The Client"),
        ("org.matrix.device_delete&device_id=PHONE12345", "Sign out this device?"),
        ("org.matrix.session_end&device_id=PHONE12345", "Sign out this device?"),
        ("org.matrix.account_deactivate", "Deactivate your account"),
        ("org.matrix.cross_signing_reset", "Reset your cryptographic identity?"),
    ],
)
async def test_each_action_leads_to_its_page_by_way_of_the_sign_in(world: World, action: str, title: str) -> None:
    await world.signed_in()
    browser = world.browser()
    assert (await browser.get(f"{ACCOUNT}?action={action}")).title == "Sign in"
    assert (await browser.submit(username="alice", password=PASSWORD)).title == title


async def test_the_display_name_is_changed_and_taken_away(world: World, browser: Browser) -> None:
    await browser.get(ACCOUNT)
    answer = await browser.submit(display_name=" Alice A. ")
    assert "Your name was changed." in answer.text
    assert await world.accounts.reader.profile(ALICE) == {"displayname": "Alice A."}
    await browser.submit(display_name="")
    assert await world.accounts.reader.profile(ALICE) == {}
    assert (await browser.submit(display_name="x" * 300)).status == 400


async def test_somebody_suspended_does_not_change_his_name(world: World, browser: Browser) -> None:
    async with world.database.write() as tx:
        await tx.execute("UPDATE accounts SET is_suspended = 1")
    await browser.get(ACCOUNT)
    assert "suspended" in (await browser.submit(display_name="x")).text


async def test_a_device_is_named_and_signed_out(world: World, browser: Browser) -> None:
    assert "PHONE12345" in (await browser.get(f"{ACCOUNT}/devices")).text
    answer = await browser.get(f"{ACCOUNT}/device?device_id=PHONE12345")
    assert "https://client.example/" in answer.text
    assert "The device was renamed." in (await browser.submit(display_name="Old phone")).text
    assert (await browser.submit(display_name="x" * 300)).status == 400
    await browser.get(f"{ACCOUNT}/device/sign-out?device_id=PHONE12345")
    assert "Old phone was signed out." in (await browser.submit()).text
    assert await world.devices() == set()


@pytest.mark.parametrize("path", ["device", "device/sign-out"])
async def test_a_device_that_is_not_there_is_said(browser: Browser, path: str) -> None:
    for device_id in ("NOBODY", ""):
        answer = await browser.get(f"{ACCOUNT}/{path}?device_id={device_id}")
        assert (answer.status, answer.title) == (404, "Devices")
    await browser.get(f"{ACCOUNT}/{path}?device_id=PHONE12345")
    assert (await browser.submit(device_id="NOBODY", display_name="x")).status == 404


async def test_nobody_sees_the_devices_of_others(world: World, browser: Browser) -> None:
    await world.user("bob")
    other = await world.browser().sign_in("bob")
    assert (await other.get(f"{ACCOUNT}/device?device_id=PHONE12345")).status == 404


async def test_the_password_is_changed_with_the_old_one_and_other_browsers_are_signed_out(
    world: World, browser: Browser
) -> None:
    other = await world.browser().sign_in()
    await browser.get(f"{ACCOUNT}/password")
    typed = {"password": PASSWORD, "new_password": NEW, "new_password_again": NEW}
    for wrong, complaint in (
        ({"password": "wrong"}, "The password is wrong."),
        ({"new_password_again": "x"}, "not the same"),
        ({"new_password": "short", "new_password_again": "short"}, "at least 8 characters"),
    ):
        answer = await browser.submit(**{**typed, **wrong})
        assert (answer.status, complaint in answer.text) == (403, True)
    assert "Your password was changed." in (await browser.submit(**typed)).text
    assert (await browser.get(ACCOUNT)).title == "Your account"
    assert (await other.get(ACCOUNT)).title == "Sign in"
    assert await world.devices() == {"PHONE12345"}
    await world.browser().sign_in(password=NEW)


async def test_a_new_password_may_sign_all_devices_out(world: World, browser: Browser) -> None:
    await browser.get(f"{ACCOUNT}/password")
    await browser.submit(password=PASSWORD, new_password=NEW, new_password_again=NEW, sign_out_devices="yes")
    assert await world.devices() == set()


async def test_a_server_without_passwords_changes_none(worlds: Callable[..., Any]) -> None:
    world: World = await worlds(password_login=False)
    await world.user()
    visit = await world.visit()
    browser = world.browser()
    browser.cookie = visit.token
    assert (await browser.get(f"{ACCOUNT}/password")).title == "No passwords"
    assert (await browser.post(f"{ACCOUNT}/password", f"form_token={visit.form_token}")).title == "No passwords"


async def test_an_account_is_deactivated_with_the_password_and_a_tick(world: World, browser: Browser) -> None:
    tokens = await world.signed_in(device="LAPTOP0001")
    await browser.get(f"{ACCOUNT}/deactivate")
    assert "The password is wrong." in (await browser.submit(password="wrong", sure="yes")).text
    assert "confirm that you are sure" in (await browser.submit(password=PASSWORD)).text
    assert (await browser.submit(password=PASSWORD, sure="yes", erase="yes")).title == "Account deactivated"
    assert (await world.whoami(tokens["access_token"])).status == 401
    account = await world.accounts.reader.account(ALICE)
    assert account is not None
    assert (account.is_deactivated, account.is_erased) == (True, True)
    assert (await browser.get(ACCOUNT)).title == "Sign in"


async def test_who_has_no_password_proves_himself_by_a_sign_in_a_short_while_ago(world: World, browser: Browser) -> None:
    async with world.database.write() as tx:
        await tx.execute("UPDATE accounts SET password_hash = NULL")
    browser.cookie = (await world.visit()).token
    answer = await browser.get(f"{ACCOUNT}/reset-identity")
    assert answer.page.css_first("input[name=password]") is None
    world.clock.advance(600_000)
    assert (await browser.submit()).title == "Sign in"
    assert (await browser.get(f"{ACCOUNT}/reset-identity")).title == "Sign in"


async def test_what_needs_interactive_authentication_is_not_for_oauth_tokens(world: World) -> None:
    token = (await world.signed_in())["access_token"]
    for method, path, body in (
        ("DELETE", "/_matrix/client/v3/devices/PHONE12345", None),
        ("POST", "/_matrix/client/v3/delete_devices", {"devices": ["PHONE12345"]}),
        ("POST", "/_matrix/client/v3/account/password", {"new_password": NEW}),
        ("POST", "/_matrix/client/v3/account/deactivate", {}),
    ):
        answer = await world.json(method, path, body, by=token)
        assert (answer.status, answer.json["errcode"]) == (403, "M_FORBIDDEN"), path


@pytest.mark.parametrize(
    ("ago_ms", "text"),
    [
        (None, "not seen yet"),
        (-5, "last seen just now"),
        (299_999, "last seen just now"),
        (300_000, "last seen 5 minutes ago"),
        (3_600_000, "last seen 1 hour ago"),
        (7_200_000, "last seen 2 hours ago"),
        (86_400_000, "last seen 1 day ago"),
        (864_000_000, "last seen 10 days ago"),
    ],
)
def test_when_a_device_was_seen(ago_ms: int | None, text: str) -> None:
    now_ms = 10**12
    assert seen_text(None if ago_ms is None else now_ms - ago_ms, now_ms) == text
