"""Time as an argument. Nothing else in Watchword reads a clock or sleeps."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Wall time in milliseconds since 1970, monotonic time, and sleep."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, as Matrix timestamps count."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds from an arbitrary start; never goes back. For durations and deadlines."""
        ...

    async def sleep(self, duration_ms: int) -> None:
        """Return after duration_ms; zero or less yields to the loop once."""
        ...

    def call_later(self, duration_ms: int, action: Callable[[], None]) -> Callable[[], None]:
        """Call action (short, must not raise) after duration_ms; gives a function that calls it off. Cheaper than a task."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    async def sleep(self, duration_ms: int) -> None:
        await asyncio.sleep(max(0, duration_ms) / 1000)

    def call_later(self, duration_ms: int, action: Callable[[], None]) -> Callable[[], None]:
        return asyncio.get_running_loop().call_later(max(0, duration_ms) / 1000, action).cancel


class ManualClock:
    """A clock that moves only when told to; for tests and simulation."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self._start_ms = now_ms
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_ms(self) -> int:
        return self._now_ms - self._start_ms

    async def sleep(self, duration_ms: int) -> None:
        if duration_ms <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_ms + duration_ms, next(self._order), woken))
        await woken

    def call_later(self, duration_ms: int, action: Callable[[], None]) -> Callable[[], None]:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_ms + duration_ms, next(self._order), woken))
        woken.add_done_callback(lambda done: None if done.cancelled() else action())

        def forget() -> None:
            woken.cancel()

        return forget

    def next_wake_ms(self) -> int | None:
        """When the earliest sleeper wants to wake, or None if nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def advance(self, duration_ms: int) -> None:
        """Move time forward and wake, in order, every sleeper whose time has come."""
        self._now_ms += duration_ms
        while self._sleepers and self._sleepers[0][0] <= self._now_ms:
            woken = heapq.heappop(self._sleepers)[2]
            if not woken.done():
                woken.set_result(None)
