"""Many ask for the same thing at once: one does the work, the others wait for its outcome."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _LeaderLeftError(Exception):
    """Whoever did the work was cancelled; a waiter takes over."""


class SingleFlight(Generic[K, V]):
    """Shares the outcome of work by key while it is under way; keeps nothing afterwards."""

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Future[V]] = {}

    async def run(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        """The outcome of work, or of the same work already under way. Raises what the work raised."""
        while (flight := self._flights.get(key)) is not None:
            try:
                return await asyncio.shield(flight)
            except _LeaderLeftError:
                continue
        flight = asyncio.get_running_loop().create_future()
        self._flights[key] = flight
        try:
            outcome = await work()
        except BaseException as error:
            del self._flights[key]
            cause = error if isinstance(error, Exception) else _LeaderLeftError()
            flight.set_exception(cause)
            flight.exception()  # nobody may be waiting: that is no reason for a warning
            raise
        del self._flights[key]
        flight.set_result(outcome)
        return outcome
