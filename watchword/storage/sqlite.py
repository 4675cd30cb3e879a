"""SQLite behind the `Database` interface: one file, WAL, synchronous=FULL, group commit.

Theory of operation. There is one connection that writes. Logical transactions take turns on it, each inside a savepoint,
on the event loop's own thread: a statement costs microseconds, a hop to another thread would cost more. When the queue
is empty or the batch is full, the connection is handed to a worker thread for COMMIT, which waits for the disk; meanwhile
new transactions queue. So many logical transactions share one fsync, and the loop never waits for the disk. After the
COMMIT every member of the batch is told that it is durable, or, if it failed, that it is not; then the next batch begins.

Readers use connections of their own and see only what is committed. A reader never blocks the writer, nor it them.

Deliberately absent: more than one process writing.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import cast

import apsw

from watchword.base import limits
from watchword.base.errors import StorageError
from watchword.storage.database import Row, Tx, Value

logger = logging.getLogger(__name__)

_READERS_IDLE_MAX = 8
# Readers find most pages in the mapped file; a cache each would only hold them a second time.
_READER_CACHE_KIBIBYTES = 1_024
_STATEMENT_CACHE = 256
_LINGER_TURNS = 3


class SqliteDatabase:
    """A database in one file (and its `-wal` and `-shm` neighbours)."""

    def __init__(self, path: Path, *, cache_kibibytes: int = 8_192, mmap_bytes: int = 67_108_864) -> None:
        self._path = str(path)
        self._mmap_bytes = mmap_bytes
        self._writer = self._open(cache_kibibytes)
        self._readers: list[apsw.Connection] = []
        self._disk = _Disk(self._writer)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._pen_taken = False
        self._in_batch = False
        self._batch: list[SqliteTx] = []
        self._closing: asyncio.Future[None] | None = None
        self._closed = False

    def _open(self, cache_kibibytes: int = _READER_CACHE_KIBIBYTES) -> apsw.Connection:
        try:
            return self._connection(cache_kibibytes)
        except apsw.Error as error:
            raise StorageError(f"{self._path} cannot be opened as a database: {error}") from error

    def _connection(self, cache_kibibytes: int) -> apsw.Connection:
        connection = apsw.Connection(self._path, statementcachesize=_STATEMENT_CACHE)
        connection.set_busy_timeout(10_000)
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = OFF",
            f"cache_size = -{cache_kibibytes}",
            f"mmap_size = {self._mmap_bytes}",
            "temp_store = MEMORY",
            "wal_autocheckpoint = 2000",
            "journal_size_limit = 67108864",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def read(self) -> "_Reading":
        if self._closed:
            raise StorageError("the database is closed")
        return _Reading(self._reader, self._take_back)

    def _reader(self) -> apsw.Connection:
        """A connection with a transaction begun on it."""
        if self._closed:
            raise StorageError("the database is closed")
        connection = self._readers.pop() if self._readers else self._open()
        connection.execute("BEGIN")
        return connection

    def _take_back(self, connection: apsw.Connection) -> None:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if len(self._readers) < _READERS_IDLE_MAX and not self._closed:
            self._readers.append(connection)
        else:
            connection.close()

    @asynccontextmanager
    async def write(self, *, wait: bool = True) -> AsyncIterator[Tx]:
        await self._take_pen()
        tx = SqliteTx(self._writer)
        # The first of a batch needs no savepoint: undoing it undoes the batch so far, which is it alone.
        is_first = not self._in_batch
        try:
            self._writer.execute("BEGIN IMMEDIATE" if is_first else "SAVEPOINT tx")
            self._in_batch = True
            yield tx
            if not is_first:
                self._writer.execute("RELEASE tx")
        except BaseException as error:
            tx.abandon()
            self._undo(is_first, error)
            if isinstance(error, apsw.Error):
                raise StorageError(f"a transaction failed: {type(error).__name__}") from error
            raise
        else:
            self._batch.append(tx)
        finally:
            self._pass_pen()
        if wait:
            await tx.durable()

    def _undo(self, is_first: bool, error: BaseException) -> None:
        """Take back the current transaction, and no other of its batch if that can be helped."""
        if not is_first and self._writer.in_transaction:
            try:
                self._writer.execute("ROLLBACK TO tx")
                self._writer.execute("RELEASE tx")
            except apsw.Error:
                logger.warning("A transaction could not be undone alone.")
            else:
                return
        # Either it is alone, or the engine gave up the whole batch (a full disk, say): no COMMIT will save the others.
        self._roll_back()
        self._in_batch = False
        lost, self._batch = self._batch, []
        for tx in lost:
            tx.tell(error)
        for tx in lost:
            tx.follow()

    def _roll_back(self) -> None:
        if self._writer.in_transaction:
            try:
                self._writer.execute("ROLLBACK")
            except apsw.Error:
                logger.exception("A batch could not be rolled back.")

    async def _take_pen(self) -> None:
        if self._closed:
            raise StorageError("the database is closed")
        if not self._pen_taken:
            self._pen_taken = True
            return
        if len(self._waiting) >= limits.write_queue_max:
            raise StorageError("too many transactions are waiting")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._pass_pen()
            raise

    def _pass_pen(self) -> None:
        """Give the connection to the next writer, or to the disk when nobody wants it or the batch is full."""
        if len(self._batch) >= limits.write_batch_transactions_max:
            self._start_commit()
        elif not self._give_to_next():
            self._pen_taken = False
            if self._in_batch:
                self._linger(_LINGER_TURNS)
            elif self._closing is not None and not self._closing.done():
                self._closing.set_result(None)

    def _linger(self, turns: int) -> None:
        """Commit after a few turns of the loop, unless somebody takes the pen meanwhile.

        Whoever waited for a room's lock until the last transaction ended gets into the same batch.
        """
        if self._pen_taken or not self._in_batch:
            return
        if turns == 0:
            self._pen_taken = True
            self._start_commit()
        else:
            asyncio.get_running_loop().call_soon(self._linger, turns - 1)

    def _start_commit(self) -> None:
        self._disk.commit(asyncio.get_running_loop(), self._committed)

    def _give_to_next(self) -> bool:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return True
        return False

    def _committed(self, failure: Exception | None) -> None:
        batch, self._batch = self._batch, []
        if failure is not None:
            self._roll_back()
        self._in_batch = False
        # Who wrote goes on before those whom the news wakes: many clients expect the answer to what they sent before its
        # echo in /sync. What follows is all done before either of them runs.
        for tx in batch:
            tx.tell(failure)
        for tx in batch:
            tx.follow()
        if not self._give_to_next():
            self._pen_taken = False
        if self._closing is not None and not self._closing.done():
            self._closing.set_result(None)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for turn in self._waiting:
            if not turn.done():
                turn.set_exception(StorageError("the database is closed"))
        self._waiting.clear()
        while self._in_batch or self._pen_taken:
            if not self._pen_taken:
                self._pen_taken = True
                self._start_commit()
            # Either the commit under way tells us, or the commit after the transaction that holds the pen now.
            self._closing = asyncio.get_running_loop().create_future()
            await self._closing
        self._disk.stop()
        for connection in self._readers:
            connection.close()
        self._readers.clear()
        self._writer.close()


class _Disk:
    """The thread that waits for the disk. One hand-over there, one back: an executor's futures cost more than the rest."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._orders: SimpleQueue[tuple[asyncio.AbstractEventLoop, Callable[[Exception | None], None]] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="commit", daemon=True)
        self._thread.start()

    def commit(self, loop: asyncio.AbstractEventLoop, done: Callable[[Exception | None], None]) -> None:
        """Commit what the connection has begun, then call done on the loop with the failure, if any."""
        self._orders.put((loop, done))

    def stop(self) -> None:
        """End the thread; nothing may be under way."""
        self._orders.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            loop, done = order
            failure: Exception | None = None
            try:
                self._connection.execute("COMMIT")
            except apsw.Error as error:
                failure = error
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
                loop.call_soon_threadsafe(done, failure)


