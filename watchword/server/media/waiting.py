"""Waiting for uploads that are still to come. One process, one memory: whoever fills a name wakes who waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from watchword.base import limits
from watchword.base.clock import Clock


class PendingWaiters:
    """Requests that wait for a name to be filled."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._filled: dict[str, asyncio.Event] = {}
        self._waiting = 0

    def fill(self, media_id: str) -> None:
        """Wake whoever waits for this name."""
        event = self._filled.pop(media_id, None)
        if event is not None:
            event.set()

    async def wait(self, media_id: str, timeout_ms: int) -> None:
        """Return once the name is filled, after timeout_ms, or at once if too many wait already."""
        if self._waiting >= limits.media_waiters_max:
            return
        event = self._filled.setdefault(media_id, asyncio.Event())
        self._waiting += 1
        try:
            async with asyncio.TaskGroup() as group:
                waits = {group.create_task(event.wait()), group.create_task(self._clock.sleep(timeout_ms))}
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for task in waits:
                    task.cancel()
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._filled.clear()


class Turns:
    """One at a time for each name, so that many requests for one thing do the work once."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait for the turn; whoever comes second finds the work done."""
        lock, users = self._locks.get(name, (asyncio.Lock(), 0))
        self._locks[name] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            _, users = self._locks[name]
            if users == 1:
                del self._locks[name]
            else:
                self._locks[name] = lock, users - 1
