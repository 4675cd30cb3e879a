"""What every storage engine offers: `Database.read()` and `Database.write()` give a `Tx`.

SQL is written once, with `?` for parameters, in the dialect that SQLite and PostgreSQL share; an engine translates what
differs. Deliberately absent: an object mapper, and any knowledge of what a row means.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

Value = str | int | float | bytes | None
Row = tuple[Any, ...]


class ReadTx(Protocol):
    """A consistent view of what is committed."""

    async def fetch_one(self, sql: str, *parameters: Value) -> Row | None:
        """Return the first row, or None."""
        ...

    async def fetch_all(self, sql: str, *parameters: Value) -> Sequence[Row]:
        """Return every row; the query itself carries the bound (`LIMIT`)."""
        ...


class Tx(ReadTx, Protocol):
    """A transaction that may write. All of it becomes durable, or nothing.

    Never await anything but this object while holding it: it is the server's only pen.
    """

    async def execute(self, sql: str, *parameters: Value) -> int:
        """Run one statement; return the number of rows it changed."""
        ...

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        """Run one statement once per row."""
        ...

    def after_commit(self, action: Callable[[], object]) -> None:
        """Call action once this transaction is durable; never if it fails. It must be short and must not raise."""
        ...

    def after_failure(self, action: Callable[[], object]) -> None:
        """Call action if this transaction's work is lost after its block ended well (a failed commit)."""
        ...

    def durable(self) -> Awaitable[None]:
        """Wait until the finished transaction is on disk. Raises StorageError if it never will be."""
        ...


Also = Callable[[Tx], Awaitable[None]]
"""What a caller wants written in a transaction that somebody else opens: both become true, or neither does."""


class Database(Protocol):
    """One server's storage."""

    def read(self) -> AbstractAsyncContextManager[ReadTx]:
        """Open a consistent view. Reads never wait for writes."""
        ...

    def write(self, *, wait: bool = True) -> AbstractAsyncContextManager[Tx]:
        """Open the one transaction that writes now; others queue in order.

        Leaving the block normally returns once the transaction is durable; with wait=False it returns at once and the
        caller awaits `tx.durable()` before it acknowledges anything. Leaving by an exception undoes the block alone.
        Raises StorageError when the disk refuses.
        """
        ...

    async def close(self) -> None:
        """Finish what is queued, then close. Idempotent."""
        ...
