"""The news that the server stops, for whoever waits long: long-polls, followers, streams."""

import asyncio
from collections.abc import Callable


class Stopping:
    """Set once, at the stop. Long-polls wait for it beside what they wait for, and answer early."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._listeners: set[Callable[[], None]] = set()

    @property
    def is_set(self) -> bool:
        """Whether the server is stopping."""
        return self._event.is_set()

    def set(self) -> None:
        """Wake everybody who waits. Idempotent."""
        if self._event.is_set():
            return
        self._event.set()
        listeners, self._listeners = self._listeners, set()
        for listener in listeners:
            listener()

    async def wait(self) -> None:
        """Return when the server stops."""
        await self._event.wait()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call listener (short, must not raise) at the stop, or now if that has come. Gives a function that forgets it."""
        if self._event.is_set():
            listener()
        else:
            self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)
