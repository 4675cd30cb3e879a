"""Passwords, deactivation, locks, suspensions, whois, OpenID."""

from typing import Any

import pytest

from watchword.edge.requester import Requester
from watchword.protocol.ids import UserId
from watchword.server.changes import AccountDeactivated, DeviceDeleted

V3 = "/_matrix/client/v3"
V1_ADMIN = "/_matrix/client/v1/admin"
ALICE = "@alice:here.example"
WHOAMI = f"{V3}/account/whoami"


def proof(session: str, user: str = "alice", password: str = "correct horse") -> dict[str, Any]:
    return {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user},
        "password": password,
        "session": session,
    }


async def with_proof(house: Any, path: str, body: dict[str, Any], by: str | None) -> Any:
    asked = await house.call("POST", path, body, by=by)
    assert asked.status == 401
    return await house.call("POST", path, {**body, "auth": proof(asked.body["session"])}, by=by)


@pytest.mark.parametrize(("logout_devices", "status"), [(None, 401), (True, 401), (False, 200)])
async def test_a_new_password_logs_other_devices_out_unless_told_not_to(
    house: Any, logout_devices: bool | None, status: int
) -> None:
    me = (await house.user("alice"))["access_token"]
    other = (await house.login("alice"))["access_token"]
    body: dict[str, Any] = {"new_password": "battery staple"}
    if logout_devices is not None:
        body["logout_devices"] = logout_devices
    assert (await with_proof(house, f"{V3}/account/password", body, me)).status == 200
    assert (await house.call("GET", WHOAMI, by=me)).status == 200
    assert (await house.call("GET", WHOAMI, by=other)).status == status
    login = {"type": "m.login.password", "user": "alice", "password": "correct horse"}
    assert (await house.call("POST", f"{V3}/login", login)).status == 403
    assert (await house.call("POST", f"{V3}/login", {**login, "password": "battery staple"})).status == 200


async def test_a_password_is_changed_without_a_token_by_who_knows_the_old_one(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    assert (await with_proof(house, f"{V3}/account/password", {"new_password": "battery staple"}, None)).status == 200
    assert (await house.call("GET", WHOAMI, by=me)).status == 401


async def test_the_proof_for_one_password_does_not_set_another(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    asked = await house.call("POST", f"{V3}/account/password", {"new_password": "battery staple"}, by=me)
    body = {"new_password": "evil password", "auth": proof(asked.body["session"])}
    assert (await house.call("POST", f"{V3}/account/password", body, by=me)).status == 403


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({}, "M_MISSING_PARAM"),
        ({"new_password": "short"}, "M_WEAK_PASSWORD"),
        ({"new_password": 12345678}, "M_BAD_JSON"),
        ({"new_password": "battery staple", "logout_devices": "no"}, "M_BAD_JSON"),
    ],
)
async def test_wrong_new_passwords_are_refused_at_once(house: Any, body: dict[str, Any], errcode: str) -> None:
    me = (await house.user("alice"))["access_token"]
    answer = await house.call("POST", f"{V3}/account/password", body, by=me)
    assert (answer.status, answer.body["errcode"]) == (400, errcode)


async def test_application_services_and_guests_have_no_password_to_change(houses: Any) -> None:
    house = await houses(guests=True)
    guest = (await house.call("POST", f"{V3}/register", {}, kind="guest")).body["access_token"]
    for by in ("as_token", guest):
        assert (await house.call("POST", f"{V3}/account/password", {"new_password": "battery staple"}, by=by)).status == 403
        assert (await house.call("POST", f"{V3}/account/deactivate", {}, by=by)).status == 403


