"""Registering: modes, names, invitations, races."""

import asyncio
from typing import Any

from watchword.server.accounts.commands import RegistrationMode
from watchword.server.changes import AccountCreated

V3 = "/_matrix/client/v3"
REGISTER = f"{V3}/register"
VALIDITY = "/_matrix/client/v1/register/m.login.registration_token/validity"


async def begin(house: Any, **body: Any) -> str:
    answer = await house.call("POST", REGISTER, body)
    assert answer.status == 401
    session: str = answer.body["session"]
    return session


async def finish(house: Any, session: str, token: str, **body: Any) -> Any:
    auth = {"type": "m.login.registration_token", "token": token, "session": session}
    answer = await house.call("POST", REGISTER, {"password": "correct horse", **body, "auth": auth})
    if "errcode" not in answer.body and answer.body.get("completed") == ["m.login.registration_token"]:
        auth = {"type": "m.login.dummy", "session": session}
        answer = await house.call("POST", REGISTER, {"password": "correct horse", **body, "auth": auth})
    return answer


async def test_an_invited_newcomer_registers_and_is_logged_in(house: Any) -> None:
    token = await house.invitation(created_by="@admin:here.example", invite_to=("!room:here.example",))
    session = await begin(house, username="alice")
    answer = await finish(house, session, token, username="alice", initial_device_display_name="Laptop")
    assert answer.status == 200
    assert answer.body["user_id"] == "@alice:here.example"
    who = await house.call("GET", f"{V3}/account/whoami", by=answer.body["access_token"])
    assert who.body == {"user_id": "@alice:here.example", "device_id": answer.body["device_id"], "is_guest": False}
    created = AccountCreated("@alice:here.example", ["!room:here.example"], "@admin:here.example")  # type: ignore[arg-type,list-item]
    assert created in await house.changes()


async def test_the_first_answer_asks_for_a_registration_token_and_no_more(house: Any) -> None:
    answer = await house.call("POST", REGISTER, {})
    assert answer.status == 401
    assert answer.body["flows"] == [{"stages": ["m.login.registration_token", "m.login.dummy"]}]
    assert answer.body["params"] == {}
    assert "errcode" not in answer.body


async def test_auth_null_counts_as_no_auth(house: Any) -> None:
    assert (await house.call("POST", REGISTER, {"auth": None})).status == 401


async def test_open_registration_needs_the_dummy_stage_in_a_second_request(houses: Any) -> None:
    house = await houses(registration=RegistrationMode.OPEN)
    session = await begin(house, username="bob", password="correct horse")
    body = {"username": "bob", "password": "correct horse", "auth": {"type": "m.login.dummy", "session": session}}
    assert (await house.call("POST", REGISTER, body)).status == 200


async def test_an_invitation_keeps_its_promises_where_registration_is_open(houses: Any) -> None:
    house = await houses(registration=RegistrationMode.OPEN)
    token = await house.invitation(grants_admin=True)
    assert (await house.call("GET", VALIDITY, token=token)).body == {"valid": True}
    assert (await finish(house, await begin(house), token, username="root")).status == 200
    assert (await house.accounts.reader.account("@root:here.example")).is_admin


async def test_closed_registration_is_forbidden(houses: Any) -> None:
    house = await houses(registration=RegistrationMode.CLOSED)
    answer = await house.call("POST", REGISTER, {"username": "bob", "password": "correct horse"})
    assert (answer.status, answer.body["errcode"]) == (403, "M_FORBIDDEN")
    assert (await house.call("GET", VALIDITY, token="x")).status == 403


async def test_names_are_refused_before_authentication_begins(house: Any) -> None:
    await house.user("taken")
    for name, errcode in (
        ("taken", "M_USER_IN_USE"),
        ("TAKEN", "M_USER_IN_USE"),
        ("spaced out", "M_INVALID_USERNAME"),
        ("é", "M_INVALID_USERNAME"),
        ("", "M_INVALID_USERNAME"),
        ("a" * 300, "M_INVALID_USERNAME"),
        ("@whole:here.example", "M_INVALID_USERNAME"),
        ("bridge_x", "M_EXCLUSIVE"),
    ):
        answer = await house.call("POST", REGISTER, {"username": name})
        assert (answer.status, answer.body["errcode"]) == (400, errcode), name
        answer = await house.call("GET", f"{REGISTER}/available", username=name)
        assert (answer.status, answer.body["errcode"]) == (400, errcode), name
    assert (await house.call("GET", f"{REGISTER}/available", username="free")).body == {"available": True}
    assert (await house.call("GET", f"{REGISTER}/available")).body["errcode"] == "M_MISSING_PARAM"


async def test_a_name_taken_meanwhile_is_refused_and_does_not_cost_the_invitation(house: Any) -> None:
    token = await house.invitation()
    session = await begin(house, username="alice")
    await house.user("alice")
    answer = await finish(house, session, token, username="alice")
    assert answer.body["errcode"] == "M_USER_IN_USE"
    assert (await finish(house, session, token, username="alice2")).status == 200


