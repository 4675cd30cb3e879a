"""The doors of account data, where no service decides."""

from typing import Any

ME = "/_matrix/client/v3/user/@alice:here.example"


async def test_types_are_opaque(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    path = f"{ME}/account_data/org.x%2Fy%20ü"
    assert (await house.call("PUT", path, {"a": 1}, by=me)).status == 200
    assert (await house.call("GET", path, by=me)).body == {"a": 1}


async def test_a_stored_filter_comes_back_as_it_was(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    definition = {"room": {"timeline": {"limit": 3, "org.x": [1]}}}
    filter_id = (await house.call("POST", f"{ME}/filter", definition, by=me)).body["filter_id"]
    assert (await house.call("GET", f"{ME}/filter/{filter_id}", by=me)).body == definition


async def test_malformed_user_ids_are_refused(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    answer = await house.call("GET", "/_matrix/client/v3/user/alice/account_data/x", by=me)
    assert (answer.status, answer.body["errcode"]) == (400, "M_INVALID_PARAM")
