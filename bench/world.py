"""What a scenario gets: a server (two for federation), how much to do, and the stopwatch."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bench.certificates import CertificateAuthority
from bench.instance import Instance
from bench.meter import Usage
from bench.servers import Kind

T = TypeVar("T")


@dataclass(frozen=True)
class Size:
    """How much to do. seconds: how long one figure may take; every scenario also bounds its number of operations."""

    seconds: float
    rooms_of_one_user: int
    members_of_large_room: int
    build_seconds: float


QUICK = Size(seconds=2.0, rooms_of_one_user=30, members_of_large_room=200, build_seconds=40.0)
FULL = Size(seconds=8.0, rooms_of_one_user=200, members_of_large_room=2_000, build_seconds=420.0)


@dataclass(frozen=True)
class Figure:
    """What an operation cost. Per operation: cpu_ms, written_bytes. peak_bytes: of the whole tree while it ran."""

    name: str
    operations: int
    cpu_ms: float
    rate: float
    p50_ms: float
    p99_ms: float
    peak_bytes: int
    written_bytes: float


@dataclass
class Stopwatch:
    """Times operations while a measurement is open."""

    deadline: float
    operations_max: int
    times_ms: list[float] = field(default_factory=list)
    operations: int = 0
    begun: int = 0
    unmeasured_cpu_ms: float = 0.0

    def wants_more(self) -> bool:
        """Whether to begin another operation; counts it as begun."""
        if self.begun >= self.operations_max or time.perf_counter() > self.deadline:
            return False
        self.begun += 1
        return True

    async def time(self, operation: Awaitable[T]) -> T:
        """Wait for one operation and note how long it took."""
        begin = time.perf_counter()
        result = await operation
        self.note(time.perf_counter() - begin)
        return result

    def note(self, seconds: float) -> None:
        """Note an operation timed elsewhere."""
        self.operations += 1
        self.times_ms.append(seconds * 1000)


class World:
    """One kind of server under measurement; what scenarios build stays for those that follow."""

    def __init__(self, kind: Kind, folder: Path, authority: CertificateAuthority, size: Size) -> None:
        self.kind = kind
        self.size = size
        self.figures: list[Figure] = []
        self.failures: list[str] = []
        self.rooms: dict[str, str] = {}
        self._folder = folder
        self._authority = authority
        self._instances: dict[str, Instance] = {}

    async def server(self, name: str = "first") -> Instance:
        """A server of this kind, started when first asked for."""
        if name not in self._instances:
            instance = self.new_instance(name)
            self._instances[name] = instance
            await instance.start()
        return self._instances[name]

    def new_instance(self, name: str) -> Instance:
        """A server of this kind, not started and not kept."""
        return Instance(self.kind, self._folder / f"{self.kind.name}-{name}", self._authority)

    async def close(self) -> None:
        """Stop every server."""
        for instance in self._instances.values():
            await instance.stop()

    @asynccontextmanager
    async def measure(
        self, name: str, *servers: Instance, most: int = 100_000, seconds: float | None = None
    ) -> AsyncIterator[Stopwatch]:
        """Measure what happens inside the block; the figure is what it cost divided by its operations."""
        await asyncio.sleep(0.3)  # what was asked for before shall have been paid for before
        for server in servers:
            server.tree.forget_peak()
        before = [server.tree.usage() for server in servers]
        begin = time.perf_counter()
        watch = Stopwatch(begin + (self.size.seconds if seconds is None else seconds), most)
        yield watch
        wall = time.perf_counter() - begin
        await asyncio.sleep(0.3)  # what an operation leaves to be done after its answer is part of its cost
        after = [server.tree.usage() for server in servers]
        self.figures.append(_figure(name, watch, wall, before, after))


def _figure(name: str, watch: Stopwatch, wall: float, before: Sequence[Usage], after: Sequence[Usage]) -> Figure:
    assert watch.operations, f"{name}: nothing was done"
    times = sorted(watch.times_ms)
    cpu = sum(usage.cpu_ms for usage in after) - sum(usage.cpu_ms for usage in before)
    cpu -= watch.unmeasured_cpu_ms
    written = sum(usage.written_bytes for usage in after) - sum(usage.written_bytes for usage in before)
    return Figure(
        name=name,
        operations=watch.operations,
        cpu_ms=cpu / watch.operations,
        rate=watch.operations / wall,
        p50_ms=times[len(times) // 2],
        p99_ms=times[min(len(times) - 1, len(times) * 99 // 100)],
        peak_bytes=sum(usage.peak_bytes for usage in after),
        written_bytes=written / watch.operations,
    )
