"""Replacing cross-signing keys after a sign-in through OAuth."""

from typing import Any

import pytest

from tests.unit.server.oauth.world import ALICE, BASE, PASSWORD, P, World
from watchword.base.errors import Forbidden
from watchword.edge.request import Request
from watchword.edge.requester import Kind, Requester
from watchword.protocol.ids import DeviceId
from watchword.server.accounts.uia import Challenge

UPLOAD = "keys/device_signing/upload"
PHONE = Requester(ALICE, DeviceId("PHONE12345"), 1, kind=Kind.OAUTH)
LAPTOP = Requester(ALICE, DeviceId("LAPTOP0001"), 2, kind=Kind.OAUTH)


async def challenge(world: World, requester: Requester = PHONE, auth: Any = None) -> dict[str, Any]:
    request = Request("POST", "/", json={} if auth is None else {"auth": auth})
    with pytest.raises(Challenge) as raised:
        await world.oauth.approvals.authorise(request, requester, UPLOAD, {})
    return raised.value.body()


async def test_the_client_is_told_our_page_and_passes_once_it_was_approved(world: World) -> None:
    await world.signed_in()
    body = await challenge(world)
    assert body["flows"][0] == {"stages": ["m.oauth"]}
    assert "errcode" not in body
    url = body["params"]["m.oauth"]["url"]
    assert url.startswith(f"{BASE}{P}/account?action=org.matrix.cross_signing_reset")
    browser = await world.browser().sign_in()
    answer = await browser.get(url.removeprefix(BASE))
    assert answer.title == "Reset your cryptographic identity?"
    assert "PHONE12345" in answer.text
    assert "The password is wrong." in (await browser.submit(password="wrong")).text
    assert (await browser.submit(password=PASSWORD)).title == "Reset approved"
    assert (await challenge(world, LAPTOP))["session"]
    await world.oauth.approvals.authorise(Request("POST", "/"), PHONE, UPLOAD, {})
    # Once is enough.
    await challenge(world)


async def test_an_approval_that_names_no_device_is_good_for_any(world: World) -> None:
    await world.signed_in()
    browser = await world.browser().sign_in()
    await browser.get(f"{P}/account/reset-identity")
    await browser.submit(password=PASSWORD)
    await world.oauth.approvals.authorise(Request("POST", "/"), LAPTOP, UPLOAD, {})


async def test_an_approval_expires(world: World) -> None:
    await world.user()
    await world.oauth.approvals.approve(ALICE, None)
    world.clock.advance(600_000)
    await challenge(world)


async def test_the_session_stays_the_same_while_a_client_asks(world: World) -> None:
    session = (await challenge(world))["session"]
    assert (await challenge(world, auth={"session": session}))["session"] == session
    assert (await challenge(world, auth={"session": "x" * 65}))["session"] != "x" * 65
    assert (await challenge(world, auth="nonsense"))["session"]


async def test_nothing_else_can_be_proved_so(world: World) -> None:
    with pytest.raises(Forbidden):
        await world.oauth.approvals.authorise(Request("POST", "/"), PHONE, "devices/delete", {})


async def test_who_logged_in_the_legacy_way_proves_himself_the_legacy_way(world: World) -> None:
    await world.user()
    body = await challenge(world, Requester(ALICE, DeviceId("OLD"), 3))
    assert body["flows"] == [{"stages": ["m.login.password"]}]
