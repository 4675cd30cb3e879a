"""Logging in and out."""

import asyncio
from typing import Any

import pytest

from watchword.server.changes import DeviceDeleted, DeviceListChanged

V3 = "/_matrix/client/v3"
WHOAMI = f"{V3}/account/whoami"


def password_login(**changed: Any) -> dict[str, Any]:
    return {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": "alice"},
        "password": "correct horse",
        **changed,
    }


async def test_the_login_types_are_listed(house: Any) -> None:
    answer = await house.call("GET", f"{V3}/login")
    assert {"type": "m.login.password"} in answer.body["flows"]


async def test_login_answers_404_where_it_is_off(houses: Any) -> None:
    house = await houses(password_login=False)
    assert (await house.call("GET", f"{V3}/login")).body["errcode"] == "M_UNRECOGNIZED"
    assert (await house.call("POST", f"{V3}/login", password_login())).body["errcode"] == "M_UNKNOWN"


async def test_a_login_makes_a_device_with_a_name(house: Any) -> None:
    body = await house.user("alice", initial_device_display_name="Laptop")
    devices = await house.call("GET", f"{V3}/devices", by=body["access_token"])
    assert devices.body["devices"][0]["device_id"] == body["device_id"]
    assert devices.body["devices"][0]["display_name"] == "Laptop"
    assert "refresh_token" not in body
    assert "expires_in_ms" not in body


async def test_the_base_url_is_told_to_clients(houses: Any) -> None:
    house = await houses(public_base_url="https://matrix.here.example")
    assert (await house.user("alice"))["well_known"] == {"m.homeserver": {"base_url": "https://matrix.here.example"}}


@pytest.mark.parametrize(
    "changed",
    [
        {"password": "wrong horse"},
        {"password": ""},
        {"password": "x" * 5_000},
        {"identifier": {"type": "m.id.user", "user": "nobody"}},
        {"identifier": {"type": "m.id.user", "user": "@alice:elsewhere.example"}},
        {"identifier": {"type": "m.id.thirdparty", "medium": "email", "address": "alice@here.example"}},
    ],
)
async def test_whoever_does_not_prove_himself_gets_the_same_answer(house: Any, changed: dict[str, Any]) -> None:
    await house.user("alice")
    answer = await house.call("POST", f"{V3}/login", password_login(**changed))
    assert answer.status == 403
    assert answer.body == {"errcode": "M_FORBIDDEN", "error": "The user name or the password is wrong."}


@pytest.mark.parametrize(
    ("changed", "errcode"),
    [
        ({"type": "m.login.astrology"}, "M_UNKNOWN"),
        ({"type": 5}, "M_BAD_JSON"),
        ({"password": None}, "M_BAD_JSON"),
        ({"password": ["x"]}, "M_BAD_JSON"),
        ({"identifier": "alice"}, "M_BAD_JSON"),
        ({"device_id": 5}, "M_BAD_JSON"),
        ({"device_id": "x" * 256}, "M_INVALID_PARAM"),
        ({"initial_device_display_name": "x" * 257}, "M_INVALID_PARAM"),
        ({"refresh_token": 1}, "M_BAD_JSON"),
    ],
)
async def test_malformed_logins_are_refused(house: Any, changed: dict[str, Any], errcode: str) -> None:
    await house.user("alice")
    answer = await house.call("POST", f"{V3}/login", password_login(**changed))
    assert (answer.status, answer.body["errcode"]) == (400, errcode)


async def test_the_deprecated_user_key_works(house: Any) -> None:
    await house.user("alice")
    body = {"type": "m.login.password", "user": "@alice:here.example", "password": "correct horse"}
    assert (await house.call("POST", f"{V3}/login", body)).status == 200


async def test_a_device_that_logs_in_again_loses_its_old_tokens_and_keeps_its_name(house: Any) -> None:
    first = await house.user("alice", device_id="D", initial_device_display_name="Laptop")
    assert (await house.call("GET", WHOAMI, by=first["access_token"])).status == 200
    second = await house.login("alice", device_id="D", initial_device_display_name="Other")
    assert (await house.call("GET", WHOAMI, by=first["access_token"])).body["errcode"] == "M_UNKNOWN_TOKEN"
    assert (await house.call("GET", f"{V3}/devices/D", by=second["access_token"])).body["display_name"] == "Laptop"


