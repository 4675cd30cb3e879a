"""A writer that is killed: a process that forks a server's rooms, lets it write, kills it at a seeded moment, and looks.

Run as a program of its own, because forking wants a process without threads: `python -m tests.end_to_end.killed_writer
FOLDER SEED CYCLES`. Exit status 0 if nothing that was acknowledged is ever missing and no start needs a repair.
"""

import asyncio
import os
import random
import select
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import apsw

from tests.unit.server.rooms.world import ALICE, World, open_world
from watchword.protocol.ids import RoomId
from watchword.server.rooms.commands import SendEvent, Transaction

_SENDERS = 4
_LATEST_KILL_SECONDS = 0.06
_KILLS_AT_START = 0.3
_START_SECONDS_MAX = 30.0


@dataclass(frozen=True)
class _Moment:
    """When to kill: so long after the fork, or after the first answer, whatever the machine's speed."""

    after_first_answer: bool
    seconds: float


async def _write(folder: Path, acknowledged: int, cycle: int) -> None:
    """Send for ever; report every event that was acknowledged."""
    async with open_world(folder) as world:
        if not await world.accounts.reader.exists(ALICE):
            await world.users(ALICE)
        joined = await world.reader.joined_rooms(ALICE)
        room_id = joined[0] if joined else await world.room(ALICE)

        async def send(sender: int) -> None:
            number = 0
            while True:
                number += 1
                event_id = await _one(world, room_id, f"{cycle}.{sender}.{number}")
                os.write(acknowledged, f"{event_id}\n".encode())

        async with asyncio.TaskGroup() as group:
            for sender in range(_SENDERS):
                group.create_task(send(sender))


async def _one(world: World, room_id: RoomId, text: str) -> str:
    command = SendEvent(
        room_id, ALICE, "m.room.message", {"body": text}, transaction=Transaction(ALICE, "PHONE", f"send/{room_id}", text)
    )
    return await world.writer.send(command)


def _run_and_kill(folder: Path, cycle: int, moment: "_Moment") -> list[str]:
    """Fork a writer, kill it; the IDs of what it acknowledged."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        try:
            asyncio.run(_write(folder, write_end, cycle))
        except BaseException:  # noqa: BLE001 (a forked child must never run on as its parent)
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(write_end)
    if moment.after_first_answer:
        select.select([read_end], [], [], _START_SECONDS_MAX)
    time.sleep(moment.seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"cycle {cycle}: the writer ended by itself: it could not start after the last kill")
    with os.fdopen(read_end, "rb") as pipe:
        return [line.decode() for line in pipe.read().splitlines() if len(line) == 44]


def _complaint(folder: Path, acknowledged: set[str]) -> str | None:
    """What is wrong with the database as it lies there, if anything."""
    path = next(iter(folder.glob("*.db")), None)
    if path is None:
        return "the database is gone" if acknowledged else None
    connection = apsw.Connection(str(path))
    try:
        verdict = connection.execute("PRAGMA quick_check").fetchone()
        if verdict != ("ok",):
            return f"quick_check says {verdict}"
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone() is None:
            return "the tables are gone" if acknowledged else None
        kept = {row[0] for row in connection.execute("SELECT event_id FROM events WHERE ordering IS NOT NULL")}
        lost = acknowledged - kept
        if lost:
            return f"{len(lost)} acknowledged events are missing"
        span = connection.execute("SELECT MIN(position), MAX(position), COUNT(*) FROM log").fetchone()
        assert span is not None
        first, last, count = span
        return f"positions {first} to {last} have gaps: {count}" if count and last - first + 1 != count else None
    finally:
        connection.close()


def main() -> None:
    """Kill as often as told."""
    folder, seed, cycles = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(seed)
    acknowledged: set[str] = set()
    killed_while_writing = 0
    for cycle in range(cycles):
        moment = _Moment(chance.random() >= _KILLS_AT_START, chance.uniform(0, _LATEST_KILL_SECONDS))
        reported = _run_and_kill(folder, cycle, moment)
        killed_while_writing += bool(reported)
        acknowledged.update(reported)
        complaint = _complaint(folder, acknowledged)
        if complaint is not None:
            raise SystemExit(f"seed {seed}, cycle {cycle}: {complaint}")
    print(f"{cycles} kills, {killed_while_writing} while writing, {len(acknowledged)} events acknowledged, none lost")  # noqa: T201 (what a program of its own says)


if __name__ == "__main__":
    main()
