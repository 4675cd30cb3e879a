"""Devices: seeing, naming and deleting them."""

from typing import Any

import pytest

from watchword.server.changes import DeviceDeleted, DeviceListChanged

V3 = "/_matrix/client/v3"


async def test_devices_are_listed_and_shown_one_by_one(house: Any) -> None:
    me = await house.user("alice", device_id="A", initial_device_display_name="Laptop")
    await house.login("alice", device_id="B")
    listed = await house.call("GET", f"{V3}/devices", by=me["access_token"])
    assert [device["device_id"] for device in listed.body["devices"]] == ["A", "B"]
    assert (await house.call("GET", f"{V3}/devices/B", by=me["access_token"])).body == {"device_id": "B"}
    assert (await house.call("GET", f"{V3}/devices/C", by=me["access_token"])).status == 404


async def test_a_rename_is_news_only_if_it_changes_something(house: Any) -> None:
    me = await house.user("alice", device_id="A", initial_device_display_name="Laptop")
    before = house.log.position
    for name in ("Laptop", "Desk", "Desk"):
        assert (await house.call("PUT", f"{V3}/devices/A", {"display_name": name}, by=me["access_token"])).status == 200
    assert (await house.call("PUT", f"{V3}/devices/A", {}, by=me["access_token"])).status == 200
    assert await house.changes(before) == [DeviceListChanged(me["user_id"], "A")]  # type: ignore[arg-type]
    assert await house.accounts.reader.device_names(me["user_id"]) == {"A": "Desk"}


async def test_only_application_services_make_devices(house: Any) -> None:
    me = await house.user("alice")
    assert (await house.call("PUT", f"{V3}/devices/NEW", {"display_name": "x"}, by=me["access_token"])).status == 404
    assert (await house.call("PUT", f"{V3}/devices/NEW", {"display_name": "x"}, by="as_token")).status == 201
    assert (await house.call("PUT", f"{V3}/devices/NEW", {"display_name": "y"}, by="as_token")).status == 200


@pytest.mark.parametrize("body", [{"display_name": 5}, {"display_name": "x" * 257}])
async def test_wrong_names_are_refused(house: Any, body: dict[str, Any]) -> None:
    me = await house.user("alice", device_id="A")
    assert (await house.call("PUT", f"{V3}/devices/A", body, by=me["access_token"])).status == 400


def proof(session: str) -> dict[str, Any]:
    identifier = {"type": "m.id.user", "user": "alice"}
    return {"type": "m.login.password", "identifier": identifier, "password": "correct horse", "session": session}


async def test_deleting_a_device_asks_for_the_password_and_ends_its_tokens(house: Any) -> None:
    me = await house.user("alice", device_id="A")
    other = await house.login("alice", device_id="B")
    asked = await house.call("DELETE", f"{V3}/devices/B", {}, by=me["access_token"])
    assert asked.status == 401
    body = {"auth": proof(asked.body["session"])}
    assert (await house.call("DELETE", f"{V3}/devices/A", body, by=me["access_token"])).status == 403
    for _ in range(2):
        assert (await house.call("DELETE", f"{V3}/devices/B", body, by=me["access_token"])).status == 200
    assert (await house.call("GET", f"{V3}/account/whoami", by=other["access_token"])).status == 401
    changes = await house.changes()
    assert changes.count(DeviceDeleted(me["user_id"], "B")) == 1  # type: ignore[arg-type]
    assert changes.count(DeviceListChanged(me["user_id"], "B", deleted=True)) == 1  # type: ignore[arg-type]


async def test_a_session_for_some_devices_is_not_spent_on_others(house: Any) -> None:
    me = await house.user("alice", device_id="A")
    await house.login("alice", device_id="B")
    asked = await house.call("POST", f"{V3}/delete_devices", {"devices": ["B"]}, by=me["access_token"])
    auth = proof(asked.body["session"])
    for path, devices in ((f"{V3}/delete_devices", ["A", "B"]), (f"{V3}/delete_devices", [])):
        assert (await house.call("POST", path, {"devices": devices, "auth": auth}, by=me["access_token"])).status == 403
    done = await house.call("POST", f"{V3}/delete_devices", {"devices": ["B", "B"], "auth": auth}, by=me["access_token"])
    assert done.status == 200
    assert set(await house.accounts.reader.device_names(me["user_id"])) == {"A"}


async def test_another_users_device_is_not_touched(house: Any) -> None:
    me = await house.user("alice", device_id="A")
    await house.user("bob", device_id="B")
    asked = await house.call("POST", f"{V3}/delete_devices", {"devices": ["B"]}, by=me["access_token"])
    body = {"devices": ["B"], "auth": proof(asked.body["session"])}
    assert (await house.call("POST", f"{V3}/delete_devices", body, by=me["access_token"])).status == 200
    assert set(await house.accounts.reader.device_names("@bob:here.example")) == {"B"}


async def test_application_services_delete_without_a_password(house: Any) -> None:
    await house.call("PUT", f"{V3}/devices/NEW", {}, by="as_token")
    assert (await house.call("DELETE", f"{V3}/devices/NEW", {}, by="as_token")).status == 200
    assert (await house.call("GET", f"{V3}/devices", by="as_token")).body == {"devices": []}


@pytest.mark.parametrize("devices", ["B", [5], [""], ["x" * 256], ["x"] * 1_001, None])
async def test_malformed_lists_of_devices_are_refused(house: Any, devices: Any) -> None:
    me = await house.user("alice")
    assert (await house.call("POST", f"{V3}/delete_devices", {"devices": devices}, by=me["access_token"])).status == 400
