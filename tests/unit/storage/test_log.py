"""The parts of the log that no engine decides; the rest is the contract in tests/contract/test_log.py."""

from pathlib import Path

from watchword.storage import Log, Position, Schema, SqliteDatabase, migrate


async def test_the_ring_is_bounded(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "server.db")
    await migrate(database, (Schema("storage", "watchword.storage"),))
    log: Log[str] = Log(database, str.encode, bytes.decode, ring_changes_max=8)
    await log.start()
    for number in range(50):
        async with database.write() as tx:
            await log.append(tx, str(number))
        assert log.position - log.ring_floor <= 10
        assert len(log.recent(log.ring_floor)) == log.position - log.ring_floor
    await database.close()


async def test_a_log_that_starts_remembers_nothing_and_reads_everything(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "server.db")
    await migrate(database, (Schema("storage", "watchword.storage"),))
    first: Log[str] = Log(database, str.encode, bytes.decode)
    await first.start()
    async with database.write() as tx:
        await first.append(tx, "a")
    second: Log[str] = Log(database, str.encode, bytes.decode)
    await second.start()
    assert second.ring_floor == second.position == 1
    assert list(second.recent(Position(1))) == []
    assert [logged.change for logged in await second.read(Position(0), 10)] == ["a"]
    await database.close()
