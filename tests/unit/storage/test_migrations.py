"""Migrations go forward, once each, file by file."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from watchword.base.errors import StorageError
from watchword.storage import Schema, SqliteDatabase, migrate

FEATURE = Schema("feature", "made_up_feature")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The schema folder of a feature that exists for one test."""
    package = tmp_path / "packages" / FEATURE.package
    (package / "schema").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path / "packages")
    yield package / "schema"
    sys.modules.pop(FEATURE.package, None)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = SqliteDatabase(tmp_path / "server.db")
    yield opened
    await opened.close()


async def tables(database: SqliteDatabase) -> list[str]:
    async with database.read() as tx:
        rows = await tx.fetch_all("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'migrations' ORDER BY name")
    return [row[0] for row in rows]


def make(folder: Path, name: str, *statements: str) -> None:
    (folder / name).write_text("".join(f"{statement};\n" for statement in statements))


async def test_files_are_applied_in_the_order_of_their_numbers_and_once(folder: Path, database: SqliteDatabase) -> None:
    make(folder, "0002_more.sql", "INSERT INTO first (id) VALUES (1)")
    make(folder, "0001_begin.sql", "-- Why.\nCREATE TABLE first (\n    id INTEGER PRIMARY KEY\n) STRICT")
    assert await migrate(database, (FEATURE,)) == 2
    assert await migrate(database, (FEATURE,)) == 0
    make(folder, "0003_later.sql", "CREATE TABLE second (id INTEGER PRIMARY KEY) STRICT", "INSERT INTO second (id) VALUES (2)")
    assert await migrate(database, (FEATURE,)) == 1
    assert await tables(database) == ["first", "second"]
    async with database.read() as tx:
        assert await tx.fetch_all("SELECT id FROM first UNION ALL SELECT id FROM second") == [(1,), (2,)]


async def test_a_file_that_fails_leaves_nothing_behind_and_stops_there(folder: Path, database: SqliteDatabase) -> None:
    make(folder, "0001_begin.sql", "CREATE TABLE first (id INTEGER PRIMARY KEY) STRICT")
    make(folder, "0002_bad.sql", "CREATE TABLE half (id INTEGER PRIMARY KEY) STRICT", "CREATE NONSENSE")
    make(folder, "0003_after.sql", "CREATE TABLE after (id INTEGER PRIMARY KEY) STRICT")
    with pytest.raises(StorageError):
        await migrate(database, (FEATURE,))
    assert await tables(database) == ["first"]
    make(folder, "0002_bad.sql", "CREATE TABLE whole (id INTEGER PRIMARY KEY) STRICT")
    assert await migrate(database, (FEATURE,)) == 2
    assert await tables(database) == ["after", "first", "whole"]


async def test_a_database_of_a_newer_version_is_refused(folder: Path, database: SqliteDatabase) -> None:
    make(folder, "0001_begin.sql", "CREATE TABLE first (id INTEGER PRIMARY KEY) STRICT")
    make(folder, "0002_newer.sql", "CREATE TABLE second (id INTEGER PRIMARY KEY) STRICT")
    await migrate(database, (FEATURE,))
    (folder / "0002_newer.sql").unlink()
    with pytest.raises(StorageError, match="migration 2 of feature"):
        await migrate(database, (FEATURE,))


async def test_features_count_by_themselves(folder: Path, database: SqliteDatabase) -> None:
    make(folder, "0001_begin.sql", "CREATE TABLE first (id INTEGER PRIMARY KEY) STRICT")
    assert await migrate(database, (Schema("storage", "watchword.storage"), FEATURE)) >= 2
    assert {"first", "log", "names", "cursors"} <= set(await tables(database))