class _Reading:
    """A read transaction, begun by its first question: where caches have every answer, it costs next to nothing.

    A view is that of its first statement anyway: SQLite takes the snapshot then, not at BEGIN. The methods never suspend;
    they are `async` for the engines that must.
    """

    __slots__ = ("_begin", "_connection", "_end", "_ended")

    def __init__(self, begin: Callable[[], apsw.Connection], end: Callable[[apsw.Connection], None]) -> None:
        self._begin = begin
        self._end = end
        self._connection: apsw.Connection | None = None
        self._ended = False

    async def __aenter__(self) -> "_Reading":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended = True
        connection, self._connection = self._connection, None
        if connection is not None:
            self._end(connection)

    def _begun(self) -> apsw.Connection:
        if self._ended:
            raise StorageError("the transaction has ended")
        connection = self._connection = self._begin()
        return connection

    async def fetch_one(self, sql: str, *parameters: Value) -> Row | None:
        connection = self._connection or self._begun()
        return cast("Row | None", connection.execute(sql, parameters).fetchone())

    async def fetch_all(self, sql: str, *parameters: Value) -> Sequence[Row]:
        connection = self._connection or self._begun()
        return connection.execute(sql, parameters).fetchall()


class SqliteTx:
    """A write transaction inside the current batch. The methods that read and write never suspend."""

    __slots__ = ("_connection", "_done", "_failure", "_on_commit", "_on_failure", "_waiters")

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._done = False
        self._failure: BaseException | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._on_commit: list[Callable[[], object]] = []
        self._on_failure: list[Callable[[], object]] = []

    async def fetch_one(self, sql: str, *parameters: Value) -> Row | None:
        return cast("Row | None", self._connection.execute(sql, parameters).fetchone())

    async def fetch_all(self, sql: str, *parameters: Value) -> Sequence[Row]:
        return self._connection.execute(sql, parameters).fetchall()

    async def execute(self, sql: str, *parameters: Value) -> int:
        self._connection.execute(sql, parameters)
        return self._connection.changes()

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        self._connection.executemany(sql, rows)

    def after_commit(self, action: Callable[[], object]) -> None:
        self._on_commit.append(action)

    def after_failure(self, action: Callable[[], object]) -> None:
        self._on_failure.append(action)

    def durable(self) -> Awaitable[None]:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._done:
            # One future for each who waits: whoever is cancelled takes nothing from the others.
            self._waiters.append(waiter)
        elif self._failure is not None:
            waiter.set_exception(_lost(self._failure))
        else:
            waiter.set_result(None)
        return waiter

    def abandon(self) -> None:
        """The block failed; nothing of it will ever be durable."""
        self._done = True
        self._failure = StorageError("the transaction was abandoned")
        self._act(self._on_failure)

    def tell(self, failure: BaseException | None) -> None:
        """The batch's COMMIT ended: whoever waits goes on, once what follows has been done (`follow`)."""
        self._done = True
        self._failure = failure
        for waiter in self._waiters:
            if not waiter.done():
                if failure is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(_lost(failure))

    def follow(self) -> None:
        """Do what follows the end of the transaction."""
        self._act(self._on_commit if self._failure is None else self._on_failure)

    def _act(self, actions: Sequence[Callable[[], object]]) -> None:
        for action in actions:
            try:
                action()
            except Exception:
                # The pen is still to be passed: a broken listener must not stop every writer.
                logger.exception("What follows a transaction failed.")
        # A room may keep this object for as long as it lives; what the actions refer to need not stay.
        self._on_commit, self._on_failure = [], []


def _lost(failure: BaseException) -> StorageError:
    error = StorageError(f"a commit failed: {type(failure).__name__}")
    error.__cause__ = failure
    return error
