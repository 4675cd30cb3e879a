"""The doors of profiles, where no service decides."""

from typing import Any

PROFILE = "/_matrix/client/v3/profile/@alice:here.example"


async def test_the_field_of_the_path_counts_and_others_in_the_body_are_passed_over(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    body = {"displayname": "A", "m.tz": "UTC"}
    assert (await house.call("PUT", f"{PROFILE}/displayname", body, by=me)).status == 200
    assert (await house.call("GET", PROFILE)).body == {"displayname": "A"}


async def test_a_stranger_sees_local_profiles(house: Any) -> None:
    await house.user("alice")
    assert (await house.call("GET", PROFILE)).status == 200
