"""From end to end: registering with an address, a forgotten password, adding and removing, identity servers."""

import re
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from tests.unit.server.accounts.threepids.conftest import SUBMIT, V3, Town
from tests.unit.server.accounts.threepids.outside import IDENTITY
from watchword.base.entropy import SeededEntropy
from watchword.edge.rate_limits import RateLimiter
from watchword.edge.replies import Reply
from watchword.edge.router import Incoming, Router
from watchword.server.accounts.commands import Policy, PolicyText, RegistrationMode
from watchword.server.accounts.endpoints import ENDPOINTS
from watchword.server.accounts.threepids.commands import Wanted

PASSWORD = "correct horse"
ALICE = "alice@there.example"


def creds(stage: str, sid: str, session: str | None = None, secret: str = "s3cret") -> dict[str, Any]:
    auth: dict[str, Any] = {"type": stage, "threepid_creds": {"sid": sid, "client_secret": secret}}
    return auth if session is None else {**auth, "session": session}


async def owned(town: Town, token: str) -> list[tuple[str, str]]:
    answer = await town.house.call("GET", f"{V3}/account/3pid", by=token)
    return [(each["medium"], each["address"]) for each in answer.body["threepids"]]


async def with_address(town: Town, name: str = "alice", email: str = ALICE) -> Any:
    """A user who added an address through the doors."""
    me = await town.house.user(name)
    sent = len(town.relay.mails)
    sid = (await town.ask("account/3pid/email", email=email)).body["sid"]
    await town.confirm(sent + 1)
    body = {"sid": sid, "client_secret": "s3cret"}
    challenge = await town.house.call("POST", f"{V3}/account/3pid/add", body, by=me["access_token"])
    assert challenge.status == 401
    auth = {"type": "m.login.password", "password": PASSWORD, "session": challenge.body["session"]}
    added = await town.house.call("POST", f"{V3}/account/3pid/add", {**body, "auth": auth}, by=me["access_token"])
    assert added.status == 200, added.body
    return me


# Adding and removing


async def test_an_address_is_added_shown_and_removed(town: Town) -> None:
    me = await with_address(town)
    (shown,) = (await town.house.call("GET", f"{V3}/account/3pid", by=me["access_token"])).body["threepids"]
    assert (shown["medium"], shown["address"]) == ("email", ALICE)
    assert shown["validated_at"] <= shown["added_at"]
    body = {"medium": "email", "address": "ALICE@there.example"}
    gone = await town.house.call("POST", f"{V3}/account/3pid/delete", body, by=me["access_token"])
    assert gone.body == {"id_server_unbind_result": "no-support"}
    assert await owned(town, me["access_token"]) == []


async def test_an_address_that_was_not_proved_is_not_added(town: Town) -> None:
    me = await town.house.user("alice")
    sid = (await town.ask("account/3pid/email", email=ALICE)).body["sid"]
    body = {"sid": sid, "client_secret": "s3cret", "auth": {"type": "m.login.password", "password": PASSWORD}}
    answer = await town.house.call("POST", f"{V3}/account/3pid/add", body, by=me["access_token"])
    assert (answer.status, answer.body["errcode"]) == (400, "M_THREEPID_AUTH_FAILED")


async def test_an_address_belongs_to_one_account(town: Town) -> None:
    sent = await town.ask("account/3pid/email", email=ALICE, client_secret="bob")
    await town.confirm()
    await with_address(town)
    bob = await town.house.user("bob")
    auth = {"type": "m.login.password", "password": PASSWORD}
    body = {"sid": sent.body["sid"], "client_secret": "bob", "auth": auth}
    answer = await town.house.call("POST", f"{V3}/account/3pid/add", body, by=bob["access_token"])
    assert (answer.status, answer.body["errcode"]) == (400, "M_THREEPID_IN_USE")


