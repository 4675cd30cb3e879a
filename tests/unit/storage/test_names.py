"""Numbers for names: given once, cached only when durable."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from watchword.storage import Schema, SqliteDatabase, migrate
from watchword.storage.names import Names


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = SqliteDatabase(tmp_path / "server.db")
    await migrate(opened, (Schema("storage", "watchword.storage"),))
    yield opened
    await opened.close()


async def test_a_name_keeps_its_number(database: SqliteDatabase) -> None:
    names = Names()
    async with database.write() as tx:
        one, two = await names.number(tx, "one"), await names.number(tx, "two")
        assert one != two
        assert await names.number(tx, "one") == one
    async with database.write() as tx:
        assert await names.numbers(tx, ["two", "one"]) == {"one": one, "two": two}
        assert await Names().number(tx, "one") == one
    async with database.read() as view:
        assert await names.find(view, "one") == await Names().find(view, "one") == one
        assert await names.find(view, "three") is None


async def test_a_number_that_was_rolled_back_is_not_remembered(database: SqliteDatabase) -> None:
    names = Names()
    with pytest.raises(KeyError):  # noqa: PT012
        async with database.write() as tx:
            await names.number(tx, "lost")
            raise KeyError
    async with database.write() as tx:
        other = await names.number(tx, "other")
        lost = await names.number(tx, "lost")
    assert lost != other
    async with database.read() as view:
        assert await view.fetch_all("SELECT id, name FROM names ORDER BY id") == [(other, "other"), (lost, "lost")]
        assert await names.find(view, "lost") == lost


async def test_a_number_found_in_a_transaction_that_fails_is_not_remembered(database: SqliteDatabase) -> None:
    names = Names()
    async with database.write(wait=False) as first:
        given = await names.number(first, "shared")
    with pytest.raises(KeyError):  # noqa: PT012
        async with database.write() as tx:
            assert await names.number(tx, "shared") == given
            raise KeyError
    await first.durable()
    async with database.read() as view:
        assert await names.find(view, "shared") == given


async def test_the_memory_of_names_is_bounded(database: SqliteDatabase) -> None:
    names = Names(names_max=3)
    async with database.write() as tx:
        given = await names.numbers(tx, [f"name {number}" for number in range(20)])
    async with database.read() as view:
        for name, number in given.items():
            assert await names.find(view, name) == number
