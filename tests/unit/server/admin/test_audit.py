"""The audit log."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from watchword.base import limits
from watchword.base.clock import ManualClock
from watchword.base.errors import Forbidden
from watchword.edge.auditing import Deed
from watchword.protocol.ids import UserId
from watchword.server.admin import SCHEMA
from watchword.server.admin.audit import AuditLog
from watchword.server.admin.commands import AuditQuery
from watchword.storage import Schema, SqliteDatabase, migrate

ROOT = UserId("@root:here.example")
ALICE = "@alice:here.example"
DEED = Deed(ROOT, "user.lock", ALICE, "192.0.2.1")
DAY_MS = 86_400_000


class Book:
    """An audit log on a database, with a table beside it."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database
        self.clock = ManualClock()
        self.log = AuditLog(database, self.clock, 30 * DAY_MS)

    async def all(self, **query: Any) -> list[tuple[str, str, str]]:
        return [(entry.action, entry.whom, entry.outcome) for entry in await self.log.page(AuditQuery(**query))]


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[Book]:
    database = SqliteDatabase(tmp_path / "audit.db")
    await migrate(database, [Schema("storage", "watchword.storage"), SCHEMA])
    yield Book(database)
    await database.close()


async def test_an_act_is_written_with_its_effect_and_once(book: Book) -> None:
    async with book.log.act(DEED) as entry:
        entry.add(locked=True, reason="x" * 1_000, nothing=None)
        async with book.database.write() as tx:
            await entry(tx)
    (found,) = await book.log.page(AuditQuery())
    assert (found.by, found.action, found.whom, found.outcome, found.address) == (*_said(DEED), "done", "192.0.2.1")
    assert found.ts == book.clock.now_ms()
    assert found.details == {"locked": True, "reason": "x" * limits.audit_text_characters_max, "nothing": None}


def _said(deed: Deed) -> tuple[UserId | None, str, str]:
    return deed.by, deed.action, deed.whom


async def test_an_act_without_a_transaction_is_written_at_its_end(book: Book) -> None:
    async with book.log.act(DEED) as entry:
        assert await book.all() == []
        entry.about("@bob:here.example")
    assert await book.all() == [("user.lock", "@bob:here.example", "done")]


async def test_a_refused_act_is_written_as_such_and_its_effect_is_not(book: Book) -> None:
    async def refused() -> None:
        async with book.log.act(DEED) as entry, book.database.write() as tx:
            await entry(tx)
            raise Forbidden("No.")

    with pytest.raises(Forbidden):
        await refused()
    assert await book.all() == [("user.lock", ALICE, "M_FORBIDDEN")]


async def test_a_broken_act_is_written_as_such(book: Book) -> None:
    with pytest.raises(ZeroDivisionError):
        async with book.log.act(DEED):
            raise ZeroDivisionError
    assert await book.all() == [("user.lock", ALICE, "M_UNKNOWN")]


async def test_the_operator_at_the_machine_has_no_name(book: Book) -> None:
    async with book.log.act(Deed(None, "invitation.create")):
        pass
    assert (await book.log.page(AuditQuery()))[0].by is None


async def test_an_entry_that_nobody_writes_is_not_kept(book: Book) -> None:
    entry = book.log.entry(DEED)
    assert await book.all() == []
    async with book.database.write() as tx:
        await entry(tx)
    assert len(await book.all()) == 1


async def test_looking_is_written_once_an_hour_for_each_who_and_whom(book: Book) -> None:
    look = Deed(ROOT, "user.show", ALICE, "192.0.2.1")
    for _ in range(3):
        await book.log.read(look)
    assert len(await book.all()) == 1
    await book.log.read(Deed(ROOT, "user.show", ALICE, "192.0.2.2"))
    assert len(await book.all()) == 2
    book.clock.advance(limits.audit_reads_again_ms)
    await book.log.read(look)
    assert len(await book.all()) == 3


async def test_what_was_seen_is_remembered_in_bounds(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "audit_reads_remembered_max", 2)
    for name in ("a", "b", "c", "a"):
        await book.log.read(Deed(ROOT, "user.show", name))
    assert [whom for _, whom, _ in await book.all()] == ["a", "c", "b", "a"]


async def test_entries_are_found_by_who_what_and_whom_in_pages(book: Book) -> None:
    for action, whom in (("user.lock", "a"), ("user.show", "b"), ("users", "a"), ("room.block", "a")):
        async with book.log.act(Deed(ROOT, action, whom)):
            pass
    assert [action for action, _, _ in await book.all(whom="a")] == ["room.block", "users", "user.lock"]
    assert [action for action, _, _ in await book.all(action="user")] == ["user.show", "user.lock"]
    assert [action for action, _, _ in await book.all(action="user.lock")] == ["user.lock"]
    assert await book.all(by=UserId("@other:here.example")) == []
    page = await book.log.page(AuditQuery(limit=2))
    assert [entry.action for entry in await book.log.page(AuditQuery(before=page[-1].entry_id))] == ["user.show", "user.lock"]


async def test_old_entries_are_dropped(book: Book) -> None:
    async with book.log.act(DEED):
        pass
    book.clock.advance(29 * DAY_MS)
    async with book.log.act(DEED):
        pass
    assert await book.log.sweep() == 0
    book.clock.advance(2 * DAY_MS)
    assert await book.log.sweep() == 1
    assert len(await book.all()) == 1


async def test_text_that_is_no_text_is_kept_readable(book: Book) -> None:
    async with book.log.act(Deed(ROOT, "user.lock", "\ud800")):
        pass
    assert await book.all() == [("user.lock", "?", "done")]