async def test_where_changes_are_off_nothing_is_added(towns: Any) -> None:
    town = await towns(threepids={"changes": False})
    me = await town.house.user("alice")
    body = {"sid": "x", "client_secret": "y"}
    assert (await town.house.call("POST", f"{V3}/account/3pid/add", body, by=me["access_token"])).status == 403
    assert (await town.ask("account/3pid/email", email=ALICE)).status == 403


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({}, "M_MISSING_PARAM"),
        ({"sid": 1, "client_secret": "x"}, "M_BAD_JSON"),
        ({"sid": "a b", "client_secret": "x"}, "M_INVALID_PARAM"),
        ({"sid": "a", "client_secret": "x" * 256}, "M_INVALID_PARAM"),
        ({"sid": "a", "client_secret": ""}, "M_INVALID_PARAM"),
    ],
)
async def test_malformed_proofs_are_refused(town: Town, body: Any, errcode: str) -> None:
    me = await town.house.user("alice")
    answer = await town.house.call("POST", f"{V3}/account/3pid/add", body, by=me["access_token"])
    assert (answer.status, answer.body["errcode"]) == (400, errcode)


@pytest.mark.parametrize(
    ("what", "body", "errcode"),
    [
        ("account/3pid/email", {"email": "nobody"}, "M_INVALID_PARAM"),
        ("account/3pid/email", {"email": 5}, "M_BAD_JSON"),
        ("account/3pid/email", {}, "M_MISSING_PARAM"),
        ("account/3pid/email", {"email": ALICE, "send_attempt": "1"}, "M_BAD_JSON"),
        ("account/3pid/email", {"email": ALICE, "client_secret": "a/b"}, "M_INVALID_PARAM"),
        ("account/3pid/email", {"email": ALICE, "next_link": "javascript:alert(1)"}, "M_INVALID_PARAM"),
        ("account/3pid/msisdn", {"country": "XX", "phone_number": "1"}, "M_INVALID_PARAM"),
        ("account/3pid/msisdn", {"phone_number": "+4915112345"}, "M_MISSING_PARAM"),
    ],
)
async def test_malformed_requests_for_messages_are_refused(town: Town, what: str, body: Any, errcode: str) -> None:
    answer = await town.ask(what, **body)
    assert (answer.status, answer.body["errcode"]) == (400, errcode)


# Logging in


@pytest.mark.parametrize(
    "named",
    [
        {"identifier": {"type": "m.id.thirdparty", "medium": "email", "address": "Alice@There.example"}},
        {"medium": "email", "address": ALICE},
    ],
)
async def test_an_address_logs_in(town: Town, named: dict[str, Any]) -> None:
    await with_address(town)
    login = {"type": "m.login.password", "password": PASSWORD, **named}
    assert (await town.house.call("POST", f"{V3}/login", login)).body["user_id"] == "@alice:here.example"
    wrong = await town.house.call("POST", f"{V3}/login", {**login, "password": "wrong horse"})
    assert (wrong.status, wrong.body["errcode"]) == (403, "M_FORBIDDEN")


@pytest.mark.parametrize(
    "identifier",
    [
        {"type": "m.id.thirdparty", "medium": "email", "address": "nobody@there.example"},
        {"type": "m.id.thirdparty", "medium": "email", "address": "no address"},
        {"type": "m.id.phone", "country": "DE", "phone": "0151 7654321"},
        {"type": "m.id.phone", "country": "XX", "phone": "0151 7654321"},
    ],
)
async def test_an_unknown_address_is_refused_like_a_wrong_password(town: Town, identifier: Any) -> None:
    login = {"type": "m.login.password", "password": PASSWORD, "identifier": identifier}
    answer = await town.house.call("POST", f"{V3}/login", login)
    assert (answer.status, answer.body["errcode"]) == (403, "M_FORBIDDEN")


