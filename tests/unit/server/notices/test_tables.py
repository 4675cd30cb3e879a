from pathlib import Path

from watchword.protocol.ids import RoomId, UserId
from watchword.server.notices import SCHEMA, tables
from watchword.storage import Schema, SqliteDatabase, migrate

ALICE = UserId("@alice:hs")


async def test_a_user_has_one_room_and_the_newest_counts(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "server.db")
    await migrate(database, [Schema("storage", "watchword.storage"), SCHEMA])
    async with database.write() as tx:
        assert await tables.room_of(tx, ALICE) is None
        await tables.save_room(tx, ALICE, RoomId("!one"))
        await tables.save_room(tx, ALICE, RoomId("!two"))
        assert await tables.room_of(tx, ALICE) == "!two"
    await database.close()
