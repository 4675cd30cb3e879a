"""Doors under the names that they had before."""

from typing import Any

OLD = "/_matrix/client/unstable"


async def test_profile_fields_are_kept_under_the_old_name_too(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    path = f"{OLD}/uk.tcpip.msc4133/profile/@alice:here.example"
    assert (await house.call("PUT", f"{path}/m.tz", {"m.tz": "Europe/Berlin"}, by=me)).status == 200
    assert (await house.call("GET", f"{path}/m.tz", by=me)).body == {"m.tz": "Europe/Berlin"}
    assert (await house.call("GET", "/_matrix/client/v3/profile/@alice:here.example", by=me)).body["m.tz"] == "Europe/Berlin"
    assert (await house.call("DELETE", f"{path}/m.tz", by=me)).status == 200
    assert "m.tz" not in (await house.call("GET", path, by=me)).body


async def test_only_administrators_lock_under_the_old_name(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    path = f"{OLD}/uk.timedout.msc4323/admin/lock/@alice:here.example"
    assert (await house.call("PUT", path, {"locked": True}, by=me)).status == 403