async def test_a_telephone_number_logs_in(town: Town) -> None:
    me = await town.house.user("alice")
    asked = await town.ask("account/3pid/msisdn", country="DE", phone_number="0151 1234567")
    token = town.gateway.taken[0]["message"].split(" ")[0]
    sid = asked.body["sid"]
    await town.house.call(
        "POST", "/_watchword/client/v1/3pid/submit_token", {"sid": sid, "client_secret": "s3cret", "token": token}
    )
    body = {"sid": sid, "client_secret": "s3cret", "auth": {"type": "m.login.password", "password": PASSWORD}}
    assert (await town.house.call("POST", f"{V3}/account/3pid/add", body, by=me["access_token"])).status == 200
    identifier = {"type": "m.id.phone", "country": "DE", "phone": "0151 1234567"}
    login = {"type": "m.login.password", "password": PASSWORD, "identifier": identifier}
    assert (await town.house.call("POST", f"{V3}/login", login)).status == 200


# A forgotten password


async def test_a_forgotten_password_is_replaced_by_mail(town: Town) -> None:
    me = await with_address(town)
    sid = (await town.ask("account/password/email", email=ALICE)).body["sid"]
    new = {"new_password": "battery staple", "auth": creds("m.login.email.identity", sid)}
    # Clients ask again and again until the link was opened.
    for _ in range(15):
        pending = await town.house.call("POST", f"{V3}/account/password", new)
        assert (pending.status, pending.body["errcode"]) == (401, "M_UNAUTHORIZED")
    await town.confirm(2)
    assert (await town.house.call("POST", f"{V3}/account/password", new)).status == 200
    login = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"}, "password": "battery staple"}
    assert (await town.house.call("POST", f"{V3}/login", login)).status == 200
    assert (await town.house.call("GET", f"{V3}/account/whoami", by=me["access_token"])).status == 401
    again = await town.house.call("POST", f"{V3}/account/password", new)
    assert (again.status, again.body["errcode"]) == (401, "M_UNAUTHORIZED")


async def test_the_flows_of_a_password_depend_on_who_asks(town: Town) -> None:
    me = await town.house.user("alice")
    new = {"new_password": "battery staple"}
    anybody = await town.house.call("POST", f"{V3}/account/password", new)
    assert [flow["stages"] for flow in anybody.body["flows"]] == [
        ["m.login.password"],
        ["m.login.email.identity"],
        ["m.login.msisdn"],
    ]
    known = await town.house.call("POST", f"{V3}/account/password", new, by=me["access_token"])
    assert [flow["stages"] for flow in known.body["flows"]] == [["m.login.password"]]


async def test_a_proof_for_adding_opens_no_account(town: Town) -> None:
    await town.house.user("alice")
    sid = (await town.ask("account/3pid/email", email=ALICE)).body["sid"]
    await town.confirm()
    new = {"new_password": "battery staple", "auth": creds("m.login.email.identity", sid)}
    assert (await town.house.call("POST", f"{V3}/account/password", new)).body["errcode"] == "M_UNAUTHORIZED"


async def test_an_address_that_was_removed_meanwhile_opens_no_account(town: Town) -> None:
    me = await with_address(town)
    sid = (await town.ask("account/password/email", email=ALICE)).body["sid"]
    await town.confirm(2)
    body = {"medium": "email", "address": ALICE}
    await town.house.call("POST", f"{V3}/account/3pid/delete", body, by=me["access_token"])
    new = {"new_password": "battery staple", "auth": creds("m.login.email.identity", sid)}
    assert (await town.house.call("POST", f"{V3}/account/password", new)).status == 401


# Registering


async def begun(town: Town, **body: Any) -> Any:
    answer = await town.house.call("POST", f"{V3}/register", {"username": "bob", "password": PASSWORD, **body})
    assert answer.status == 401
    return answer.body


POLICIES = (Policy("privacy", "3", {"en": PolicyText("Privacy", "https://here.example/p")}),)


