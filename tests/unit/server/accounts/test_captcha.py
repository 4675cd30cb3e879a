"""A captcha service is asked as reCAPTCHA is."""

from tests.unit.server.accounts.threepids.outside import a_desk, a_fetcher
from watchword.base import limits
from watchword.server.accounts.captcha import Captcha
from watchword.server.accounts.commands import CaptchaSettings


async def test_the_service_decides() -> None:
    async with a_desk() as desk, a_fetcher() as fetcher:
        captcha = Captcha(fetcher, CaptchaSettings("site", "shh", desk.url + "/verify", "https://captcha.example/api.js"))
        desk.answer_body = {"success": True}
        assert await captcha.is_solved("answer & more", "192.0.2.1")
        desk.answer_body = {"success": False, "error-codes": ["bad"]}
        assert not await captcha.is_solved("answer", "")
    assert desk.taken == [
        {"secret": "shh", "response": "answer & more", "remoteip": "192.0.2.1"},
        {"secret": "shh", "response": "answer"},
    ]


async def test_an_answer_without_end_is_not_passed_on() -> None:
    async with a_desk() as desk, a_fetcher() as fetcher:
        captcha = Captcha(fetcher, CaptchaSettings("site", "shh", desk.url, "https://captcha.example/api.js"))
        assert not await captcha.is_solved("x" * (limits.captcha_answer_characters_max + 1), "")
    assert desk.taken == []
