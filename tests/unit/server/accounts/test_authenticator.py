"""Who owns a token."""

import asyncio
from typing import Any

import pytest

from watchword.base.errors import Unauthenticated
from watchword.edge.request import Request

WHOAMI = "/_matrix/client/v3/account/whoami"


async def test_the_requester_is_the_same_object_while_nothing_changes(house: Any) -> None:
    token = (await house.user("alice", admin=True))["access_token"]
    ask = house.accounts.authenticator.client
    first = await ask(Request("GET", "/"), token, allow_locked=False)
    assert first is await ask(Request("GET", "/"), token, allow_locked=False)
    assert first.is_admin
    assert not first.is_guest


async def test_token_ids_tell_sessions_apart_and_survive_a_refresh(house: Any) -> None:
    one = await house.user("alice", refresh_token=True)
    two = await house.login("alice")
    ask = house.accounts.authenticator.client
    first = await ask(Request("GET", "/"), one["access_token"], allow_locked=False)
    second = await ask(Request("GET", "/"), two["access_token"], allow_locked=False)
    assert first.token_id != second.token_id
    body = (await house.call("POST", "/_matrix/client/v3/refresh", {"refresh_token": one["refresh_token"]})).body
    again = await ask(Request("GET", "/"), body["access_token"], allow_locked=False)
    assert again.token_id == first.token_id


@pytest.mark.parametrize("token", ["", "unknown", "x" * 10_000, "\ud800", "é"])
async def test_tokens_that_are_none_are_unknown(house: Any, token: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await house.accounts.authenticator.client(Request("GET", "/"), token, allow_locked=False)
    assert caught.value.errcode == "M_UNKNOWN_TOKEN"


async def test_many_first_uses_of_a_fresh_token_at_once_all_succeed(house: Any) -> None:
    old = await house.user("alice", refresh_token=True)
    new = (await house.call("POST", "/_matrix/client/v3/refresh", {"refresh_token": old["refresh_token"]})).body
    answers = await asyncio.gather(*(house.call("GET", WHOAMI, by=new["access_token"]) for _ in range(10)))
    assert {answer.status for answer in answers} == {200}


async def test_a_logout_during_requests_leaves_no_token_behind(house: Any) -> None:
    token = (await house.user("alice"))["access_token"]
    logout = house.call("POST", "/_matrix/client/v3/logout", {}, by=token)
    await asyncio.gather(logout, *(house.call("GET", WHOAMI, by=token) for _ in range(10)))
    assert (await house.call("GET", WHOAMI, by=token)).status == 401


async def test_the_token_may_stand_in_the_query(house: Any) -> None:
    token = (await house.user("alice"))["access_token"]
    assert (await house.call("GET", WHOAMI, access_token=token)).status == 200


async def test_masquerading_outside_the_namespace_is_refused(house: Any) -> None:
    inside = await house.call("GET", WHOAMI, by="as_token", user_id="@bridge_x:here.example")
    assert inside.body["user_id"] == "@bridge_x:here.example"
    outside = await house.call("GET", WHOAMI, by="as_token", user_id="@alice:here.example")
    assert (outside.status, outside.body["errcode"]) == (403, "M_EXCLUSIVE")
