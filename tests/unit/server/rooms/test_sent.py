"""Which device sent which event under which transaction ID."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, SCHEMAS
from watchword.protocol.ids import EventId
from watchword.server.rooms.commands import Transaction
from watchword.server.rooms.sent import REMEMBERED_MS, SentTransactions
from watchword.storage import Database, SqliteDatabase, migrate
from watchword.storage.names import Names

NOW_MS = 1_700_000_000_000
FIRST = Transaction(ALICE, "PHONE", "send/!r/m.room.message", "t1")
ONE, TWO = EventId("$one"), EventId("$two")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = SqliteDatabase(tmp_path / "sent.db")
    await migrate(opened, SCHEMAS)
    yield opened
    await opened.close()


def memory(database: Database) -> SentTransactions:
    return SentTransactions(database, Names())


async def record(sent: SentTransactions, database: Database, transaction: Transaction, event_id: EventId) -> EventId:
    async with database.write() as tx:
        return await sent.record(tx, transaction, event_id, NOW_MS)


async def test_a_new_transaction_makes_its_event(database: Database) -> None:
    assert await record(memory(database), database, FIRST, ONE) == ONE


async def test_a_repeated_transaction_gives_the_earlier_event(database: Database) -> None:
    sent = memory(database)
    await record(sent, database, FIRST, ONE)
    assert await record(sent, database, FIRST, TWO) == ONE


async def test_a_repeated_transaction_gives_the_earlier_event_though_memory_forgot_it(database: Database) -> None:
    await record(memory(database), database, FIRST, ONE)
    assert await record(memory(database), database, FIRST, TWO) == ONE


@pytest.mark.parametrize(
    "other",
    [
        Transaction(BOB, "PHONE", FIRST.endpoint, "t1"),
        Transaction(ALICE, "LAPTOP", FIRST.endpoint, "t1"),
        Transaction(ALICE, "PHONE", "send/!other/m.room.message", "t1"),
        Transaction(ALICE, "PHONE", FIRST.endpoint, "t2"),
    ],
)
async def test_a_transaction_that_differs_in_anything_is_another(database: Database, other: Transaction) -> None:
    sent = memory(database)
    await record(sent, database, FIRST, ONE)
    assert await record(sent, database, other, TWO) == TWO


async def test_a_transaction_is_at_hand_before_its_commit(database: Database) -> None:
    sent = memory(database)
    async with database.write() as tx:
        await sent.record(tx, FIRST, ONE, NOW_MS)
        assert sent.recent(FIRST) == ONE


async def test_a_transaction_that_failed_is_forgotten(database: Database) -> None:
    sent = memory(database)
    with suppress(RuntimeError):
        async with database.write() as tx:
            await sent.record(tx, FIRST, ONE, NOW_MS)
            raise RuntimeError
    assert (sent.recent(FIRST), sent.of(ONE)) == (None, None)
    assert await record(sent, database, FIRST, TWO) == TWO


async def test_an_event_knows_its_transaction(database: Database) -> None:
    sent = memory(database)
    await record(sent, database, FIRST, ONE)
    assert sent.of(ONE) == FIRST
    assert sent.of(TWO) is None


async def test_after_a_restart_the_transactions_of_the_last_day_are_at_hand(database: Database) -> None:
    await record(memory(database), database, FIRST, ONE)
    again = memory(database)
    await again.start(NOW_MS + REMEMBERED_MS - 1)
    assert (again.recent(FIRST), again.of(ONE)) == (ONE, FIRST)


async def test_after_a_restart_older_transactions_are_not_at_hand(database: Database) -> None:
    await record(memory(database), database, FIRST, ONE)
    again = memory(database)
    await again.start(NOW_MS + REMEMBERED_MS)
    assert again.recent(FIRST) is None
