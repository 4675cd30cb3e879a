"""Stages: what passes each, and that a failed one says why."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.server.accounts.threepids.outside import a_desk, a_fetcher
from watchword.base.errors import Forbidden
from watchword.edge.request import Request
from watchword.protocol.ids import UserId
from watchword.server.accounts.assembly import OutsideServices
from watchword.server.accounts.captcha import Captcha
from watchword.server.accounts.commands import CaptchaSettings, Policy, PolicyText, RegistrationMode
from watchword.server.accounts.decide import CAPTCHA, PASSWORD
from watchword.server.accounts.threepids import tables
from watchword.server.accounts.threepids.commands import Purpose
from watchword.server.accounts.uia_stages import UiaSession

REGISTER = "/_matrix/client/v3/register"
PAGE = "/_matrix/client/v3/auth/{}/fallback/web"
POLICIES = [
    Policy("terms", "2", {"en": PolicyText("Terms", "https://here.example/terms")}),
    Policy("privacy", "1", {"en": PolicyText("Privacy", "https://here.example/privacy")}),
]


@pytest.fixture
async def guarded(houses: Any) -> AsyncIterator[Any]:
    """A house with a captcha and policies, and the desk that judges captchas."""
    async with a_desk() as desk, a_fetcher() as fetcher:
        settings = CaptchaSettings("site-key", "shh", desk.url, "https://captcha.example/api.js")
        outside = OutsideServices(captcha=Captcha(fetcher, settings))
        house = await houses(registration=RegistrationMode.OPEN, captcha=settings, policies=POLICIES, outside=outside)
        yield house, desk


async def test_a_stranger_solves_the_captcha_and_agrees(guarded: Any) -> None:
    house, desk = guarded
    wish = {"username": "alice", "password": "correct horse"}
    begun = (await house.call("POST", REGISTER, wish)).body
    assert begun["params"]["m.login.recaptcha"] == {"public_key": "site-key"}
    session = begun["session"]

    async def stage(**auth: Any) -> Any:
        return await house.call("POST", REGISTER, {**wish, "auth": {"session": session, **auth}})

    assert (await stage(type="m.login.recaptcha")).body["errcode"] == "M_CAPTCHA_NEEDED"
    desk.answer_body = {"success": False}
    assert (await stage(type="m.login.recaptcha", response="wrong")).body["errcode"] == "M_CAPTCHA_INVALID"
    desk.answer_body = {"success": True}
    passed = await stage(type="m.login.recaptcha", response="right")
    assert (passed.status, passed.body["completed"]) == (401, ["m.login.recaptcha"])
    assert (await stage(type="m.login.terms")).status == 200
    async with house.database.read() as tx:
        accepted = await tables.accepted_policies(tx, UserId("@alice:here.example"))
    assert [(name, version) for name, version, _ in accepted] == [("privacy", "1"), ("terms", "2")]


async def test_a_captcha_service_that_is_down_is_no_success(guarded: Any) -> None:
    house, desk = guarded
    session = (await house.call("POST", REGISTER, {})).body["session"]
    desk.status = 503
    auth = {"type": "m.login.recaptcha", "response": "x", "session": session}
    with pytest.raises(Exception, match="captcha service"):
        await house.call("POST", REGISTER, {"auth": auth})


async def test_the_pages_of_captcha_and_policies(guarded: Any) -> None:
    house, desk = guarded
    session = (await house.call("POST", REGISTER, {})).body["session"]
    riddle = await house.call("GET", PAGE.format("m.login.recaptcha"), session=session)
    policy = riddle.headers["content-security-policy"]
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert f'<script nonce="{nonce}" src="https://captcha.example/api.js"' in riddle.body
    assert "unsafe" not in policy
    desk.answer_body = {"success": False}
    form = {"session": session, "g-recaptcha-response": "x"}
    assert (await house.call("POST", PAGE.format("m.login.recaptcha"), form=form)).status == 401
    desk.answer_body = {"success": True}
    assert "onAuthDone" in (await house.call("POST", PAGE.format("m.login.recaptcha"), form=form)).body
    terms = await house.call("GET", PAGE.format("m.login.terms"), session=session)
    assert 'href="https://here.example/privacy"' in terms.body
    agreed = await house.call("POST", PAGE.format("m.login.terms"), form={"session": session})
    assert "onAuthDone" in agreed.body


async def test_a_server_without_a_captcha_shows_none(house: Any) -> None:
    assert (await house.call("GET", PAGE.format("m.login.recaptcha"))).status == 404


async def test_a_password_of_somebody_else_is_not_taken(house: Any) -> None:
    await house.user("alice")
    await house.user("bob")
    session = UiaSession("s", "a", b"", UserId("@bob:here.example"), ((PASSWORD,),), 0, is_anonymous=False)
    named = {"identifier": {"type": "m.id.user", "user": "alice"}, "password": "correct horse"}
    with pytest.raises(Forbidden):
        await house.accounts.uia._stages.attempt(PASSWORD, Request("POST", "/x"), session, named)


def test_a_session_knows_what_addresses_are_proved_for() -> None:
    flows = ((CAPTCHA,),)
    assert UiaSession("s", "register", b"", None, flows, 0, is_anonymous=True).purpose is Purpose.REGISTER
    assert UiaSession("s", "account/password", b"", None, flows, 0, is_anonymous=True).purpose is Purpose.RESET
