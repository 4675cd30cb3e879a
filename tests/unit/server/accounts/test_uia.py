"""Interactive authentication: what a session is bound to, and what it cannot be spent on."""

from typing import Any

import pytest

from watchword.base import limits
from watchword.base.errors import BadRequest, Forbidden, LimitExceeded
from watchword.edge.request import Request
from watchword.edge.requester import Kind, Requester
from watchword.protocol.ids import DeviceId, UserId
from watchword.server.accounts.commands import RegistrationMode
from watchword.server.accounts.uia import Challenge, InteractiveAuthentication

ALICE = UserId("@alice:here.example")
PASSWORD = "correct horse"


def requester(user_id: UserId = ALICE, kind: Kind = Kind.USER) -> Requester:
    return Requester(user_id, DeviceId("D"), 1, kind=kind)


def asking(auth: Any = None) -> Request:
    return Request("POST", "/x", json={} if auth is None else {"auth": auth})


async def challenged(house: Any, auth: Any = None, *, action: str = "a", meaning: Any = 1, by: Requester | None = None) -> Any:
    with pytest.raises(Challenge) as caught:
        await house.accounts.uia.authorise(asking(auth), by or requester(), action, meaning)
    return caught.value.body()


def password_stage(session: str | None = None, password: str = PASSWORD, user: str = "alice") -> dict[str, Any]:
    auth = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password}
    return auth if session is None else {**auth, "session": session}


async def test_a_password_in_the_session_lets_the_request_pass(house: Any) -> None:
    await house.user("alice")
    body = await challenged(house)
    assert body["flows"] == [{"stages": ["m.login.password"]}]
    await house.accounts.uia.authorise(asking(password_stage(body["session"])), requester(), "a", 1)


async def test_the_same_request_may_be_repeated_and_polled(house: Any) -> None:
    await house.user("alice")
    session = (await challenged(house))["session"]
    for auth in (password_stage(session), password_stage(session), {"session": session}):
        await house.accounts.uia.authorise(asking(auth), requester(), "a", 1)


async def test_polling_an_unfinished_session_shows_the_same_session(house: Any) -> None:
    session = (await challenged(house))["session"]
    body = await challenged(house, {"session": session})
    assert body["session"] == session
    assert "errcode" not in body


async def test_a_first_request_may_carry_its_stage_without_a_session(house: Any) -> None:
    await house.user("alice")
    await house.accounts.uia.authorise(asking(password_stage()), requester(), "a", 1)


async def test_a_finished_session_is_not_spent_on_another_endpoint_meaning_or_user(house: Any) -> None:
    await house.user("alice")
    await house.user("bob")
    session = (await challenged(house))["session"]
    await house.accounts.uia.authorise(asking(password_stage(session)), requester(), "a", 1)
    for by, action, meaning in ((requester(), "b", 1), (requester(), "a", 2), (requester(UserId("@bob:here.example")), "a", 1)):
        with pytest.raises(Forbidden):
            await house.accounts.uia.authorise(asking({"session": session}), by, action, meaning)
    with pytest.raises(Forbidden):
        await house.accounts.uia.identify(asking({"session": session}), None, "a", 1)


async def test_a_session_without_a_user_is_not_taken_over_by_a_token(house: Any) -> None:
    await house.user("alice")
    with pytest.raises(Challenge) as caught:
        await house.accounts.uia.identify(asking(), None, "a", 1)
    session = caught.value.body()["session"]
    assert await house.accounts.uia.identify(asking(password_stage(session)), None, "a", 1) == ALICE  # type: ignore[arg-type]
    with pytest.raises(Forbidden):
        await house.accounts.uia.authorise(asking({"session": session}), requester(), "a", 1)


async def test_a_wrong_password_answers_with_the_session_and_the_error(house: Any) -> None:
    await house.user("alice")
    session = (await challenged(house))["session"]
    body = await challenged(house, password_stage(session, "wrong horse"))
    assert (body["errcode"], body["session"], body["completed"]) == ("M_FORBIDDEN", session, [])
    await house.accounts.uia.authorise(asking(password_stage(session)), requester(), "a", 1)