async def test_capitals_in_names_are_folded(house: Any) -> None:
    token = await house.invitation()
    session = await begin(house, username="Alice")
    assert (await finish(house, session, token, username="Alice")).body["user_id"] == "@alice:here.example"


async def test_without_a_name_one_is_made_up(house: Any) -> None:
    token = await house.invitation()
    answer = await finish(house, await begin(house), token)
    assert answer.body["user_id"].endswith(":here.example")


async def test_two_registrations_on_a_one_use_token_make_one_account(house: Any) -> None:
    token = await house.invitation(uses_allowed=1)
    sessions = [await begin(house, username=name) for name in ("one", "two")]
    answers = await asyncio.gather(
        finish(house, sessions[0], token, username="one"), finish(house, sessions[1], token, username="two")
    )
    assert sorted(answer.status for answer in answers) == [200, 401]
    assert (await house.accounts.invitations.list())[0].uses_completed == 1


async def test_one_session_pays_for_one_account(house: Any) -> None:
    token = await house.invitation(uses_allowed=5)
    session = await begin(house, username="one")
    answers = await asyncio.gather(finish(house, session, token, username="one"), finish(house, session, token, username="two"))
    assert sorted(answer.status for answer in answers) == [200, 401]
    assert (await finish(house, session, token, username="three")).status == 401


async def test_a_reserved_use_is_free_again_when_the_session_expires(house: Any) -> None:
    token = await house.invitation(uses_allowed=1)
    session = await begin(house, username="slow")
    waiting = await house.call(
        "POST", REGISTER, {"auth": {"type": "m.login.registration_token", "token": token, "session": session}}
    )
    assert waiting.body["completed"] == ["m.login.registration_token"]
    assert (await house.call("GET", VALIDITY, token=token)).body == {"valid": False}
    house.clock.advance(15 * 60_000)
    assert (await house.call("GET", VALIDITY, token=token)).body == {"valid": True}
    assert (await finish(house, session, token, username="slow")).status == 401


async def test_revoked_expired_and_unknown_tokens_are_refused(house: Any) -> None:
    revoked = await house.invitation()
    await house.accounts.invitations.revoke(1)
    expired = await house.invitation(expires_ts=house.clock.now_ms() + 1_000)
    house.clock.advance(1_000)
    for token in (revoked, expired, "unknown", "not a token", "x" * 65, "é", ""):
        answer = await finish(house, await begin(house, username="alice"), token, username="alice")
        assert (answer.status, answer.body["errcode"]) == (401, "M_FORBIDDEN"), token
        assert answer.body["completed"] == []
        assert (await house.call("GET", VALIDITY, token=token)).body == {"valid": False}


async def test_a_token_revoked_after_its_stage_makes_no_account(house: Any) -> None:
    token = await house.invitation()
    session = await begin(house, username="alice")
    auth = {"type": "m.login.registration_token", "token": token, "session": session}
    assert (await house.call("POST", REGISTER, {"username": "alice", "auth": auth})).status == 401
    await house.accounts.invitations.revoke(1)
    auth["type"] = "m.login.dummy"
    answer = await house.call("POST", REGISTER, {"username": "alice", "password": "correct horse", "auth": auth})
    assert answer.status == 403
    assert not await house.accounts.reader.exists("@alice:here.example")


async def test_inhibit_login_gives_neither_token_nor_device(house: Any) -> None:
    token = await house.invitation()
    answer = await finish(house, await begin(house), token, username="quiet", inhibit_login=True)
    assert answer.body == {"user_id": "@quiet:here.example", "home_server": "here.example"}


async def test_refreshable_sessions_and_device_ids_are_as_wished(house: Any) -> None:
    token = await house.invitation()
    answer = await finish(house, await begin(house), token, username="a", device_id="MINE", refresh_token=True)
    assert answer.body["device_id"] == "MINE"
    assert answer.body["expires_in_ms"] == 900_000
    assert answer.body["refresh_token"]


async def test_weak_missing_long_and_wrong_passwords_are_refused(house: Any) -> None:
    for body, errcode in (
        ({"password": "short"}, "M_WEAK_PASSWORD"),
        ({"password": "x" * 5_000}, "M_INVALID_PARAM"),
        ({"password": 7}, "M_BAD_JSON"),
        ({"username": 7}, "M_BAD_JSON"),
        ({"device_id": "\x00"}, "M_INVALID_PARAM"),
        ({"device_id": "x" * 300}, "M_INVALID_PARAM"),
        ({"initial_device_display_name": "x" * 300}, "M_INVALID_PARAM"),
        ({"inhibit_login": "yes"}, "M_BAD_JSON"),
        ({"auth": "yes"}, "M_BAD_JSON"),
    ):
        answer = await house.call("POST", REGISTER, body)
        assert (answer.status, answer.body["errcode"]) == (400, errcode), body


