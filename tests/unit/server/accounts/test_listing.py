"""Lists of accounts."""

from typing import Any

import pytest

from watchword.base.errors import BadRequest
from watchword.server.accounts.commands import AccountQuery
from watchword.server.accounts.listing import AccountCounts, shown_text


async def test_a_page_says_how_many_there_are_in_all(house: Any) -> None:
    for name in ("alice", "bob"):
        await house.user(name)
    page, total = await house.accounts.listing.page(AccountQuery(limit=1))
    assert ([listed.user_id for listed in page], total) == (["@alice:here.example"], 2)


async def test_an_unknown_order_is_refused(house: Any) -> None:
    with pytest.raises(BadRequest):
        await house.accounts.listing.page(AccountQuery(order_by="password_hash"))


async def test_users_are_counted_by_kind_and_by_when_they_were_seen(houses: Any) -> None:
    house = await houses(guests=True)
    me = (await house.user("alice"))["access_token"]
    await house.user("bob")
    await house.call("POST", "/_matrix/client/v3/register", {}, kind="guest")
    await house.accounts.admin.deactivate("@bob:here.example", erase=False)
    await house.call("GET", "/_matrix/client/v3/account/whoami", by=me)
    await house.accounts.last_seen.save()
    assert await house.accounts.listing.counts() == AccountCounts(1, 1, 1, 1, 1)
    house.clock.advance(2 * 86_400_000)
    assert await house.accounts.listing.counts() == AccountCounts(1, 1, 1, 0, 1)


def test_only_text_is_shown() -> None:
    assert [shown_text(each) for each in ('"Alice"', "null", "7", "")] == ["Alice", None, None, None]
