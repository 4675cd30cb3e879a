"""The log: one position for everything that happens, appended in the transaction that makes it true.

`append` gives the next position inside the caller's transaction; when that transaction is durable the change enters the
ring in memory and the bell rings. `read` answers followers in order, from the ring where it reaches, else from the table.
The log carries bytes-encoded changes and knows nothing of their meaning: the codec is handed over at construction.

Invariants: positions are consecutive and visible in order; nothing is visible before it is durable.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, NewType, TypeVar

from watchword.base import limits
from watchword.storage.database import Database, ReadTx, Tx

Position = NewType("Position", int)
C = TypeVar("C")


class Logged(NamedTuple, Generic[C]):
    """A change and the position it holds."""

    position: Position
    change: C


class Log(Generic[C]):
    """The log of one server. Call `start` before anything else.

    encode, decode: the codec of the closed list of changes.
    """

    def __init__(
        self,
        database: Database,
        encode: Callable[[C], bytes],
        decode: Callable[[bytes], C],
        *,
        ring_changes_max: int = limits.log_ring_changes_max,
    ) -> None:
        self._database = database
        self._encode = encode
        self._decode = decode
        self._ring_changes_max = ring_changes_max
        self._next = 1
        self._visible = Position(0)
        self._ring: list[Logged[C]] = []
        self._ring_floor = Position(0)
        self._waiters: set[asyncio.Future[None]] = set()
        self._listeners: list[Callable[[Logged[C]], None]] = []

    async def start(self) -> None:
        """Find the last position."""
        async with self._database.read() as tx:
            row = await tx.fetch_one("SELECT COALESCE(MAX(position), 0) FROM log")
            cursor = await tx.fetch_one("SELECT COALESCE(MAX(position), 0) FROM cursors")
        assert row is not None
        assert cursor is not None
        # The log may have been trimmed behind its followers: a position is never handed out twice.
        self._visible = Position(max(int(row[0]), int(cursor[0])))
        self._ring_floor = self._visible
        self._next = self._visible + 1

    @property
    def position(self) -> Position:
        """The last durable position; 0 for an empty log."""
        return self._visible

    @property
    def ring_floor(self) -> Position:
        """`recent` reaches back to here: it knows every change after this position."""
        return self._ring_floor

    async def append(self, tx: Tx, change: C) -> Position:
        """Give the change the next position, in the caller's transaction."""
        position = Position(self._next)
        self._next += 1
        try:
            await tx.execute("INSERT INTO log (position, change) VALUES (?, ?)", position, self._encode(change))
        except BaseException:
            self._next = min(self._next, position)
            raise
        logged = Logged(position, change)
        tx.after_commit(lambda: self._show(logged))
        tx.after_failure(lambda: self._forget(position))
        return position

    def _forget(self, position: Position) -> None:
        # Transactions take turns, so whatever was handed out after a lost position was lost with it.
        self._next = min(self._next, position)

    def _show(self, logged: Logged[C]) -> None:
        self._visible = logged.position
        self._ring.append(logged)
        if len(self._ring) > self._ring_changes_max * 5 // 4:
            drop = len(self._ring) - self._ring_changes_max
            self._ring_floor = self._ring[drop - 1].position
            del self._ring[:drop]
        for listener in self._listeners:
            listener(logged)
        if self._waiters:
            waiters, self._waiters = self._waiters, set()
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def listen(self, listener: Callable[[Logged[C]], None]) -> None:
        """Call listener with every change the moment it is durable, in order; it must be short and must not raise.

        For waking and for caches only: what must not be missed reads by cursor.
        """
        self._listeners.append(listener)

    def recent(self, after: Position, until: Position | None = None) -> Sequence[Logged[C]]:
        """Changes after a position that is not below `ring_floor`, from memory."""
        assert after >= self._ring_floor, after
        start = after - self._ring_floor
        stop = len(self._ring) if until is None else max(start, until - self._ring_floor)
        return self._ring[start:stop]

    async def read(self, after: Position, limit: int) -> Sequence[Logged[C]]:
        """Up to limit changes after a position, in order."""
        if after >= self._ring_floor:
            start = bisect_right(self._ring, after, key=lambda logged: logged.position)
            return self._ring[start : start + limit]
        async with self._database.read() as tx:
            rows = await tx.fetch_all(
                "SELECT position, change FROM log WHERE position > ? AND position <= ? ORDER BY position LIMIT ?",
                after,
                self._visible,
                limit,
            )
        return [Logged(Position(row[0]), self._decode(row[1])) for row in rows]

    async def wait(self, after: Position) -> None:
        """Return once something after this position is visible. Cancel to give up."""
        while self._visible <= after:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    async def cursor(self, tx: ReadTx, follower: str) -> Position:
        """Where this follower stands; 0 if it never acted."""
        row = await tx.fetch_one("SELECT position FROM cursors WHERE follower = ?", follower)
        return Position(0 if row is None else int(row[0]))

    async def move_cursor(self, tx: Tx, follower: str, position: Position) -> None:
        """Save a follower's cursor, in the transaction that holds its effect."""
        await tx.execute(
            "INSERT INTO cursors (follower, position) VALUES (?, ?) "
            "ON CONFLICT (follower) DO UPDATE SET position = excluded.position",
            follower,
            position,
        )

    async def cursors(self, tx: ReadTx, prefix: str) -> Sequence[str]:
        """Followers whose names begin so."""
        rows = await tx.fetch_all("SELECT follower FROM cursors WHERE substr(follower, 1, ?) = ?", len(prefix), prefix)
        return [str(row[0]) for row in rows]

    async def drop_cursor(self, tx: Tx, follower: str) -> None:
        """Forget a follower that will not come back: the log is no longer kept for it."""
        await tx.execute("DELETE FROM cursors WHERE follower = ?", follower)

    async def trim(self, tx: Tx, keep_after: Position, limit: int = 10_000) -> int:
        """Drop up to limit of the oldest changes at or before a position that no follower needs; return how many."""
        row = await tx.fetch_one("SELECT MIN(position) FROM cursors")
        slowest = keep_after if row is None or row[0] is None else min(keep_after, int(row[0]))
        return await tx.execute(
            "DELETE FROM log WHERE position IN (SELECT position FROM log WHERE position <= ? ORDER BY position LIMIT ?)",
            min(slowest, self._visible - 1),
            limit,
        )
