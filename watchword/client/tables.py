"""The tables of a client's store: sealed rows by hashed name."""

from collections.abc import Iterable, Sequence

from watchword.storage import ReadTx, Tx


async def lock(view: ReadTx) -> tuple[bytes, bytes] | None:
    """(salt, probe), or None in a new store."""
    row = await view.fetch_one("SELECT salt, probe FROM client_lock WHERE only_row = 1")
    return None if row is None else (row[0], row[1])


async def add_lock(tx: Tx, salt: bytes, probe: bytes) -> None:
    """Close a new store."""
    await tx.execute("INSERT INTO client_lock (only_row, salt, probe) VALUES (1, ?, ?)", salt, probe)


async def records(view: ReadTx) -> Sequence[tuple[bytes, bytes]]:
    """Every sealed row: (name, value). A client's store is read whole once, when it opens."""
    return [(row[0], row[1]) for row in await view.fetch_all("SELECT name, value FROM client_records")]


async def put_records(tx: Tx, rows: Iterable[tuple[bytes, bytes]]) -> None:
    """Add or replace rows."""
    await tx.execute_many("INSERT OR REPLACE INTO client_records (name, value) VALUES (?, ?)", rows)


async def remove_records(tx: Tx, names: Iterable[bytes]) -> None:
    """Drop rows."""
    await tx.execute_many("DELETE FROM client_records WHERE name = ?", ((name,) for name in names))


async def remove_all(tx: Tx) -> None:
    """Forget every row but the lock."""
    await tx.execute("DELETE FROM client_records")
