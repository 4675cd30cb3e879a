"""The rows of a store as SQL keeps them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from watchword.client import tables
from watchword.client.store import SCHEMA
from watchword.storage import SqliteDatabase, migrate


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    database = SqliteDatabase(tmp_path / "d")
    await migrate(database, [SCHEMA])
    yield database
    await database.close()


async def test_rows_are_added_replaced_and_removed(database: SqliteDatabase) -> None:
    async with database.write() as tx:
        await tables.put_records(tx, [(b"a", b"1"), (b"b", b"2")])
        await tables.put_records(tx, [(b"a", b"3")])
        await tables.remove_records(tx, [b"b", b"never"])
    async with database.read() as view:
        assert await tables.records(view) == [(b"a", b"3")]
    async with database.write() as tx:
        await tables.remove_all(tx)
    async with database.read() as view:
        assert await tables.records(view) == []


async def test_a_store_has_one_lock(database: SqliteDatabase) -> None:
    async with database.read() as view:
        assert await tables.lock(view) is None
    async with database.write() as tx:
        await tables.add_lock(tx, b"salt", b"probe")
    async with database.read() as view:
        assert await tables.lock(view) == (b"salt", b"probe")
