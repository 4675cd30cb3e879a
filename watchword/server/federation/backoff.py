"""Leaves servers alone that do not answer: one state per server, shared by every outgoing call, kept in its row.

The wait doubles with each failure, with some chance in it, so that many servers that were cut off together do not
return together. A request from a server shows that it is alive and ends its wait.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import PeerError
from watchword.protocol.ids import ServerName
from watchword.server.federation import tables
from watchword.server.federation.settings import FederationSettings
from watchword.server.federation.tables import DestinationRow
from watchword.storage import Database

_WAKE_EVERY_MS = 10_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """One outgoing call, so that several that fail together count as one failure."""

    server_name: ServerName
    failures: int


class Backoff:
    """Who answers and who does not. Call `start` before anything else."""

    def __init__(self, database: Database, settings: FederationSettings, clock: Clock, entropy: Entropy) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._entropy = entropy
        self._failing: dict[ServerName, DestinationRow] = {}
        self._woken_ts: dict[ServerName, int] = {}
        self._listeners: list[Callable[[ServerName], None]] = []
        self._speaking: Counter[ServerName] = Counter()

    def listen(self, listener: Callable[[ServerName], None]) -> None:
        """Call listener with every server that may be tried again."""
        self._listeners.append(listener)

    async def start(self) -> None:
        """Read who did not answer before the last stop."""
        async with self._database.read() as tx:
            rows = await tables.destinations(tx, limits.destinations_owed_max)
        self._failing = {row.server_name: row for row in rows if row.failures}

    def failures(self, server_name: ServerName) -> int:
        """How many times in a row the server did not answer."""
        row = self._failing.get(server_name)
        return 0 if row is None else row.failures

    def failing_since_ts(self, server_name: ServerName) -> int | None:
        """Since when; None if it answers."""
        row = self._failing.get(server_name)
        return None if row is None else row.failing_since_ts

    def wait_ms(self, server_name: ServerName) -> int:
        """How long the server is still to be left alone; 0: it may be asked."""
        row = self._failing.get(server_name)
        return 0 if row is None else max(0, row.retry_after_ts - self._clock.now_ms())

    @contextmanager
    def speaking(self, server_name: ServerName) -> Iterator[None]:
        """While this server waits for our answer it may be asked, whatever it was like before.

        What it hands over may need what only it can tell; without that it would be refused, and never be sent again.
        """
        self._speaking[server_name] += 1
        try:
            yield
        finally:
            self._speaking[server_name] -= 1
            if not self._speaking[server_name]:
                del self._speaking[server_name]

    def begin(self, server_name: ServerName, *, patient: bool = True) -> Attempt:
        """Note the begin of a call. Raises PeerError if the server is to be left alone, unless patient is false."""
        wait_ms = self.wait_ms(server_name)
        if wait_ms and patient and server_name not in self._speaking:
            raise PeerError(server_name, "it did not answer lately and is left alone", retry_after_ms=wait_ms)
        return Attempt(server_name, self.failures(server_name))

    async def succeeded(self, server_name: ServerName) -> None:
        """The server answered."""
        row = self._failing.pop(server_name, None)
        if row is not None:
            self._woken_ts.pop(server_name, None)
            now = self._clock.now_ms()
            await self._save(DestinationRow(server_name, last_success_ts=now))
            self._tell(server_name)

    async def failed(self, attempt: Attempt, *, wait_ms: int | None = None) -> None:
        """The server did not answer, or asked for a pause of wait_ms."""
        name = attempt.server_name
        row = self._failing.get(name) or DestinationRow(name)
        if row.failures > attempt.failures:
            return
        now = self._clock.now_ms()
        wait = max(self._wait_after(row.failures + 1), min(wait_ms or 0, self._settings.backoff_most_ms))
        row = replace(
            row,
            failures=row.failures + 1,
            failing_since_ts=row.failing_since_ts or now,
            retry_after_ts=now + wait,
        )
        if name not in self._failing and len(self._failing) >= limits.destinations_owed_max:
            self._woken_ts.pop(forgotten := next(iter(self._failing)), None)
            del self._failing[forgotten]
        self._failing[name] = row
        await self._save(row)

    def heard_from(self, server_name: ServerName) -> None:
        """A request of this server was proved: it may be tried at once, but not at its every word."""
        row = self._failing.get(server_name)
        now = self._clock.now_ms()
        if row is None or row.retry_after_ts <= now or self._woken_ts.get(server_name, 0) + _WAKE_EVERY_MS > now:
            return
        self._woken_ts[server_name] = now
        self._failing[server_name] = replace(row, retry_after_ts=now)
        self._tell(server_name)

    async def destinations(self, after: str, limit: int) -> Sequence[DestinationRow]:
        """Servers that something was sent to, by name, after one of them ('' to begin), as they answer now."""
        async with self._database.read() as tx:
            rows = await tables.destinations_after(tx, after, limit)
        return [
            replace(row, failures=now.failures, failing_since_ts=now.failing_since_ts, retry_after_ts=now.retry_after_ts)
            if (now := self._failing.get(row.server_name)) is not None
            else row
            for row in rows
        ]

    async def destination(self, server_name: ServerName) -> DestinationRow | None:
        """One of them; None if nothing was ever sent there, or nothing is known of it."""
        async with self._database.read() as tx:
            row = await tables.destination(tx, server_name)
        return self._failing.get(server_name) if row is None else row

    def retry_now(self, server_name: ServerName) -> bool:
        """End a server's wait, because somebody who knows says so; whether it was waited for."""
        row = self._failing.get(server_name)
        if row is None:
            return False
        self._failing[server_name] = replace(row, retry_after_ts=self._clock.now_ms())
        self._tell(server_name)
        return True

    def _tell(self, server_name: ServerName) -> None:
        for listener in self._listeners:
            listener(server_name)

    def _wait_after(self, failures: int) -> int:
        doubled = self._settings.backoff_first_ms << min(failures - 1, 24)
        return int(min(doubled, self._settings.backoff_most_ms) * (0.75 + 0.5 * self._entropy.fraction()))

    async def _save(self, row: DestinationRow) -> None:
        async with self._database.write() as tx:
            await tables.save_reachability(tx, row)
