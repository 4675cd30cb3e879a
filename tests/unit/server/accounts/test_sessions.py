"""Refresh tokens: when the old one goes, and what its return means."""

import asyncio
from typing import Any

V3 = "/_matrix/client/v3"
WHOAMI = f"{V3}/account/whoami"
REFRESH = f"{V3}/refresh"


async def refreshed(house: Any, refresh_token: str) -> Any:
    return await house.call("POST", REFRESH, {"refresh_token": refresh_token})


async def status(house: Any, token: str) -> int:
    found: int = (await house.call("GET", WHOAMI, by=token)).status
    return found


async def test_the_old_refresh_token_is_good_until_the_new_access_token_is_used(house: Any) -> None:
    old = await house.user("alice", refresh_token=True)
    lost = (await refreshed(house, old["refresh_token"])).body
    assert await status(house, old["access_token"]) == 200
    new = (await refreshed(house, old["refresh_token"])).body
    assert await status(house, lost["access_token"]) == 401
    assert await status(house, new["access_token"]) == 200
    answer = await house.call("GET", WHOAMI, by=old["access_token"])
    assert (answer.status, answer.body["soft_logout"]) == (401, True)


async def test_using_the_new_refresh_token_also_ends_the_old_pair(house: Any) -> None:
    old = await house.user("alice", refresh_token=True)
    second = (await refreshed(house, old["refresh_token"])).body
    third = (await refreshed(house, second["refresh_token"])).body
    assert await status(house, old["access_token"]) == 401
    assert await status(house, second["access_token"]) == 200
    assert await status(house, third["access_token"]) == 200


async def test_an_invalidated_refresh_token_that_comes_back_ends_the_session(house: Any) -> None:
    old = await house.user("alice", refresh_token=True)
    bystander = await house.login("alice")
    new = (await refreshed(house, old["refresh_token"])).body
    assert await status(house, new["access_token"]) == 200
    answer = await refreshed(house, old["refresh_token"])
    assert (answer.status, answer.body["errcode"]) == (401, "M_UNKNOWN_TOKEN")
    assert await status(house, new["access_token"]) == 401
    assert (await refreshed(house, new["refresh_token"])).status == 401
    assert await status(house, bystander["access_token"]) == 200


async def test_an_expired_access_token_is_a_soft_logout_and_can_be_refreshed(house: Any) -> None:
    body = await house.user("alice", refresh_token=True)
    assert await status(house, body["access_token"]) == 200
    house.clock.advance(body["expires_in_ms"])
    answer = await house.call("GET", WHOAMI, by=body["access_token"])
    assert (answer.body["errcode"], answer.body["soft_logout"]) == ("M_UNKNOWN_TOKEN", True)
    new = (await refreshed(house, body["refresh_token"])).body
    assert await status(house, new["access_token"]) == 200


async def test_a_new_access_token_that_expired_unused_leaves_the_old_refresh_token_good(house: Any) -> None:
    body = await house.user("alice", refresh_token=True)
    new = (await refreshed(house, body["refresh_token"])).body
    house.clock.advance(body["expires_in_ms"])
    answer = await house.call("GET", WHOAMI, by=new["access_token"])
    assert (answer.status, answer.body["soft_logout"]) == (401, True)
    assert (await refreshed(house, body["refresh_token"])).status == 200


async def test_unknown_and_malformed_refresh_tokens_are_refused(house: Any) -> None:
    body = await house.user("alice", refresh_token=True)
    for token in ("unknown", "", body["access_token"], "x" * 100_000):
        answer = await refreshed(house, token)
        assert (answer.status, answer.body["errcode"]) == (401, "M_UNKNOWN_TOKEN")
    assert (await house.call("POST", REFRESH, {})).body["errcode"] == "M_MISSING_PARAM"
    assert (await house.call("POST", REFRESH, {"refresh_token": 5})).body["errcode"] == "M_BAD_JSON"


async def test_a_refresh_token_is_no_access_token(house: Any) -> None:
    body = await house.user("alice", refresh_token=True)
    assert await status(house, body["refresh_token"]) == 401


async def test_concurrent_refreshes_leave_one_successor(house: Any) -> None:
    body = await house.user("alice", refresh_token=True)
    answers = await asyncio.gather(*(refreshed(house, body["refresh_token"]) for _ in range(5)))
    assert [answer.status for answer in answers] == [200] * 5
    assert sorted([await status(house, answer.body["access_token"]) for answer in answers]) == [200, 401, 401, 401, 401]


async def test_a_long_chain_keeps_few_rows_and_still_knows_a_recent_theft(house: Any) -> None:
    token = (await house.user("alice", refresh_token=True))["refresh_token"]
    chain = [token]
    for _ in range(40):
        chain.append((await refreshed(house, chain[-1])).body["refresh_token"])
    async with house.database.read() as tx:
        row = await tx.fetch_one("SELECT COUNT(*) FROM token_pairs")
    assert row[0] <= 25
    assert (await refreshed(house, chain[-5])).status == 401
    assert (await refreshed(house, chain[-1])).status == 401


async def test_a_locked_account_cannot_refresh(house: Any) -> None:
    admin = await house.user("root", admin=True)
    body = await house.user("alice", refresh_token=True)
    await house.call("PUT", "/_matrix/client/v1/admin/lock/@alice:here.example", {"locked": True}, by=admin["access_token"])
    answer = await refreshed(house, body["refresh_token"])
    assert (answer.status, answer.body["errcode"], answer.body["soft_logout"]) == (401, "M_USER_LOCKED", True)


async def test_sessions_that_cannot_refresh_may_have_an_end(houses: Any) -> None:
    house = await houses(session_lifetime_ms=60_000)
    body = await house.user("alice")
    assert body["expires_in_ms"] == 60_000
    house.clock.advance(60_000)
    assert await status(house, body["access_token"]) == 401


async def test_tokens_are_stored_hashed(house: Any) -> None:
    body = await house.user("alice", refresh_token=True)
    async with house.database.read() as tx:
        rows = await tx.fetch_all("SELECT access_hash, refresh_hash FROM token_pairs")
    for stored in rows[0]:
        assert isinstance(stored, bytes)
        assert body["access_token"].encode() not in stored
