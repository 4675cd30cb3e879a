from pathlib import Path

from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.moderation import SCHEMA, tables
from watchword.server.moderation.commands import Kind, NewReport
from watchword.storage import Schema, SqliteDatabase, migrate

ALICE, ROOM = UserId("@alice:hs"), RoomId("!r:hs")


async def test_a_report_comes_back_as_it_was_made(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "server.db")
    await migrate(database, [Schema("storage", "watchword.storage"), SCHEMA])
    what = NewReport(Kind.EVENT, ALICE, "Why.", ROOM, EventId("$e"), UserId("@eve:hs"), b"{}")
    async with database.write() as tx:
        await tables.save_report(tx, what, 5)
        (report,) = await tables.reports(tx, handled=False, after=0, limit=9)
        assert (report.what, report.received_ts, report.handled_ts, report.handled_by) == (what, 5, None, None)
        # The same again without the event keeps what was seen of it.
        await tables.save_report(tx, NewReport(Kind.EVENT, ALICE, "More.", ROOM, EventId("$e"), UserId("@eve:hs")), 6)
        (again,) = await tables.reports(tx, handled=False, after=0, limit=9)
        assert (again.what.reason, again.what.event) == ("More.", b"{}")
        assert await tables.reports_since(tx, ALICE, 5) == 1
        assert await tables.reports_since(tx, ALICE, 6) == 0
    await database.close()
