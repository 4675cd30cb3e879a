"""Profiles: fields, sizes, news, and users of other servers."""

from dataclasses import replace
from typing import Any

import pytest

from watchword.base.errors import Forbidden, NotFound, PeerError
from watchword.edge.requester import Requester
from watchword.protocol.ids import UserId
from watchword.server.changes import ProfileChanged

PROFILE = "/_matrix/client/v3/profile/@alice:here.example"


async def put(house: Any, me: Any, field: str, value: Any) -> Any:
    return await house.call("PUT", f"{PROFILE}/{field}", {field: value}, by=me["access_token"])


async def test_fields_are_set_seen_and_deleted(house: Any) -> None:
    me = await house.user("alice")
    for field, value in (
        ("displayname", "Алиса"),
        ("avatar_url", "mxc://here.example/a"),
        ("m.tz", "UTC"),
        ("org.x", [1, None]),
    ):
        assert (await put(house, me, field, value)).status == 200
        assert (await house.call("GET", f"{PROFILE}/{field}")).body == {field: value}
    assert (await house.call("GET", PROFILE)).body["m.tz"] == "UTC"
    assert (await house.call("DELETE", f"{PROFILE}/m.tz", by=me["access_token"])).status == 200
    assert (await house.call("DELETE", f"{PROFILE}/m.tz", by=me["access_token"])).status == 200
    assert (await house.call("GET", f"{PROFILE}/m.tz")).status == 404


async def test_only_a_real_change_is_news(house: Any) -> None:
    me = await house.user("alice")
    before = house.log.position
    for value in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1}):
        await put(house, me, "org.x", value)
    await house.call("DELETE", f"{PROFILE}/org.y", by=me["access_token"])
    assert await house.changes(before) == [ProfileChanged(me["user_id"], "org.x")] * 2


async def test_true_and_one_differ(house: Any) -> None:
    me = await house.user("alice")
    await put(house, me, "org.x", 1)
    await put(house, me, "org.x", True)
    assert (await house.call("GET", f"{PROFILE}/org.x")).body == {"org.x": True}


async def test_null_is_a_value_and_an_empty_picture_is_none(house: Any) -> None:
    me = await house.user("alice")
    await put(house, me, "displayname", None)
    assert (await house.call("GET", f"{PROFILE}/displayname")).body == {"displayname": None}
    await put(house, me, "avatar_url", "mxc://here.example/a")
    await put(house, me, "avatar_url", "")
    assert (await house.call("GET", f"{PROFILE}/avatar_url")).status == 404


@pytest.mark.parametrize(
    ("field", "body", "errcode"),
    [
        ("displayname", {}, "M_MISSING_PARAM"),
        ("displayname", {"avatar_url": "x"}, "M_MISSING_PARAM"),
        ("displayname", {"displayname": 5}, "M_BAD_JSON"),
        ("avatar_url", {"avatar_url": "https://x"}, "M_INVALID_PARAM"),
        ("Upper", {"Upper": 1}, "M_INVALID_PARAM"),
        ("x" * 256, {"x" * 256: 1}, "M_KEY_TOO_LARGE"),
        ("org.x", {"org.x": "x" * 65_536}, "M_PROFILE_TOO_LARGE"),
        ("org.x", {"org.x": 1 << 70}, "M_BAD_JSON"),
    ],
)
async def test_wrong_fields_are_refused(house: Any, field: str, body: dict[str, Any], errcode: str) -> None:
    me = await house.user("alice")
    answer = await house.call("PUT", f"{PROFILE}/{field}", body, by=me["access_token"])
    assert (answer.status, answer.body["errcode"]) == (400, errcode)


async def test_a_whole_profile_has_at_most_64_kib(house: Any) -> None:
    me = await house.user("alice")
    assert (await put(house, me, "org.a", "x" * 40_000)).status == 200
    assert (await put(house, me, "org.b", "x" * 40_000)).body["errcode"] == "M_PROFILE_TOO_LARGE"
    assert (await put(house, me, "org.a", "x" * 60_000)).status == 200


async def test_nobody_changes_another_users_profile(house: Any) -> None:
    await house.user("alice")
    bob = await house.user("bob")
    assert (await put(house, bob, "displayname", "x")).status == 403
    assert (await house.call("DELETE", f"{PROFILE}/displayname", by=bob["access_token"])).status == 403


