"""What a list of accounts can be asked for."""

from typing import Any

import pytest

from watchword.server.accounts import listing_tables
from watchword.server.accounts.commands import AccountQuery


async def _names(house: Any, **query: Any) -> list[str]:
    async with house.database.read() as tx:
        found = await listing_tables.accounts(tx, AccountQuery(**query))
        assert await listing_tables.count(tx, AccountQuery(**query)) >= len(found)
    return [listed.user_id.partition(":")[0] for listed in found]


@pytest.fixture
async def people(house: Any) -> Any:
    await house.user("root", admin=True)
    for name in ("alice", "bob"):
        await house.user(name)
    await house.accounts.profiles.store_field("@bob:here.example", "displayname", "The Alicorn")
    return house


async def test_names_and_display_names_are_searched_whatever_their_case(people: Any) -> None:
    assert await _names(people, name="ALI") == ["@alice", "@bob"]
    assert await _names(people, user_id="ALI") == ["@alice"]
    assert await _names(people, name="here.example") == []
    assert await _names(people, name="%") == []


async def test_flags_choose(people: Any) -> None:
    assert await _names(people, admins=True) == ["@root"]
    assert await _names(people, admins=False, guests=False, deactivated=False, locked=False, suspended=False) == [
        "@alice",
        "@bob",
    ]


@pytest.mark.parametrize("order", listing_tables.ORDERS)
async def test_every_order_is_one(people: Any, order: str) -> None:
    forwards = await _names(people, order_by=order)
    assert sorted(forwards) == ["@alice", "@bob", "@root"]
    assert sorted(await _names(people, order_by=order, backwards=True)) == ["@alice", "@bob", "@root"]


async def test_pages_follow_each_other(people: Any) -> None:
    assert await _names(people, limit=2) == ["@alice", "@bob"]
    assert await _names(people, limit=2, start=2) == ["@root"]
    assert await _names(people, backwards=True, limit=1) == ["@root"]
