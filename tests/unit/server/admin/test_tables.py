"""What is kept of removals and blocks."""

from dataclasses import replace
from pathlib import Path

from watchword.protocol.ids import RoomId, UserId
from watchword.server.admin import SCHEMA, tables
from watchword.server.admin.commands import Removal
from watchword.storage import Schema, SqliteDatabase, migrate

ROOM, OTHER = RoomId("!room:here.example"), RoomId("!other:here.example")
ROOT, ALICE = UserId("@root:here.example"), UserId("@alice:here.example")


async def test_removals_are_kept_as_they_go(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "admin.db")
    await migrate(database, [Schema("storage", "watchword.storage"), SCHEMA])
    first = Removal("one", ROOM, ROOT, 1, True, "spam")
    second = Removal("two", ROOM, ROOT, 2, False, "")
    async with database.write() as tx:
        for removal in (second, first):
            await tables.save_removal(tx, removal)
        assert await tables.open_removals(tx, 10) == [first, second]
        ended = replace(first, stage="done", left=(ALICE,), failed=(ROOT,), aliases=("#a:here.example",), ended_ts=5)
        await tables.save_removal(tx, ended)
        assert await tables.removal(tx, "one") == ended
        assert await tables.removal(tx, "three") is None
        assert await tables.open_removals(tx, 10) == [second]
        assert await tables.removals_of(tx, ROOM, 10) == [second, ended]
        assert await tables.removals_of(tx, OTHER, 10) == []
    await database.close()


async def test_who_blocked_first_stays(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "admin.db")
    await migrate(database, [Schema("storage", "watchword.storage"), SCHEMA])
    async with database.write() as tx:
        await tables.block(tx, ROOM, ROOT, 1)
        await tables.block(tx, ROOM, ALICE, 2)
        assert await tables.blocked_by(tx, ROOM) == ROOT
        assert await tables.blocked_rooms(tx, 10) == [ROOM]
        await tables.unblock(tx, ROOM)
        assert await tables.blocked_by(tx, ROOM) is None
    await database.close()
