"""Proving addresses: who gets which message, and what a token is good for."""

from typing import Any

import pytest

from tests.unit.edge.relay import text_of
from tests.unit.server.accounts.threepids.conftest import SUBMIT, Town
from watchword.base import limits
from watchword.server.accounts.threepids.commands import Credentials, Purpose, Wanted

BOB = {"email": "Bob@There.example"}
PHONE = {"country": "DE", "phone_number": "0151 1234567"}


async def proof(town: Town, sid: str, purpose: Purpose = Purpose.ADD, secret: str = "s3cret") -> Any:
    return await town.house.accounts.threepids.proofs.proof(purpose, Credentials(sid, secret))


async def test_a_mail_goes_to_the_folded_address_and_its_link_proves_it(town: Town) -> None:
    asked = await town.ask("account/3pid/email", **BOB)
    assert set(asked.body) == {"sid"}
    assert await proof(town, asked.body["sid"]) is None
    await town.confirm()
    found = await proof(town, asked.body["sid"])
    assert found.threepid.address == "bob@there.example"
    assert town.relay.recipients == [["bob@there.example"]]


async def test_opening_the_link_alone_proves_nothing(town: Town) -> None:
    asked = await town.ask("account/3pid/email", **BOB)
    page = await town.house.call("GET", SUBMIT, **await town.link())
    assert page.status == 200
    assert "bob@there.example" in page.body
    assert await proof(town, asked.body["sid"]) is None


async def test_a_proof_is_good_for_its_purpose_and_its_secret_alone(town: Town) -> None:
    sid = (await town.ask("account/3pid/email", **BOB)).body["sid"]
    await town.confirm()
    assert await proof(town, sid, Purpose.REGISTER) is None
    assert await proof(town, sid, Purpose.RESET) is None
    assert await proof(town, sid, secret="other") is None
    assert await proof(town, "unknown") is None


async def test_the_same_attempt_sends_nothing_again_and_a_higher_one_does(town: Town) -> None:
    first = await town.ask("account/3pid/email", **BOB)
    assert (await town.ask("account/3pid/email", **BOB)).body == first.body
    assert (await town.ask("account/3pid/email", **BOB, send_attempt=0)).body == first.body
    await town.relay.next_mail()
    assert (await town.ask("account/3pid/email", **BOB, send_attempt=2)).body == first.body
    await town.relay.next_mail(2)
    other = await town.ask("account/3pid/email", **BOB, client_secret="another")
    assert other.body != first.body
    await town.relay.next_mail(3)


async def test_the_link_of_a_mail_that_was_overtaken_stays_good(town: Town) -> None:
    sid = (await town.ask("account/3pid/email", **BOB)).body["sid"]
    await town.relay.next_mail()
    await town.ask("account/3pid/email", **BOB, send_attempt=2)
    await town.relay.next_mail(2)
    await town.confirm(1)
    assert await proof(town, sid) is not None


async def test_an_address_gets_only_so_many_messages_an_hour(town: Town) -> None:
    for attempt in range(limits.threepid_messages_per_hour_max):
        assert (await town.ask("account/3pid/email", **BOB, send_attempt=attempt)).status == 200
    refused = await town.ask("account/3pid/email", **BOB, send_attempt=99)
    assert (refused.status, refused.body["errcode"]) == (429, "M_LIMIT_EXCEEDED")
    town.house.clock.advance(3_600_000)
    assert (await town.ask("account/3pid/email", **BOB, send_attempt=99)).status == 200


async def test_nobody_learns_by_asking_whether_an_address_is_known(towns: Any) -> None:
    town = await towns(threepids={"email_at_registration": Wanted.OPTIONAL})
    await own(town, "alice", "alice@there.example")
    known = await town.ask("register/email", email="alice@there.example")
    unknown = await town.ask("account/password/email", email="nobody@there.example")
    assert (known.status, unknown.status) == (200, 200)
    assert set(known.body) == set(unknown.body) == {"sid"}
    mails = {mail["To"]: text_of(mail) for mail in [await town.relay.next_mail(2), await town.relay.next_mail(3)]}
    assert "already" in mails["alice@there.example"]
    assert "No account" in mails["nobody@there.example"]
    assert not any("submit_token" in text for text in mails.values())


async def own(town: Town, name: str, email: str) -> Any:
    """A user with a proved address."""
    me = await town.house.user(name)
    sid = (await town.ask("account/3pid/email", email=email, client_secret=name)).body["sid"]
    await town.confirm(len(town.relay.mails) or 1)
    accounts = town.house.accounts
    await accounts.threepids.add(f"@{name}:here.example", Credentials(sid, name))
    return me