async def test_a_newcomer_registers_with_address_invitation_and_policies(towns: Any) -> None:
    town = await towns(threepids={"email_at_registration": Wanted.REQUIRED}, policies=POLICIES)
    body = await begun(town)
    assert body["flows"] == [{"stages": ["m.login.registration_token", "m.login.terms", "m.login.email.identity"]}]
    assert body["params"]["m.login.terms"]["policies"]["privacy"]["version"] == "3"
    wish, session = {"username": "bob", "password": PASSWORD}, body["session"]
    sid = (await town.ask("register/email", email="bob@there.example")).body["sid"]
    mail = creds("m.login.email.identity", sid, session)
    assert (await town.house.call("POST", f"{V3}/register", {**wish, "auth": mail})).body["errcode"] == "M_UNAUTHORIZED"
    await town.confirm()
    for auth in (mail, {"type": "m.login.terms", "session": session}):
        answer = await town.house.call("POST", f"{V3}/register", {**wish, "auth": auth})
        assert (answer.status, answer.body.get("errcode")) == (401, None)
    token = {"type": "m.login.registration_token", "token": await town.house.invitation(), "session": session}
    done = await town.house.call("POST", f"{V3}/register", {**wish, "auth": token})
    assert done.status == 200, done.body
    assert await owned(town, done.body["access_token"]) == [("email", "bob@there.example")]


async def test_an_optional_address_may_be_left_out(towns: Any) -> None:
    town = await towns(threepids={"email_at_registration": Wanted.OPTIONAL}, registration=RegistrationMode.OPEN)
    session = (await begun(town))["session"]
    body = {"username": "bob", "password": PASSWORD, "auth": {"type": "m.login.dummy", "session": session}}
    assert (await town.house.call("POST", f"{V3}/register", body)).status == 200


async def test_an_address_taken_meanwhile_is_refused_at_the_end(towns: Any) -> None:
    town = await towns(threepids={"email_at_registration": Wanted.OPTIONAL}, registration=RegistrationMode.OPEN)
    sid = (await town.ask("register/email", email=ALICE)).body["sid"]
    await town.confirm()
    await with_address_of_another(town)
    session = (await begun(town))["session"]
    wish = {"username": "bob", "password": PASSWORD}
    mail = creds("m.login.email.identity", sid, session)
    assert (await town.house.call("POST", f"{V3}/register", {**wish, "auth": mail})).status == 401
    dummy = {"type": "m.login.dummy", "session": session}
    answer = await town.house.call("POST", f"{V3}/register", {**wish, "auth": dummy})
    assert (answer.status, answer.body["errcode"]) == (400, "M_THREEPID_IN_USE")
    assert (await town.house.call("GET", f"{V3}/register/available", username="bob")).status == 200


async def with_address_of_another(town: Town) -> None:
    await town.house.user("alice")
    sid = (await town.ask("account/3pid/email", email=ALICE, client_secret="other")).body["sid"]
    await town.confirm(2)
    me = await town.house.login("alice")
    body = {"sid": sid, "client_secret": "other", "auth": {"type": "m.login.password", "password": PASSWORD}}
    assert (await town.house.call("POST", f"{V3}/account/3pid/add", body, by=me["access_token"])).status == 200


async def test_no_mail_for_registration_where_nobody_may_register_or_none_is_wanted(towns: Any) -> None:
    closed = await towns(threepids={"email_at_registration": Wanted.OPTIONAL}, registration=RegistrationMode.CLOSED)
    answer = await closed.ask("register/email", email=ALICE)
    assert (answer.status, answer.body["errcode"]) == (403, "M_THREEPID_DENIED")
    unwanted = await towns()
    answer = await unwanted.ask("register/email", email=ALICE)
    assert (answer.status, answer.body["errcode"]) == (400, "M_THREEPID_MEDIUM_NOT_SUPPORTED")


# Identity servers