async def test_deactivation_ends_everything_and_keeps_the_name_taken(house: Any) -> None:
    me = await house.user("alice", device_id="A")
    await house.call("PUT", f"{V3}/profile/{ALICE}/displayname", {"displayname": "A"}, by=me["access_token"])
    answer = await with_proof(house, f"{V3}/account/deactivate", {"erase": False}, me["access_token"])
    assert answer.body == {"id_server_unbind_result": "success"}
    assert (await house.call("GET", WHOAMI, by=me["access_token"])).status == 401
    assert (await house.call("GET", f"{V3}/register/available", username="alice")).body["errcode"] == "M_USER_IN_USE"
    assert (await house.call("GET", f"{V3}/profile/{ALICE}")).status == 404
    assert not await house.accounts.reader.exists(ALICE)
    assert not await house.accounts.reader.is_erased(ALICE)
    changes = await house.changes()
    assert changes[-1] == AccountDeactivated(ALICE, erase=False)  # type: ignore[arg-type]
    assert DeviceDeleted(ALICE, "A") in changes  # type: ignore[arg-type]
    await house.accounts.admin.deactivate(ALICE, erase=True)
    assert len(await house.changes()) == len(changes)


async def test_erasure_takes_what_was_stored(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    await house.call("PUT", f"{V3}/user/{ALICE}/account_data/org.x", {}, by=me)
    await house.call("PUT", f"{V3}/profile/{ALICE}/displayname", {"displayname": "A"}, by=me)
    assert (await with_proof(house, f"{V3}/account/deactivate", {"erase": True}, me)).status == 200
    assert await house.accounts.reader.account_data(ALICE, None, "org.x") is None
    assert await house.accounts.reader.profile(ALICE) == {}
    assert await house.accounts.reader.is_erased(ALICE)


async def test_a_proof_for_deactivation_does_not_serve_for_erasure(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    asked = await house.call("POST", f"{V3}/account/deactivate", {}, by=me)
    body = {"erase": True, "auth": proof(asked.body["session"])}
    assert (await house.call("POST", f"{V3}/account/deactivate", body, by=me)).status == 403


async def test_the_locked_may_only_log_out(house: Any) -> None:
    root = (await house.user("root", admin=True))["access_token"]
    me = await house.user("alice")
    path = f"{V1_ADMIN}/lock/{ALICE}"
    assert (await house.call("GET", path, by=root)).body == {"locked": False}
    assert (await house.call("PUT", path, {"locked": True}, by=root)).body == {"locked": True}
    answer = await house.call("GET", WHOAMI, by=me["access_token"])
    assert (answer.status, answer.body["errcode"], answer.body["soft_logout"]) == (401, "M_USER_LOCKED", True)
    login = {"type": "m.login.password", "user": "alice", "password": "correct horse"}
    assert (await house.call("POST", f"{V3}/login", login)).body["errcode"] == "M_USER_LOCKED"
    await house.call("PUT", path, {"locked": False}, by=root)
    assert (await house.call("GET", WHOAMI, by=me["access_token"])).status == 200
    await house.call("PUT", path, {"locked": True}, by=root)
    assert (await house.call("POST", f"{V3}/logout", {}, by=me["access_token"])).status == 200


async def test_suspension_shows_in_the_requester_at_once(house: Any) -> None:
    root = (await house.user("root", admin=True))["access_token"]
    me = (await house.user("alice"))["access_token"]
    await house.call("GET", WHOAMI, by=me)
    path = f"{V1_ADMIN}/suspend/{ALICE}"
    assert (await house.call("PUT", path, {"suspended": True}, by=root)).body == {"suspended": True}
    assert (await house.call("GET", path, by=root)).body == {"suspended": True}
    answer = await house.call("PUT", f"{V3}/profile/{ALICE}/displayname", {"displayname": "x"}, by=me)
    assert answer.body["errcode"] == "M_USER_SUSPENDED"


@pytest.mark.parametrize("what", ["lock", "suspend"])
async def test_moderation_is_for_administrators_and_reveals_nothing_to_others(house: Any, what: str) -> None:
    root = (await house.user("root", admin=True))["access_token"]
    await house.user("root2", admin=True)
    me = (await house.user("alice"))["access_token"]
    flag = {"lock": "locked", "suspend": "suspended"}[what]
    for name in ("@nobody:here.example", "@root:here.example", "@x:there.example"):
        for method, body in (("GET", {}), ("PUT", {flag: True}), ("PUT", {})):
            answer = await house.call(method, f"{V1_ADMIN}/{what}/{name}", body, by=me)
            assert (answer.status, answer.body["errcode"]) == (403, "M_FORBIDDEN")
    for name, status in (
        ("@nobody:here.example", 404),
        ("@x:there.example", 400),
        ("@root:here.example", 403),
        ("@root2:here.example", 403),
        ("nonsense", 400),
    ):
        assert (await house.call("PUT", f"{V1_ADMIN}/{what}/{name}", {flag: True}, by=root)).status == status
    assert (await house.call("PUT", f"{V1_ADMIN}/{what}/{ALICE}", {}, by=root)).body["errcode"] == "M_MISSING_PARAM"
    assert (await house.call("PUT", f"{V1_ADMIN}/{what}/{ALICE}", {flag: 1}, by=root)).body["errcode"] == "M_BAD_JSON"


async def test_whois_is_for_oneself_and_administrators(house: Any) -> None:
    root = (await house.user("root", admin=True))["access_token"]
    me = await house.user("alice", device_id="A")
    await house.login("alice", device_id="B")
    bob = (await house.user("bob"))["access_token"]
    path = f"{V3}/admin/whois/{ALICE}"
    assert (await house.call("GET", path, by=bob)).status == 403
    devices = (await house.call("GET", path, by=me["access_token"])).body["devices"]
    assert devices["B"] == {"sessions": [{"connections": []}]}
    seen = {"ip": "192.0.2.1", "last_seen": house.clock.now_ms(), "user_agent": "test"}
    assert devices["A"] == {"sessions": [{"connections": [seen]}]}
    assert (await house.call("GET", path, by=root)).body["devices"] == devices


async def test_the_right_of_an_administrator_is_given_to_accounts_alone(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    assert await house.accounts.admin.set_admin(ALICE, True)
    assert (await house.call("GET", f"{V3}/admin/whois/@x:here.example", by=me)).status == 200
    assert not await house.accounts.admin.set_admin("@nobody:here.example", True)


class _Also:
    """Counts how often it was written, and undoes nothing."""

    def __init__(self) -> None:
        self.written = 0

    async def __call__(self, tx: Any) -> None:
        self.written += 1


async def test_what_else_is_to_be_written_is_written_with_each_effect_and_only_then(house: Any) -> None:
    root = await house.user("root", admin=True)
    await house.user("alice")
    requester = Requester(UserId("@root:here.example"), root["device_id"], 1, is_admin=True)
    admin, also = house.accounts.admin, _Also()
    await admin.set_locked(requester, ALICE, True, also=also)
    await admin.set_suspended(requester, ALICE, True, also=also)
    await admin.set_admin(ALICE, False, also=also)
    await admin.change_password(ALICE, "another horse", log_out=True, keep=None, also=also)
    await admin.deactivate(ALICE, erase=False, also=also)
    assert also.written == 5
    await admin.set_admin("@nobody:here.example", True, also=also)
    await admin.deactivate(ALICE, erase=False, also=also)
    assert also.written == 5


async def test_an_openid_token_names_its_user_for_an_hour_and_opens_no_door(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    body = (await house.call("POST", f"{V3}/user/{ALICE}/openid/request_token", {}, by=me)).body
    assert (body["token_type"], body["matrix_server_name"], body["expires_in"]) == ("Bearer", "here.example", 3600)
    assert await house.accounts.reader.openid_user(body["access_token"]) == ALICE
    assert (await house.call("GET", WHOAMI, by=body["access_token"])).status == 401
    assert await house.accounts.reader.openid_user(me) is None
    house.clock.advance(3_600_000)
    assert await house.accounts.reader.openid_user(body["access_token"]) is None
    await house.call("POST", f"{V3}/user/{ALICE}/openid/request_token", {}, by=me)


async def test_there_are_no_third_party_identifiers(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    assert (await house.call("GET", f"{V3}/account/3pid", by=me)).body == {"threepids": []}