async def test_deletion_checks_the_name_of_the_field(house: Any) -> None:
    me = await house.user("alice")
    assert (await house.call("DELETE", f"{PROFILE}/Upper", by=me["access_token"])).body["errcode"] == "M_INVALID_PARAM"


async def test_the_suspended_change_nothing_and_guests_only_their_name(houses: Any) -> None:
    house = await houses(guests=True)
    root = await house.user("root", admin=True)
    me = await house.user("alice")
    path = "/_matrix/client/v1/admin/suspend/@alice:here.example"
    await house.call("PUT", path, {"suspended": True}, by=root["access_token"])
    assert (await put(house, me, "displayname", "x")).body["errcode"] == "M_USER_SUSPENDED"
    guest = (await house.call("POST", "/_matrix/client/v3/register", {}, kind="guest")).body
    own = f"/_matrix/client/v3/profile/{guest['user_id']}"
    ok = await house.call("PUT", f"{own}/displayname", {"displayname": "x"}, by=guest["access_token"])
    assert ok.status == 200
    no = await house.call("PUT", f"{own}/m.tz", {"m.tz": "UTC"}, by=guest["access_token"])
    assert no.body["errcode"] == "M_GUEST_ACCESS_FORBIDDEN"


async def test_unknown_and_malformed_users_are_not_found_or_refused(house: Any) -> None:
    assert (await house.call("GET", "/_matrix/client/v3/profile/@nobody:here.example")).status == 404
    assert (await house.call("GET", "/_matrix/client/v3/profile/alice")).status == 400
    await house.user("alice")
    assert (await house.call("GET", PROFILE)).body == {}


async def test_users_elsewhere_are_asked_for_and_not_trusted(house: Any) -> None:
    me = await house.user("alice")
    path = "/_matrix/client/v3/profile/@carol:there.example"
    assert (await house.call("GET", path)).status == 403
    assert (await house.call("GET", path, by=me["access_token"])).status == 404
    house.elsewhere.profiles["@carol:there.example"] = {"displayname": "Carol", "avatar_url": 5, "org.x": 1}
    assert (await house.call("GET", path, by=me["access_token"])).body == {"displayname": "Carol", "org.x": 1}
    assert (await house.call("GET", f"{path}/displayname", by=me["access_token"])).body == {"displayname": "Carol"}
    assert (await house.call("GET", f"{path}/avatar_url", by=me["access_token"])).status == 404
    house.elsewhere.profiles["@carol:there.example"] = ["garbage"]
    assert (await house.call("GET", path, by=me["access_token"])).status == 502


class Seen:
    """Fits ProfileVisibility."""

    async def may_see_profile(self, viewer: UserId | None, user_id: UserId) -> bool:
        return viewer == "@friend:here.example"


async def test_profiles_may_be_for_those_who_share_something(house: Any) -> None:
    me = await house.user("alice")
    await put(house, me, "displayname", "Alice")
    profiles = replace(house.accounts.profiles, visibility=Seen())

    async def seen(requester: Requester | None, user_id: str = me["user_id"]) -> bool:
        try:
            return bool(await profiles.profile(requester, UserId(user_id)))
        except Forbidden:
            return False

    friend, stranger = (Requester(UserId(f"@{name}:here.example"), None, 1) for name in ("friend", "stranger"))
    assert await seen(friend)
    assert await seen(Requester(me["user_id"], None, 1))
    assert await seen(replace(stranger, is_admin=True))
    assert not await seen(stranger)
    assert not await seen(None)
    assert not await seen(stranger, "@nobody:here.example")
    assert not await seen(stranger, "@carol:there.example")


async def test_a_silent_server_is_a_bad_gateway(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: Any) -> Any:
        raise PeerError("there.example", "timed out")

    me = await house.user("alice")
    monkeypatch.setattr(house.elsewhere, "query_profile", fails)
    path = "/_matrix/client/v3/profile/@carol:there.example"
    assert (await house.call("GET", path, by=me["access_token"])).status == 502


async def test_federation_gets_one_field_or_all_of_them(house: Any) -> None:
    me = await house.user("alice")
    await put(house, me, "displayname", "Alice")
    ask = house.accounts.profiles.for_federation
    assert await ask(me["user_id"], None) == {"displayname": "Alice"}
    assert await ask(me["user_id"], "displayname") == {"displayname": "Alice"}
    assert await ask(me["user_id"], "m.tz") == {}
    with pytest.raises(NotFound):
        await ask("@nobody:here.example", None)