async def test_a_proof_ends(town: Town) -> None:
    sid = (await town.ask("account/3pid/email", **BOB)).body["sid"]
    link = await town.link()
    town.house.clock.advance(limits.threepid_proof_ms)
    assert (await town.house.call("POST", SUBMIT, form=link)).status == 400
    assert (await town.house.call("GET", SUBMIT, **link)).status == 400
    body = {"sid": sid, "client_secret": "s3cret", "token": link["token"]}
    assert (await town.house.call("POST", SUBMIT, body)).body["errcode"] == "M_SESSION_EXPIRED"
    assert (await town.ask("account/3pid/email", **BOB)).body["sid"] != sid


async def test_a_code_by_text_message_is_typed_into_the_client(town: Town) -> None:
    asked = await town.ask("account/3pid/msisdn", **PHONE)
    assert asked.body["submit_url"] == f"https://here.example{SUBMIT}"
    (message,) = town.gateway.taken
    assert message["to"] == "+491511234567"
    assert town.gateway.headers[0]["Authorization"] == "Bearer gateway-token"
    body = {"sid": asked.body["sid"], "client_secret": "s3cret", "token": message["message"].split(" ")[0]}
    assert (await town.house.call("POST", SUBMIT, body)).body == {"success": True}
    assert (await proof(town, asked.body["sid"])).threepid.address == "491511234567"


async def test_codes_cannot_be_guessed(town: Town) -> None:
    sid = (await town.ask("account/3pid/msisdn", **PHONE)).body["sid"]
    code = town.gateway.taken[0]["message"].split(" ")[0]
    body = {"sid": sid, "client_secret": "s3cret"}
    for _ in range(limits.threepid_failures_max):
        assert (await town.house.call("POST", SUBMIT, {**body, "token": "x"})).body["errcode"] == "M_TOKEN_INCORRECT"
    assert (await town.house.call("POST", SUBMIT, {**body, "token": code})).body["errcode"] == "M_SESSION_EXPIRED"


async def test_a_code_needs_the_secret_of_who_asked(town: Town) -> None:
    sid = (await town.ask("account/3pid/msisdn", **PHONE)).body["sid"]
    code = town.gateway.taken[0]["message"].split(" ")[0]
    answer = await town.house.call("POST", SUBMIT, {"sid": sid, "client_secret": "other", "token": code})
    assert (answer.status, answer.body["errcode"]) == (400, "M_INVALID_PARAM")
    assert (await town.house.call("POST", SUBMIT, form={"sid": sid, "token": code})).status == 400


async def test_an_identity_server_may_send_the_codes(towns: Any) -> None:
    town = await towns(codes_by_identity=True)
    asked = await town.ask("account/3pid/msisdn", **PHONE)
    body = {"sid": asked.body["sid"], "client_secret": "s3cret"}
    assert (await town.house.call("POST", SUBMIT, {**body, "token": "1"})).body["errcode"] == "M_TOKEN_INCORRECT"
    code = town.identity.codes["+491511234567"]
    assert (await town.house.call("POST", SUBMIT, {**body, "token": code})).body == {"success": True}
    assert (await proof(town, asked.body["sid"])).threepid.address == "491511234567"


async def test_addresses_that_the_operator_does_not_want_are_denied(towns: Any) -> None:
    town = await towns(threepids={"email_allowed": ("*@here.example",), "msisdn_allowed": ("44*",)})
    for what, body in (("account/3pid/email", BOB), ("account/3pid/msisdn", PHONE)):
        answer = await town.ask(what, **body)
        assert (answer.status, answer.body["errcode"]) == (403, "M_THREEPID_DENIED")
    assert (await town.ask("account/3pid/email", email="bob@here.example")).status == 200


@pytest.mark.parametrize("what", ["account/3pid", "account/password", "register"])
async def test_what_cannot_be_sent_is_not_supported(house: Any, what: str) -> None:
    for medium, body in (("email", BOB), ("msisdn", PHONE)):
        asked = {"client_secret": "s", "send_attempt": 1, **body}
        answer = await house.call("POST", f"/_matrix/client/v3/{what}/{medium}/requestToken", asked)
        assert (answer.status, answer.body["errcode"]) == (400, "M_THREEPID_MEDIUM_NOT_SUPPORTED")


async def test_what_ended_long_ago_is_swept(town: Town) -> None:
    sid = (await town.ask("account/3pid/email", **BOB)).body["sid"]
    town.house.clock.advance(3 * limits.threepid_proof_ms)
    await town.ask("account/3pid/email", email="carol@there.example")
    body = {"sid": sid, "client_secret": "s3cret", "token": "x"}
    assert (await town.house.call("POST", SUBMIT, body)).body["errcode"] == "M_INVALID_PARAM"
