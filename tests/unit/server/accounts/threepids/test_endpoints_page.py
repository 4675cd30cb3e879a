"""The page behind the link of a mail, and where it leads."""

from typing import Any

import pytest

from tests.unit.server.accounts.threepids.conftest import SUBMIT, Town

BOB = {"email": "bob@there.example"}


async def test_the_page_is_plain_and_strict(town: Town) -> None:
    await town.ask("account/3pid/email", **BOB)
    page = await town.house.call("GET", SUBMIT, **await town.link())
    policy = page.headers["content-security-policy"]
    assert "script-src" not in policy
    assert "form-action 'self';" in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "<script" not in page.body


async def test_a_wrong_link_shows_no_form(town: Town) -> None:
    await town.ask("account/3pid/email", **BOB)
    link = await town.link()
    for query in ({}, {"sid": link["sid"], "token": "x"}, {"sid": "x", "token": link["token"]}):
        page = await town.house.call("GET", SUBMIT, **query)
        assert page.status == 400
        assert "<form" not in page.body


async def test_a_known_client_is_gone_back_to_at_once(towns: Any) -> None:
    town = await towns(threepids={"next_link_hosts": frozenset({"app.example"})})
    await town.ask("account/3pid/email", **BOB, next_link="https://app.example/#/done")
    link = await town.link()
    page = await town.house.call("GET", SUBMIT, **link)
    assert "form-action 'self' https://app.example;" in page.headers["content-security-policy"]
    answer = await town.house.call("POST", SUBMIT, form=link)
    assert (answer.status, answer.headers["location"]) == (303, "https://app.example/#/done")


async def test_an_unknown_client_is_shown_as_a_link(town: Town) -> None:
    await town.ask("account/3pid/email", **BOB, next_link="https://elsewhere.example/?a=1&b=%22%3E")
    answer = await town.house.call("POST", SUBMIT, form=await town.link())
    assert answer.status == 200
    assert 'href="https://elsewhere.example/?a=1&amp;b=%22%3E"' in answer.body


async def test_the_button_may_be_pressed_twice(town: Town) -> None:
    await town.ask("account/3pid/email", **BOB)
    await town.confirm()
    await town.confirm()


async def test_a_client_that_brings_the_token_itself_is_not_redirected(town: Town) -> None:
    asked = await town.ask("account/3pid/email", **BOB, next_link="https://here.example/")
    link = await town.link()
    body = {"sid": asked.body["sid"], "client_secret": "s3cret", "token": link["token"]}
    assert (await town.house.call("POST", SUBMIT, body)).body == {"success": True}


@pytest.mark.parametrize(
    ("body", "errcode"),
    [({}, "M_MISSING_PARAM"), ({"sid": "a", "client_secret": "b", "token": 5}, "M_BAD_JSON")],
)
async def test_malformed_tokens_are_refused(town: Town, body: dict[str, Any], errcode: str) -> None:
    answer = await town.house.call("POST", SUBMIT, body)
    assert (answer.status, answer.body["errcode"]) == (400, errcode)


async def test_a_body_that_is_too_large_is_refused(town: Town) -> None:
    assert (await town.house.call("POST", SUBMIT, form={"sid": "x" * 9_000})).status == 400