def at_identity(**changed: Any) -> dict[str, Any]:
    return {"client_secret": "s3cret", "sid": "theirs", "id_server": IDENTITY, "id_access_token": "id-token", **changed}


async def bound(town: Town, **changed: Any) -> Any:
    town.identity.validated["theirs", "s3cret"] = ("email", ALICE)
    me = await town.house.user("alice")
    answer = await town.house.call("POST", f"{V3}/account/3pid/bind", at_identity(**changed), by=me["access_token"])
    return me, answer


async def test_an_address_is_published_and_taken_back_with_our_signature(town: Town) -> None:
    me, answer = await bound(town)
    assert (answer.status, answer.body) == (200, {})
    assert town.identity.bound == {("email", ALICE): "@alice:here.example"}
    body = {"medium": "email", "address": ALICE}
    answer = await town.house.call("POST", f"{V3}/account/3pid/unbind", body, by=me["access_token"])
    assert answer.body == {"id_server_unbind_result": "success"}
    assert town.identity.bound == {}
    again = await town.house.call("POST", f"{V3}/account/3pid/unbind", body, by=me["access_token"])
    assert again.body == {"id_server_unbind_result": "no-support"}


async def test_an_identity_server_that_nobody_trusts_is_not_asked(town: Town) -> None:
    _, answer = await bound(town, id_server="evil.example")
    assert (answer.status, answer.body["errcode"]) == (400, "M_SERVER_NOT_TRUSTED")
    assert town.identity.asked == []


async def test_what_an_identity_server_refuses_is_passed_on_but_logs_nobody_out(town: Town) -> None:
    me, answer = await bound(town, sid="unknown")
    assert (answer.status, answer.body["errcode"]) == (400, "M_SESSION_NOT_VALIDATED")
    body = at_identity(id_access_token="wrong")
    answer = await town.house.call("POST", f"{V3}/account/3pid/bind", body, by=me["access_token"])
    assert answer.status == 400
    assert answer.body["errcode"] != "M_UNKNOWN_TOKEN"


async def test_the_door_of_old_binds_as_well(town: Town) -> None:
    town.identity.validated["theirs", "s3cret"] = ("email", ALICE)
    me = await town.house.user("alice")
    old = await town.house.call("POST", f"{V3}/account/3pid", {"three_pid_creds": at_identity()}, by=me["access_token"])
    assert (old.status, town.identity.bound) == (200, {("email", ALICE): "@alice:here.example"})
    town.identity.refuses["/_matrix/identity/v2/3pid/bind"] = (403, {"errcode": "M_TERMS_NOT_SIGNED", "error": "Read!"})
    bad = await town.house.call("POST", f"{V3}/account/3pid", {"three_pid_creds": at_identity()}, by=me["access_token"])
    assert (bad.status, bad.body["errcode"]) == (403, "M_THREEPID_AUTH_FAILED")


async def test_removing_an_address_takes_it_back_from_where_it_was_published(town: Town) -> None:
    me, _ = await bound(town)
    body = {"medium": "email", "address": ALICE}
    answer = await town.house.call("POST", f"{V3}/account/3pid/delete", body, by=me["access_token"])
    assert answer.body == {"id_server_unbind_result": "success"}
    assert town.identity.bound == {}


async def test_the_end_of_an_account_takes_everything_back(town: Town) -> None:
    me, _ = await bound(town)
    auth = {"type": "m.login.password", "password": PASSWORD}
    answer = await town.house.call("POST", f"{V3}/account/deactivate", {"auth": auth}, by=me["access_token"])
    assert answer.body == {"id_server_unbind_result": "success"}
    assert town.identity.bound == {}


async def test_the_end_of_an_account_says_when_something_stayed(town: Town) -> None:
    me, _ = await bound(town)
    town.identity.refuses["/_matrix/identity/v2/3pid/unbind"] = (404, None)
    auth = {"type": "m.login.password", "password": PASSWORD}
    answer = await town.house.call("POST", f"{V3}/account/deactivate", {"auth": auth}, by=me["access_token"])
    assert answer.body == {"id_server_unbind_result": "no-support"}


