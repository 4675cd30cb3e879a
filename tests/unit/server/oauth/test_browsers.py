"""The cookie of a browser and the session behind it."""

from collections.abc import Callable
from typing import Any

from tests.unit.server.oauth.world import ALICE, SERVER, World
from watchword.edge.request import Request
from watchword.server.oauth.browsers import Visit
from watchword.server.oauth.commands import OAuthSettings


def request(token: str, name: str = "__Host-watchword") -> Request:
    return Request("GET", "/", headers={"cookie": f"other=1; {name}={token}; more=2"})


async def test_the_cookie_is_for_our_host_alone_and_no_script_reads_it(world: World) -> None:
    await world.user()
    visit = await world.visit()
    cookie = world.oauth.browsers.cookie(visit)
    assert cookie == f"__Host-watchword={visit.token}; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=1209600"
    assert "Max-Age" not in world.oauth.browsers.cookie(Visit(visit.token, is_new=True))


async def test_without_tls_the_cookie_is_not_marked_as_secure(worlds: Callable[..., Any]) -> None:
    world: World = await worlds(settings=OAuthSettings(SERVER, "http://127.0.0.1:8008"))
    assert world.oauth.browsers.cookie(Visit("t", is_new=True)) == "watchword=t; Path=/; HttpOnly; SameSite=Lax"


async def test_a_browser_is_known_by_its_cookie_until_it_expires(world: World) -> None:
    await world.user()
    token = (await world.visit()).token
    found = await world.oauth.browsers.visit(request(token))
    assert found.account is not None
    assert (found.account.user_id, found.is_new) == (ALICE, False)
    world.clock.advance(1_209_600_000)
    assert (await world.oauth.browsers.visit(request(token))).account is None
    await world.oauth.browsers.forget_old()
    async with world.database.read() as tx:
        assert await tx.fetch_all("SELECT user_id FROM browser_sessions WHERE expires_ts < ? LIMIT 5", 0) == []


async def test_a_cookie_that_cannot_be_ours_is_replaced(world: World) -> None:
    for token in ("", "short", "é" * 43):
        visit = await world.oauth.browsers.visit(request(token))
        assert (visit.is_new, visit.account) == (True, None)
    assert (await world.oauth.browsers.visit(request("x" * 43, "other"))).is_new


async def test_the_token_is_kept_as_a_hash(world: World) -> None:
    await world.user()
    token = (await world.visit()).token
    async with world.database.read() as tx:
        rows = await tx.fetch_all("SELECT token_hash FROM browser_sessions LIMIT 5")
    assert [len(row[0]) for row in rows] == [32]
    assert token.encode() not in rows[0][0]


async def test_a_locked_or_closed_account_is_signed_in_nowhere(world: World) -> None:
    await world.user()
    token = (await world.visit()).token
    for column in ("is_locked", "is_deactivated"):
        async with world.database.write() as tx:
            await tx.execute(f"UPDATE accounts SET {column} = 1")
        assert (await world.oauth.browsers.visit(request(token))).account is None
        async with world.database.write() as tx:
            await tx.execute(f"UPDATE accounts SET {column} = 0")
    assert (await world.oauth.browsers.visit(request(token))).account is not None


async def test_a_user_has_few_browsers(world: World) -> None:
    await world.user()
    tokens = []
    for _ in range(21):
        tokens.append((await world.visit()).token)
        world.clock.advance(1)
    assert (await world.oauth.browsers.visit(request(tokens[0]))).account is None
    assert (await world.oauth.browsers.visit(request(tokens[-1]))).account is not None
    await world.oauth.browsers.sign_out_everywhere(ALICE)
    assert (await world.oauth.browsers.visit(request(tokens[-1]))).account is None


async def test_a_sign_in_is_fresh_for_ten_minutes(world: World) -> None:
    await world.user()
    visit = await world.visit()
    assert world.oauth.browsers.is_fresh(visit)
    world.clock.advance(600_000)
    assert not world.oauth.browsers.is_fresh(visit)
    assert not world.oauth.browsers.is_fresh(Visit("t", is_new=True))