async def test_guests_are_refused_unless_admitted(house: Any, houses: Any) -> None:
    answer = await house.call("POST", REGISTER, {}, kind="guest")
    assert (answer.status, answer.body["errcode"]) == (403, "M_GUEST_ACCESS_FORBIDDEN")
    assert (await house.call("POST", REGISTER, {}, kind="pilgrim")).body["errcode"] == "M_INVALID_PARAM"
    open_house = await houses(guests=True)
    answer = await open_house.call("POST", REGISTER, {"device_id": "MINE", "username": 5}, kind="guest")
    assert answer.status == 200
    assert answer.body["device_id"] != "MINE"
    who = await open_house.call("GET", f"{V3}/account/whoami", by=answer.body["access_token"])
    assert who.body["is_guest"] is True


async def test_an_application_service_registers_its_own_users(house: Any) -> None:
    body = {"type": "m.login.application_service", "username": "bridge_alice", "inhibit_login": True}
    assert (await house.call("POST", REGISTER, body, by="as_token")).body["user_id"] == "@bridge_alice:here.example"
    assert (await house.call("POST", REGISTER, body, by="as_token")).body["errcode"] == "M_USER_IN_USE"
    assert (await house.call("POST", REGISTER, {**body, "username": "alice"}, by="as_token")).body["errcode"] == "M_EXCLUSIVE"
    assert (await house.call("POST", REGISTER, {"type": body["type"]}, by="as_token")).body["errcode"] == "M_MISSING_PARAM"
    assert (await house.call("POST", REGISTER, body, by="wrong")).status == 401
    assert (await house.call("POST", REGISTER, body)).status == 401


async def test_the_first_administrators_invitation_makes_an_administrator(house: Any) -> None:
    token = await house.invitation(grants_admin=True)
    assert (await finish(house, await begin(house), token, username="root")).status == 200
    account = await house.accounts.reader.account("@root:here.example")
    assert account.is_admin


async def test_the_validity_door_wants_a_token(house: Any) -> None:
    assert (await house.call("GET", VALIDITY)).body["errcode"] == "M_MISSING_PARAM"


# Guests who become users


async def as_guest(house: Any) -> tuple[str, Any]:
    body = (await house.call("POST", REGISTER, {}, kind="guest")).body
    return body["user_id"].removeprefix("@").partition(":")[0], body


async def test_a_guest_stays_who_he_is_and_becomes_a_user(houses: Any) -> None:
    house = await houses(guests=True)
    name, guest = await as_guest(house)
    wish = {"username": name, "guest_access_token": guest["access_token"]}
    session = await begin(house, **wish)
    answer = await finish(house, session, await house.invitation(), **wish)
    assert (answer.status, answer.body["user_id"]) == (200, guest["user_id"])
    who = await house.call("GET", f"{V3}/account/whoami", by=answer.body["access_token"])
    assert who.body["is_guest"] is False
    # Whoever saw the guest's token has not got a user's rights by that.
    assert (await house.call("GET", f"{V3}/account/whoami", by=guest["access_token"])).status == 401
    assert (await house.login(name))["user_id"] == guest["user_id"]


async def test_nobody_becomes_a_user_but_the_guest_himself(houses: Any) -> None:
    house = await houses(guests=True)
    name, guest = await as_guest(house)
    alice = await house.user("alice")
    for wish in (
        {"username": "other", "guest_access_token": guest["access_token"]},
        {"guest_access_token": guest["access_token"]},
        {"username": name, "guest_access_token": "wwa_wrong"},
        {"username": "alice", "guest_access_token": alice["access_token"]},
    ):
        answer = await house.call("POST", REGISTER, wish)
        assert (answer.status, answer.body["errcode"]) == (403, "M_FORBIDDEN"), wish
    taken = await house.call("POST", REGISTER, {"username": name})
    assert (taken.status, taken.body["errcode"]) == (400, "M_USER_IN_USE")


async def test_a_guest_becomes_a_user_once(houses: Any) -> None:
    house = await houses(guests=True)
    name, guest = await as_guest(house)
    wish = {"username": name, "guest_access_token": guest["access_token"]}
    sessions = [await begin(house, **wish), await begin(house, **wish)]
    assert (await finish(house, sessions[0], await house.invitation(), **wish)).status == 200
    assert (await finish(house, sessions[1], await house.invitation(), **wish)).status == 403


async def test_an_account_without_a_password_can_be_logged_in_by_nobody_who_guesses(house: Any) -> None:
    made = await house.accounts.registrar.register_as_operator("carol", None, admin=False, wants_login=False)
    assert made.tokens is None
    body = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "carol"}, "password": ""}
    assert (await house.call("POST", "/_matrix/client/v3/login", body)).status == 403