async def test_another_users_password_is_forbidden(house: Any) -> None:
    await house.user("alice")
    await house.user("bob")
    session = (await challenged(house))["session"]
    with pytest.raises(Forbidden):
        await house.accounts.uia.authorise(asking(password_stage(session, user="bob")), requester(), "a", 1)


@pytest.mark.parametrize(
    ("auth", "errcode"),
    [
        ({"type": "m.login.dummy"}, "M_UNRECOGNIZED"),
        ({"type": "m.login.registration_token", "token": "x"}, "M_UNRECOGNIZED"),
        ({"type": 5}, "M_UNRECOGNIZED"),
        ({"type": "m.login.password"}, "M_MISSING_PARAM"),
        ({"type": "m.login.password", "identifier": 5, "password": "x"}, "M_BAD_JSON"),
        ({"type": "m.login.password", "password": 5}, "M_MISSING_PARAM"),
        ({"type": "m.login.password", "session": "unknown"}, "M_FORBIDDEN"),
        ({"type": "m.login.password", "session": ["a"]}, "M_FORBIDDEN"),
    ],
)
async def test_malformed_and_unasked_stages_fail_without_harm(house: Any, auth: Any, errcode: str) -> None:
    await house.user("alice")
    body = await challenged(house, auth)
    assert body["errcode"] == errcode
    assert body["session"]


async def test_sessions_expire(house: Any) -> None:
    await house.user("alice")
    session = (await challenged(house))["session"]
    house.clock.advance(limits.uia_session_ms)
    body = await challenged(house, password_stage(session))
    assert body["session"] != session


async def test_a_session_ends_after_too_many_failures(house: Any) -> None:
    await house.user("alice")
    session = (await challenged(house))["session"]
    for _ in range(limits.uia_failures_max):
        assert (await challenged(house, {"type": "m.login.dummy", "session": session}))["session"] == session
    assert (await challenged(house, password_stage(session)))["session"] != session


async def test_a_user_has_a_bounded_number_of_sessions(house: Any) -> None:
    first = (await challenged(house))["session"]
    for _ in range(limits.uia_sessions_per_user_max):
        last = (await challenged(house))["session"]
    assert (await challenged(house, {"session": first}))["session"] != first
    assert (await challenged(house, {"session": last}))["session"] == last


async def test_application_services_pass_and_other_kinds_do_not(house: Any) -> None:
    await house.accounts.uia.authorise(asking(), requester(kind=Kind.APPSERVICE), "a", 1)
    for kind in (Kind.GUEST, Kind.OAUTH):
        with pytest.raises(Forbidden):
            await house.accounts.uia.authorise(asking(), requester(kind=kind), "a", 1)


async def test_meanings_are_compared_by_value(house: Any) -> None:
    await house.user("alice")
    session = (await challenged(house, meaning={"a": 1, "b": 2}))["session"]
    await house.accounts.uia.authorise(asking(password_stage(session)), requester(), "a", {"b": 2, "a": 1})


async def test_the_fallback_page_passes_a_stage(houses: Any) -> None:
    house = await houses(registration=RegistrationMode.OPEN)
    register = "/_matrix/client/v3/register"
    wish = {"username": "alice", "password": PASSWORD}
    session = (await house.call("POST", register, wish)).body["session"]
    page = "/_matrix/client/v3/auth/m.login.dummy/fallback/web"
    shown = await house.call("GET", page, session=session)
    assert shown.status == 200
    assert session in shown.body
    assert (await house.call("POST", register, {**wish, "auth": {"session": session}})).status == 401
    done = await house.call("POST", page, form={"session": session})
    assert "onAuthDone" in done.body
    assert (await house.call("POST", register, {**wish, "auth": {"session": session}})).status == 200


