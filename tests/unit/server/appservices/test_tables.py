from pathlib import Path

import pytest

from watchword.protocol.ids import DeviceId, UserId
from watchword.server.appservices import SCHEMA, tables
from watchword.server.appservices.commands import Letter
from watchword.storage import Position, Schema, SqliteDatabase, migrate


@pytest.fixture
async def database(tmp_path: Path):  # type: ignore[no-untyped-def]
    made = SqliteDatabase(tmp_path / "server.db")
    await migrate(made, [Schema("storage", "watchword.storage"), SCHEMA])
    yield made
    await made.close()


async def test_numbers_are_never_used_twice(database: SqliteDatabase) -> None:
    letter = Letter(UserId("@a:b"), DeviceId("D"), Position(7))
    async with database.write() as tx:
        first = await tables.begin(tx, "irc", b"1", (letter,), 5)
        assert await tables.pending(tx, "irc") == first
        assert (first.txn_id, first.body, first.letters, first.made_ts) == (1, b"1", (letter,), 5)
        await tables.taken(tx, "irc")
        assert await tables.pending(tx, "irc") is None
        second = await tables.begin(tx, "irc", b"2", (), 6)
        assert (second.txn_id, second.letters) == (2, ())
        assert await tables.pending(tx, "other") is None
