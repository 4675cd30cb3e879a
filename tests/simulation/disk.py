"""SQLite whose commits take simulated time on the loop itself, may fail, and can be cut off at any moment.

A death leaves exactly the files that `kill -9` would leave: they are copied before anything is closed.
"""

import shutil
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import apsw

from tests.simulation.loop import LIFE
from watchword.base.clock import Clock
from watchword.storage import SqliteDatabase
from watchword.storage.sqlite import _Disk


@dataclass
class DiskWeather:
    """How the disk behaves. slow: the fraction of commits that take a second or so; failing: that fail."""

    slow: float = 0.0
    failing: float = 0.0


class _SimulatedDisk(_Disk):
    """Commits after a while; whoever asked is told a while later."""

    def __init__(self, connection: apsw.Connection, clock: Clock, random: Random, weather: DiskWeather) -> None:
        self._simulated = connection
        self._clock = clock
        self._random = random
        self._weather = weather

    def commit(self, loop: AbstractEventLoop, done: Callable[[Exception | None], None]) -> None:
        slow = self._random.random() < self._weather.slow
        before_ms = self._random.randrange(200, 2_000) if slow else self._random.randrange(5)
        after_ms = self._random.randrange(3)
        fails = self._random.random() < self._weather.failing
        # Whichever task happens to hand the order over, it is the server's own: the context says so.
        assert LIFE.get() is not None

        def write() -> None:
            failure: Exception | None = None
            if fails:
                failure = apsw.FullError("the simulated disk is full")
            else:
                try:
                    self._simulated.execute("COMMIT")
                except apsw.Error as error:
                    failure = error
            self._clock.call_later(after_ms, lambda: done(failure))

        self._clock.call_later(before_ms, write)

    def stop(self) -> None:
        return


class SimulatedDatabase(SqliteDatabase):
    """One server's database."""

    def __init__(self, path: Path, clock: Clock, random: Random, weather: DiskWeather) -> None:
        super().__init__(path, cache_kibibytes=2_048, mmap_bytes=0)
        self.path = path
        self._disk.stop()
        self._disk = _SimulatedDisk(self._writer, clock, random, weather)
        self._all: list[apsw.Connection] = [self._writer]

    def _open(self, cache_kibibytes: int = 1_024) -> apsw.Connection:
        connection = super()._open(cache_kibibytes)
        # What a process wrote survives the process; only the machine's own death is left out.
        connection.execute("PRAGMA synchronous = OFF")
        if "_all" in self.__dict__:
            self._all.append(connection)
        return connection

    def leave_behind(self, path: Path) -> None:
        """Put what is on the disk at this instant at another place."""
        for suffix in ("", "-wal"):
            source = self.path.with_name(self.path.name + suffix)
            if source.exists():
                shutil.copyfile(source, path.with_name(path.name + suffix))

    def bury(self) -> None:
        """Close whatever a dead server left open."""
        for connection in self._all:
            with suppress(apsw.Error):
                connection.close()
