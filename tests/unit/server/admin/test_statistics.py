"""How the server is."""

from dataclasses import replace

from tests.unit.server.admin.world import V3, AdminWorld, quoted
from watchword import __version__


async def test_everything_is_counted(world: AdminWorld) -> None:
    room_id = await world.room()
    await world.upload("alice", b"12345")
    await world.call("alice", "POST", f"{V3}/rooms/{quoted(room_id)}/report", {"reason": "loud"})
    world.clock.advance(5_000)
    shown = await world.server.admin.door.statistics.shown()
    assert (shown["version"], shown["uptime_ms"]) == (__version__, 5_000)
    assert shown["users"]["active"] == 3
    assert (shown["rooms"], shown["open_reports"]) == (1, 1)
    assert shown["media"] == {"files": 1, "bytes": 5, "copied_files": 0, "copied_bytes": 0}
    assert shown["database"]["bytes"] > 10_000
    assert shown["database"]["disk_free_bytes"] > 0
    assert shown["log_position"] == world.server.log.position
    assert all(lag >= 0 for lag in shown["behind"].values())


async def test_a_database_that_is_nowhere_has_no_size(world: AdminWorld) -> None:
    statistics = replace(world.server.admin.door.statistics, database_path=None)
    assert (await statistics.shown())["database"] == {}