async def test_the_end_of_an_account_frees_its_addresses(town: Town) -> None:
    me = await with_address(town)
    auth = {"type": "m.login.password", "password": PASSWORD}
    await town.house.call("POST", f"{V3}/account/deactivate", {"auth": auth}, by=me["access_token"])
    assert await town.house.accounts.threepids.of_user("@alice:here.example") == []
    await with_address(town, "bob", ALICE)


# The pages for clients that know no addresses


async def test_an_address_is_proved_on_the_page(towns: Any) -> None:
    town = await towns(threepids={"email_at_registration": Wanted.REQUIRED})
    session = (await begun(town))["session"]
    page = f"{V3}/auth/m.login.email.identity/fallback/web"
    assert 'name="email"' in (await town.house.call("GET", page, session=session)).body
    bad = await town.house.call("POST", page, form={"session": session, "email": "nobody"})
    assert (bad.status, 'role="alert"' in bad.body) == (401, True)
    sent = await town.house.call("POST", page, form={"session": session, "email": "bob@there.example"})
    kept = dict(re.findall(r'name="(\w+)" value="([^"]*)"', sent.body))
    early = await town.house.call("POST", page, form=kept)
    assert (early.status, "onAuthDone" in early.body) == (401, False)
    await town.confirm()
    done = await town.house.call("POST", page, form=kept)
    assert "onAuthDone" in done.body
    strangers = await town.house.call("POST", page, form={**kept, "session": "unknown"})
    assert strangers.status == 401


async def test_a_number_is_proved_on_the_page(towns: Any) -> None:
    town = await towns(threepids={"msisdn_at_registration": Wanted.REQUIRED})
    session = (await begun(town))["session"]
    page = f"{V3}/auth/m.login.msisdn/fallback/web"
    assert 'name="phone"' in (await town.house.call("GET", page, session=session)).body
    sent = await town.house.call("POST", page, form={"session": session, "phone": "+49 151 1234567"})
    kept = dict(re.findall(r'name="(\w+)" value="([^"]*)"', sent.body))
    wrong = await town.house.call("POST", page, form={**kept, "code": "0"})
    assert (wrong.status, 'name="code"' in wrong.body) == (401, True)
    code = town.gateway.taken[0]["message"].split(" ")[0]
    assert "onAuthDone" in (await town.house.call("POST", page, form={**kept, "code": f" {code} "})).body


async def test_a_password_is_proved_on_the_page(town: Town) -> None:
    me = await town.house.user("alice")
    challenge = await town.house.call("POST", f"{V3}/delete_devices", {"devices": ["X"]}, by=me["access_token"])
    session = challenge.body["session"]
    page = f"{V3}/auth/m.login.password/fallback/web"
    assert 'name="user"' not in (await town.house.call("GET", page, session=session)).body
    assert 'name="user"' in (await town.house.call("GET", page, session="unknown")).body
    assert (await town.house.call("POST", page, form={"session": session, "password": "wrong horse"})).status == 401
    done = await town.house.call("POST", page, form={"session": session, "user": "alice", "password": PASSWORD})
    assert "onAuthDone" in done.body
    body = {"devices": ["X"], "auth": {"session": session}}
    assert (await town.house.call("POST", f"{V3}/delete_devices", body, by=me["access_token"])).status == 200


# Through the router, bytes in and bytes out


