"""What is particular to SQLite: group commit, the disk that fills up, files that survive."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from watchword.base import limits
from watchword.base.errors import StorageError
from watchword.storage import Log, Schema, SqliteDatabase, migrate


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = SqliteDatabase(tmp_path / "server.db")
    await migrate(opened, (Schema("storage", "watchword.storage"),))
    async with opened.write() as tx:
        await tx.execute("CREATE TABLE blobs (id INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT")
    yield opened
    await opened.close()


def writer_of(database: SqliteDatabase) -> apsw.Connection:
    """The connection that writes: to watch it, and to take the disk away from it."""
    return database._writer


@pytest.fixture
def commits(database: SqliteDatabase) -> Iterator[list[None]]:
    """Grows by one with each COMMIT that reaches the disk."""
    seen: list[None] = []

    def hook() -> bool:
        seen.append(None)
        return False

    writer_of(database).set_commit_hook(hook)
    yield seen
    writer_of(database).set_commit_hook(None)


async def write(database: SqliteDatabase, number: int, size: int = 10) -> None:
    async with database.write() as tx:
        await tx.execute("INSERT INTO blobs (id, content) VALUES (?, ?)", number, b"x" * size)


async def ids(database: SqliteDatabase) -> list[int]:
    async with database.read() as tx:
        return [row[0] for row in await tx.fetch_all("SELECT id FROM blobs ORDER BY id")]


def fill(database: SqliteDatabase, spare_pages: int = 2) -> int:
    """Let the file not grow; gives the bound to restore."""
    connection = writer_of(database)
    before: Any = connection.pragma("max_page_count")
    count: Any = connection.pragma("page_count")
    connection.pragma("max_page_count", count + spare_pages)
    return int(before)


async def test_many_writers_share_few_commits(database: SqliteDatabase, commits: list[None]) -> None:
    await asyncio.gather(*(write(database, number) for number in range(300)))
    assert len(commits) <= 3
    assert await ids(database) == list(range(300))


async def test_a_batch_is_bounded(database: SqliteDatabase, commits: list[None]) -> None:
    await asyncio.gather(*(write(database, number) for number in range(2 * limits.write_batch_transactions_max)))
    assert 2 <= len(commits) <= 4


async def test_a_writer_alone_does_not_wait_for_others(database: SqliteDatabase, commits: list[None]) -> None:
    for number in range(3):
        await write(database, number)
    assert len(commits) == 3


async def test_too_many_waiting_writers_are_refused(database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "write_queue_max", 3)
    async with database.write():
        waiting = [asyncio.ensure_future(write(database, number)) for number in range(8)]
        await asyncio.sleep(0)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(isinstance(result, StorageError) for result in results) == 5
    assert await ids(database) == [0, 1, 2]


async def test_a_full_disk_refuses_and_recovers(database: SqliteDatabase) -> None:
    await write(database, 1)
    bound = fill(database)
    with pytest.raises(StorageError):
        await write(database, 2, 1_000_000)
    assert await ids(database) == [1]
    await write(database, 3)
    writer_of(database).pragma("max_page_count", bound)
    await write(database, 4, 1_000_000)
    assert await ids(database) == [1, 3, 4]


@pytest.mark.parametrize("position", [0, 1, 5, 9])
async def test_a_disk_that_fills_up_within_a_batch_lies_to_nobody(database: SqliteDatabase, position: int) -> None:
    """Whoever was told that his transaction is durable finds it, and whoever was refused does not."""
    log: Log[str] = Log(database, str.encode, bytes.decode)
    await log.start()
    bound = fill(database)

    async def one(number: int) -> None:
        async with database.write() as tx:
            await log.append(tx, str(number))
            await tx.execute(
                "INSERT INTO blobs (id, content) VALUES (?, ?)", number, b"x" * (1_000_000 if number == position else 10)
            )

    results = await asyncio.gather(*(one(number) for number in range(10)), return_exceptions=True)
    assert isinstance(results[position], StorageError)
    assert all(result is None or isinstance(result, StorageError) for result in results)
    kept = [number for number, result in enumerate(results) if result is None]
    assert await ids(database) == kept
    assert [(position, change) for position, change in await log.read(log.ring_floor, 100)] == [
        (at, str(number)) for at, number in enumerate(kept, 1)
    ]
    writer_of(database).pragma("max_page_count", bound)
    for number in range(20, 25):
        await one(number)
    assert await ids(database) == [*kept, *range(20, 25)]
    assert log.position == len(kept) + 5


async def test_a_commit_that_fails_is_told_to_every_member_of_the_batch(database: SqliteDatabase) -> None:
    told: list[int] = []

    async def one(number: int) -> None:
        async with database.write() as tx:
            tx.after_commit(lambda: told.append(number))
            tx.after_failure(lambda: told.append(-number))
            await tx.execute("INSERT INTO blobs (id, content) VALUES (?, x'00')", number)

    writer_of(database).set_commit_hook(lambda: True)  # A commit hook that answers True turns the COMMIT into a failure.
    results = await asyncio.gather(*(one(number) for number in range(1, 6)), return_exceptions=True)
    assert all(isinstance(result, StorageError) for result in results)
    assert told == [-1, -2, -3, -4, -5]
    writer_of(database).set_commit_hook(None)
    await one(6)
    assert await ids(database) == [6]


async def test_a_storage_error_carries_its_cause_and_not_its_text(database: SqliteDatabase) -> None:
    with pytest.raises(StorageError) as caught:
        async with database.write() as tx:
            await tx.execute("INSERT INTO blobs (id, content) VALUES (?, ?)", 1, None)
    assert isinstance(caught.value.__cause__, apsw.Error)
    assert "blobs" not in str(caught.value)


async def test_readers_are_kept_and_reused_within_a_bound(database: SqliteDatabase) -> None:
    together = asyncio.Barrier(20)

    async def look() -> None:
        async with database.read() as tx:
            await tx.fetch_one("SELECT 1")
            await together.wait()

    await asyncio.gather(*(look() for _ in range(20)))
    assert len(database._readers) <= 8
    assert await ids(database) == []


async def test_a_reader_whose_block_fails_can_be_used_again(database: SqliteDatabase) -> None:
    with pytest.raises(KeyError):
        async with database.read():
            raise KeyError
    assert await ids(database) == []


async def test_what_was_durable_is_there_after_opening_again(tmp_path: Path) -> None:
    first = SqliteDatabase(tmp_path / "again.db")
    await migrate(first, (Schema("storage", "watchword.storage"),))
    async with first.write() as tx:
        await tx.execute("INSERT INTO names (name) VALUES ('one')")
    await first.close()
    second = SqliteDatabase(tmp_path / "again.db")
    async with second.read() as view:
        assert await view.fetch_one("SELECT name FROM names") == ("one",)
    await second.close()


async def test_a_database_that_nobody_else_writes_to_is_opened_for_durability(database: SqliteDatabase) -> None:
    connection = writer_of(database)
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("synchronous") == 2


@pytest.mark.parametrize(
    "content", [b"this is no database, it only looks like a file" * 100, None], ids=["another file", "a folder"]
)
def test_what_is_no_database_cannot_be_opened(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "server.db"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(StorageError, match=r"server\.db cannot be opened"):
        SqliteDatabase(path)