async def test_the_fallback_page_for_a_token_refuses_a_wrong_one_and_escapes_what_it_shows(house: Any) -> None:
    session = (await house.call("POST", "/_matrix/client/v3/register", {})).body["session"]
    page = "/_matrix/client/v3/auth/m.login.registration_token/fallback/web"
    wrong = await house.call("POST", page, form={"session": session, "token": "wrong"})
    assert (wrong.status, "onAuthDone" in wrong.body) == (401, False)
    token = await house.invitation()
    assert (await house.call("POST", page, form={"session": session, "token": token})).status == 200
    assert (await house.call("POST", page, form={"session": "unknown", "token": token})).status == 401
    assert "<script>alert" not in (await house.call("GET", page, session='"><script>alert(1)</script>')).body
    assert (await house.call("POST", page, form={"session": "x" * 9_000})).status == 400
    assert (await house.call("GET", page.replace("registration_token", "sso"))).status == 404


async def test_a_meaning_that_is_no_json_is_refused(house: Any) -> None:
    with pytest.raises(BadRequest):
        await house.accounts.uia.authorise(asking(), requester(), "a", {"n": 1 << 70})


async def test_the_number_of_sessions_is_bounded_and_nobody_under_way_is_thrown_out(house: Any) -> None:
    uia = house.accounts.uia
    small = InteractiveAuthentication(
        uia._settings, uia._stages, house.accounts.invitations, house.clock, uia._entropy, sessions_max=2
    )
    flows = (("m.login.dummy",),)
    sessions = []
    for _ in range(2):
        with pytest.raises(Challenge) as caught:
            await small.passed(asking(), None, "register", None, flows)
        sessions.append(caught.value.body()["session"])
    with pytest.raises(LimitExceeded):
        await small.passed(asking(), None, "register", None, flows)
    for user_id in (ALICE, ALICE, UserId("@bob:here.example")):
        # Strangers take nothing from users; users have their own bound.
        expected = Challenge if user_id == ALICE else LimitExceeded
        with pytest.raises(expected):
            await small.passed(asking(), user_id, "a", None, flows)
    for session in sessions:
        await small.passed(asking({"type": "m.login.dummy", "session": session}), None, "register", None, flows)
    house.clock.advance(limits.uia_session_ms)
    with pytest.raises(Challenge):
        await small.passed(asking(), None, "register", None, flows)


async def test_a_session_is_taken_once_and_can_be_given_back_while_it_lives(house: Any) -> None:
    uia = house.accounts.uia
    session = await uia.passed(asking({"type": "m.login.dummy"}), None, "register", None, (("m.login.dummy",),))
    uia.take(session)
    with pytest.raises(Challenge):
        uia.take(session)
    uia.give_back(session)
    uia.take(session)
    house.clock.advance(limits.uia_session_ms)
    uia.give_back(session)
    with pytest.raises(Challenge):
        uia.take(session)


async def test_a_session_given_back_late_is_not_resumed_after_its_time(house: Any) -> None:
    uia = house.accounts.uia
    flows = (("m.login.dummy",),)
    early = await uia.passed(asking({"type": "m.login.dummy"}), None, "register", None, flows)
    uia.take(early)
    house.clock.advance(1_000)
    with pytest.raises(Challenge):
        await uia.passed(asking(), None, "register", None, flows)
    uia.give_back(early)
    house.clock.advance(limits.uia_session_ms - 1_000)
    with pytest.raises(Challenge) as caught:
        await uia.passed(asking({"session": early.session_id}), None, "register", None, flows)
    assert caught.value.body()["errcode"] == "M_FORBIDDEN"


@pytest.mark.parametrize("token", [None, 5, ["x"]])
async def test_a_token_stage_needs_a_token(house: Any, token: Any) -> None:
    auth = {"type": "m.login.registration_token", "token": token}
    answer = await house.call("POST", "/_matrix/client/v3/register", {"auth": auth})
    assert (answer.status, answer.body["errcode"]) == (401, "M_MISSING_PARAM")