class Whole:
    """A body that comes in one piece."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def next_piece(self) -> tuple[bytes, bool]:
        return self._body, False


class Wire:
    """Asks a router as a transport does."""

    def __init__(self, town: Town) -> None:
        accounts = town.house.accounts
        self._router = Router(accounts.authenticator, None, RateLimiter({}, town.house.clock), entropy=SeededEntropy(5))
        self._router.mount(ENDPOINTS, accounts)

    async def ask(self, method: str, path: str, body: Any = None, *, by: str | None = None, form: Any = None) -> Any:
        """The status and the body."""
        data = b"" if body is None and form is None else urlencode(form).encode() if form else orjson.dumps(body)
        kind = "application/x-www-form-urlencoded" if form else "application/json"
        headers = [(b"content-type", kind.encode())]
        if by is not None:
            headers.append((b"authorization", f"Bearer {by}".encode()))
        target, _, query = path.partition("?")
        incoming = Incoming(method, target.encode(), query.encode(), headers, "192.0.2.7", Whole(data))
        reply = await self._router.answer(incoming)
        assert isinstance(reply, Reply)
        return reply.status, orjson.loads(reply.body) if reply.headers["content-type"] == "application/json" else reply.body

    async def prove(self, town: Town, what: str, email: str, secret: str) -> str:
        """Ask for a mail and open its link."""
        sent = len(town.relay.mails)
        asked = {"client_secret": secret, "email": email, "send_attempt": 1}
        status, body = await self.ask("POST", f"{V3}/{what}/email/requestToken", asked)
        assert status == 200, body
        link = await town.link(sent + 1)
        status, _ = await self.ask("GET", f"{SUBMIT}?{urlencode(link)}")
        assert status == 200
        status, _ = await self.ask("POST", SUBMIT, form=link)
        assert status == 200
        sid: str = body["sid"]
        return sid


async def test_the_whole_way_through_the_router(towns: Any) -> None:
    town = await towns(threepids={"email_at_registration": Wanted.REQUIRED}, registration=RegistrationMode.OPEN)
    wire = Wire(town)
    wish = {"username": "dora", "password": PASSWORD}
    _, begun_ = await wire.ask("POST", f"{V3}/register", wish)
    sid = await wire.prove(town, "register", "dora@there.example", "one")
    auth = creds("m.login.email.identity", sid, begun_["session"], "one")
    await wire.ask("POST", f"{V3}/register", {**wish, "auth": auth})
    dummy = {"type": "m.login.dummy", "session": begun_["session"]}
    status, dora = await wire.ask("POST", f"{V3}/register", {**wish, "auth": dummy})
    assert (status, dora["user_id"]) == (200, "@dora:here.example")

    sid = await wire.prove(town, "account/password", "Dora@There.example", "two")
    new = {"new_password": "battery staple", "auth": creds("m.login.email.identity", sid, secret="two")}
    assert (await wire.ask("POST", f"{V3}/account/password", new))[0] == 200
    named = {"type": "m.id.thirdparty", "medium": "email", "address": "dora@there.example"}
    login = {"type": "m.login.password", "identifier": named, "password": "battery staple"}
    status, dora = await wire.ask("POST", f"{V3}/login", login)
    assert status == 200
    token = dora["access_token"]

    sid = await wire.prove(town, "account/3pid", "second@there.example", "three")
    shown = {"sid": sid, "client_secret": "three"}
    status, challenge = await wire.ask("POST", f"{V3}/account/3pid/add", shown, by=token)
    assert status == 401
    proof = {"type": "m.login.password", "password": "battery staple", "session": challenge["session"]}
    assert (await wire.ask("POST", f"{V3}/account/3pid/add", {**shown, "auth": proof}, by=token)) == (200, {})
    _, listed = await wire.ask("GET", f"{V3}/account/3pid", by=token)
    assert [each["address"] for each in listed["threepids"]] == ["dora@there.example", "second@there.example"]
    gone = {"medium": "email", "address": "dora@there.example"}
    assert (await wire.ask("POST", f"{V3}/account/3pid/delete", gone, by=token))[0] == 200
    _, listed = await wire.ask("GET", f"{V3}/account/3pid", by=token)
    assert [each["address"] for each in listed["threepids"]] == ["second@there.example"]
