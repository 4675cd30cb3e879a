"""Tokens that log in once."""

from collections.abc import Callable
from typing import Any

from watchword.protocol.ids import UserId

GET_TOKEN = "/_matrix/client/v1/login/get_token"
LOGIN = "/_matrix/client/v3/login"
PASSWORD = "correct horse"
ALICE = UserId("@alice:here.example")


def proof(session: str) -> dict[str, Any]:
    return {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": "alice"},
        "password": PASSWORD,
        "session": session,
    }


async def asked(house: Any, by: str) -> Any:
    first = await house.call("POST", GET_TOKEN, {}, by=by)
    assert first.status == 401
    return await house.call("POST", GET_TOKEN, {"auth": proof(first.body["session"])}, by=by)


async def test_a_token_logs_another_device_in_and_is_good_once(houses: Callable[..., Any]) -> None:
    house = await houses(login_tokens=True)
    alice = await house.user("alice")
    answer = await asked(house, alice["access_token"])
    assert (answer.status, answer.body["expires_in_ms"]) == (200, 120_000)
    body = {"type": "m.login.token", "token": answer.body["login_token"]}
    new = await house.call("POST", LOGIN, body)
    assert new.body["user_id"] == ALICE
    assert new.body["device_id"] != alice["device_id"]
    again = await house.call("POST", LOGIN, body)
    assert (again.status, again.body["errcode"]) == (403, "M_FORBIDDEN")


async def test_each_token_needs_a_proof_of_its_own(houses: Callable[..., Any]) -> None:
    house = await houses(login_tokens=True)
    alice = (await house.user("alice"))["access_token"]
    first = await house.call("POST", GET_TOKEN, {}, by=alice)
    auth = {"auth": proof(first.body["session"])}
    assert (await house.call("POST", GET_TOKEN, auth, by=alice)).status == 200
    house.clock.advance(60_000)
    assert (await house.call("POST", GET_TOKEN, auth, by=alice)).status == 401


async def test_one_token_a_minute(houses: Callable[..., Any]) -> None:
    house = await houses(login_tokens=True)
    alice = (await house.user("alice"))["access_token"]
    assert (await asked(house, alice)).status == 200
    assert (await asked(house, alice)).status == 429
    house.clock.advance(60_000)
    assert (await asked(house, alice)).status == 200


async def test_a_token_expires(houses: Callable[..., Any]) -> None:
    house = await houses(login_tokens=True)
    await house.user("alice")
    token = await house.accounts.logins.tokens.give(ALICE, 5_000)
    house.clock.advance(5_000)
    assert (await house.call("POST", LOGIN, {"type": "m.login.token", "token": token})).status == 403


async def test_a_user_has_few_tokens_at_a_time(houses: Callable[..., Any]) -> None:
    house = await houses(login_tokens=True)
    await house.user("alice")
    given = [await house.accounts.logins.tokens.give(ALICE, 5_000 + number) for number in range(21)]
    taken = [await house.accounts.logins.tokens.take(token) for token in given]
    assert taken == [None, *[ALICE] * 20]


async def test_where_it_is_off_nobody_gets_a_token_and_none_is_taken(house: Any) -> None:
    alice = await house.user("alice")
    answer = await house.call("POST", GET_TOKEN, {}, by=alice["access_token"])
    assert (answer.status, answer.body["errcode"]) == (404, "M_UNRECOGNIZED")
    token = await house.accounts.logins.tokens.give(ALICE, 5_000)
    assert (await house.call("POST", LOGIN, {"type": "m.login.token", "token": token})).status == 400


async def test_the_token_of_somebody_locked_or_gone_is_refused(houses: Callable[..., Any]) -> None:
    house = await houses(login_tokens=True)
    admin = await house.user("admin", admin=True)
    await house.user("alice")
    await house.call("PUT", "/_matrix/client/v1/admin/lock/@alice:here.example", {"locked": True}, by=admin["access_token"])
    token = await house.accounts.logins.tokens.give(ALICE, 5_000)
    answer = await house.call("POST", LOGIN, {"type": "m.login.token", "token": token})
    assert (answer.status, answer.body["errcode"]) == (401, "M_USER_LOCKED")
    await house.accounts.admin.deactivate(ALICE, erase=False)
    token = await house.accounts.logins.tokens.give(ALICE, 5_000)
    answer = await house.call("POST", LOGIN, {"type": "m.login.token", "token": token})
    assert (answer.status, answer.body["errcode"]) == (403, "M_USER_DEACTIVATED")