async def test_a_device_id_that_is_a_cross_signing_key_is_refused(house: Any) -> None:
    await house.user("alice")
    house.elsewhere.cross_signing_keys.add("KEY")
    answer = await house.call("POST", f"{V3}/login", password_login(device_id="KEY"))
    assert (answer.status, answer.body["errcode"]) == (403, "M_FORBIDDEN")


async def test_a_deactivated_account_says_so(house: Any) -> None:
    await house.user("alice")
    await house.accounts.admin.deactivate("@alice:here.example", erase=False)
    answer = await house.call("POST", f"{V3}/login", password_login())
    assert (answer.status, answer.body["errcode"]) == (403, "M_USER_DEACTIVATED")


async def test_too_many_wrong_passwords_from_one_address_must_wait(house: Any) -> None:
    await house.user("alice")
    for _ in range(10):
        assert (await house.call("POST", f"{V3}/login", password_login(password="wrong"))).status == 403
    answer = await house.call("POST", f"{V3}/login", password_login())
    assert (answer.status, answer.headers["Retry-After"]) == (429, "300")
    assert (await house.call("POST", f"{V3}/login", password_login(), address="192.0.2.2")).status == 200
    house.clock.advance(300_000)
    assert (await house.call("POST", f"{V3}/login", password_login())).status == 200


async def test_logout_ends_the_device_and_tells_the_log(house: Any) -> None:
    body = await house.user("alice")
    other = await house.login("alice")
    assert (await house.call("POST", f"{V3}/logout", {}, by=body["access_token"])).body == {}
    answer = await house.call("GET", WHOAMI, by=body["access_token"])
    assert (answer.status, answer.body["errcode"]) == (401, "M_UNKNOWN_TOKEN")
    assert "soft_logout" not in answer.body
    assert (await house.call("GET", WHOAMI, by=other["access_token"])).status == 200
    changes = await house.changes()
    assert DeviceDeleted(body["user_id"], body["device_id"]) in changes
    assert DeviceListChanged(body["user_id"], body["device_id"], deleted=True) in changes


async def test_logout_all_ends_every_device(house: Any) -> None:
    bodies = [await house.user("alice"), await house.login("alice")]
    await house.call("POST", f"{V3}/logout/all", {}, by=bodies[0]["access_token"])
    for body in bodies:
        assert (await house.call("GET", WHOAMI, by=body["access_token"])).status == 401
    assert await house.accounts.reader.devices("@alice:here.example") == []


async def test_application_services_log_in_as_their_users_and_log_out_without_a_device(house: Any) -> None:
    body = {"type": "m.login.application_service", "username": "bridge_bob", "inhibit_login": True}
    await house.call("POST", f"{V3}/register", body, by="as_token")
    login = {"type": "m.login.application_service", "identifier": {"type": "m.id.user", "user": "bridge_bob"}}
    assert (await house.call("POST", f"{V3}/login", login, by="as_token")).body["user_id"] == "@bridge_bob:here.example"
    assert (await house.call("POST", f"{V3}/login", login)).status == 401
    assert (await house.call("POST", f"{V3}/login", {"type": login["type"]}, by="as_token")).body[
        "errcode"
    ] == "M_MISSING_PARAM"
    await house.user("alice")
    for name, status in (("alice", 400), ("nobody", 403)):
        login["identifier"] = {"type": "m.id.user", "user": name}
        assert (await house.call("POST", f"{V3}/login", login, by="as_token")).status == status
    assert (await house.call("POST", f"{V3}/logout", {}, by="as_token")).status == 200
    assert (await house.call("GET", WHOAMI, by="as_token")).body == {"user_id": "@bridge:here.example", "is_guest": False}


async def test_many_logins_at_once_all_succeed(house: Any) -> None:
    await house.user("alice")
    bodies = await asyncio.gather(*(house.login("alice") for _ in range(10)))
    assert len({body["access_token"] for body in bodies}) == 10
    assert len({body["device_id"] for body in bodies}) == 10
