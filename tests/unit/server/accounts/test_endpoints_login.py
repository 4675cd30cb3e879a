"""The doors of sessions, where no service decides."""

from typing import Any

V3 = "/_matrix/client/v3"


async def test_refresh_tells_no_lifetime_it_does_not_know(houses: Any) -> None:
    house = await houses()
    me = await house.user("alice", refresh_token=True)
    answer = await house.call("POST", f"{V3}/refresh", {"refresh_token": me["refresh_token"]})
    assert set(answer.body) == {"access_token", "refresh_token", "expires_in_ms"}


async def test_a_guest_is_told_so(houses: Any) -> None:
    house = await houses(guests=True)
    guest = (await house.call("POST", f"{V3}/register", {}, kind="guest")).body
    who = await house.call("GET", f"{V3}/account/whoami", by=guest["access_token"])
    assert who.body["is_guest"] is True
    assert (await house.call("POST", f"{V3}/logout/all", {}, by=guest["access_token"])).status == 200


async def test_unreadable_user_ids_are_refused_for_administrators_too(house: Any) -> None:
    root = (await house.user("root", admin=True))["access_token"]
    assert (await house.call("GET", f"{V3}/admin/whois/nonsense", by=root)).body["errcode"] == "M_INVALID_PARAM"
