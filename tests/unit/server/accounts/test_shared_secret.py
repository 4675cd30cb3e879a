"""Registration by scripts: nonce, HMAC, once, within a minute."""

import hashlib
import hmac
from typing import Any

import pytest

DOOR = "/_synapse/admin/v1/register"


def signed(
    nonce: str, username: str, *, admin: bool = False, secret: str = "s3cret", user_type: str | None = None
) -> dict[str, Any]:
    parts = [nonce, username, "correct horse", "admin" if admin else "notadmin", *([user_type] if user_type else [])]
    mac = hmac.new(secret.encode(), "\0".join(parts).encode(), hashlib.sha1).hexdigest()
    body: dict[str, Any] = {"nonce": nonce, "username": username, "password": "correct horse", "admin": admin, "mac": mac}
    return {**body, "user_type": user_type} if user_type else body


@pytest.fixture
async def open_house(houses: Any) -> Any:
    return await houses(shared_secret="s3cret")


async def nonce(house: Any) -> str:
    found: str = (await house.call("GET", DOOR)).body["nonce"]
    return found


async def test_it_is_not_there_without_a_secret(house: Any) -> None:
    for method in ("GET", "POST"):
        answer = await house.call(method, DOOR, {})
        assert (answer.status, answer.body["errcode"]) == (404, "M_UNRECOGNIZED")


async def test_a_signed_request_makes_an_account(open_house: Any) -> None:
    answer = await open_house.call("POST", DOOR, signed(await nonce(open_house), "alice", admin=True))
    assert answer.status == 200
    assert set(answer.body) == {"user_id", "access_token", "device_id", "home_server"}
    assert (await open_house.accounts.reader.account("@alice:here.example")).is_admin
    answer = await open_house.call("POST", DOOR, signed(await nonce(open_house), "bot", user_type="bot"))
    assert answer.status == 200
    assert not (await open_house.accounts.reader.account("@bot:here.example")).is_admin


async def test_a_nonce_is_good_once_for_a_minute(open_house: Any) -> None:
    body = signed(await nonce(open_house), "alice")
    assert (await open_house.call("POST", DOOR, {**body, "mac": "0" * 40})).status == 403
    assert (await open_house.call("POST", DOOR, body)).status == 400
    late = signed(await nonce(open_house), "alice")
    open_house.clock.advance(60_000)
    assert (await open_house.call("POST", DOOR, late)).status == 400
    assert (await open_house.call("POST", DOOR, signed("made up", "alice"))).status == 400


async def test_the_hmac_covers_admin_and_the_secret(open_house: Any) -> None:
    for body in (
        {**signed(await nonce(open_house), "alice"), "admin": True},
        signed(await nonce(open_house), "alice", secret="other"),
        {**signed(await nonce(open_house), "alice"), "username": "mallory"},
        {**signed(await nonce(open_house), "alice"), "mac": "ä"},
    ):
        assert (await open_house.call("POST", DOOR, body)).status == 403


async def test_names_are_checked_as_for_everybody(open_house: Any) -> None:
    await open_house.user("taken")
    answer = await open_house.call("POST", DOOR, signed(await nonce(open_house), "taken"))
    assert answer.body["errcode"] == "M_USER_IN_USE"


@pytest.mark.parametrize("key", ["nonce", "username", "password", "mac"])
async def test_malformed_requests_are_refused(open_house: Any, key: str) -> None:
    body = signed(await nonce(open_house), "alice")
    assert (await open_house.call("POST", DOOR, {**body, key: 5})).body["errcode"] == "M_BAD_JSON"
    del body[key]
    assert (await open_house.call("POST", DOOR, body)).body["errcode"] == "M_MISSING_PARAM"


async def test_the_number_of_nonces_is_bounded(open_house: Any) -> None:
    first = await nonce(open_house)
    for _ in range(1_000):
        open_house.accounts.shared_secret.nonce()
    assert (await open_house.call("POST", DOOR, signed(first, "alice"))).status == 400
