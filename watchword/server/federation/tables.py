"""All SQL of federation's tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from watchword.protocol.ids import ServerName
from watchword.storage import Position, ReadTx, Row, Tx


@dataclass(frozen=True, slots=True)
class DestinationRow:
    """What is known of another server. behind_after: every change after it may still be owed; None: nothing is owed."""

    server_name: ServerName
    failures: int = 0
    failing_since_ts: int = 0
    retry_after_ts: int = 0
    last_success_ts: int = 0
    behind_after: Position | None = None


def _destination(row: Row) -> DestinationRow:
    behind_after = None if row[5] is None else Position(row[5])
    return DestinationRow(ServerName(row[0]), row[1], row[2], row[3], row[4], behind_after)


_DESTINATION = "server_name, failures, failing_since_ts, retry_after_ts, last_success_ts, behind_after"


async def destinations(tx: ReadTx, limit: int) -> Sequence[DestinationRow]:
    """Destinations that failed last, or are owed something."""
    rows = await tx.fetch_all(
        f"SELECT {_DESTINATION} FROM federation_destinations "  # noqa: S608
        "WHERE failures > 0 OR behind_after IS NOT NULL ORDER BY server_name LIMIT ?",
        limit,
    )
    return [_destination(row) for row in rows]


async def destinations_after(tx: ReadTx, after: str, limit: int) -> Sequence[DestinationRow]:
    """Destinations by name, after one of them."""
    rows = await tx.fetch_all(
        f"SELECT {_DESTINATION} FROM federation_destinations WHERE server_name > ? ORDER BY server_name LIMIT ?",  # noqa: S608
        after,
        limit,
    )
    return [_destination(row) for row in rows]


async def destination(tx: ReadTx, server_name: ServerName) -> DestinationRow | None:
    """One destination."""
    row = await tx.fetch_one(f"SELECT {_DESTINATION} FROM federation_destinations WHERE server_name = ?", server_name)  # noqa: S608
    return None if row is None else _destination(row)


async def save_reachability(tx: Tx, row: DestinationRow) -> None:
    """Keep how a server answers; what it is owed stays."""
    await tx.execute(
        "INSERT INTO federation_destinations (server_name, failures, failing_since_ts, retry_after_ts, last_success_ts) "
        "VALUES (?, ?, ?, ?, ?) ON CONFLICT (server_name) DO UPDATE SET failures = excluded.failures, "
        "failing_since_ts = excluded.failing_since_ts, retry_after_ts = excluded.retry_after_ts, "
        "last_success_ts = excluded.last_success_ts",
        row.server_name,
        row.failures,
        row.failing_since_ts,
        row.retry_after_ts,
        row.last_success_ts,
    )


async def save_behind(tx: Tx, server_name: ServerName, behind_after: Position | None) -> None:
    """Keep what a server is owed."""
    await tx.execute(
        "INSERT INTO federation_destinations (server_name, behind_after) VALUES (?, ?) "
        "ON CONFLICT (server_name) DO UPDATE SET behind_after = excluded.behind_after",
        server_name,
        behind_after,
    )


async def progress(tx: ReadTx, name: str) -> Position:
    """How far the follower has come; 0 if it never ran."""
    row = await tx.fetch_one("SELECT position FROM federation_progress WHERE name = ?", name)
    return Position(0 if row is None else int(row[0]))


async def save_progress(tx: Tx, name: str, position: Position) -> None:
    """Keep how far the follower has come."""
    await tx.execute(
        "INSERT INTO federation_progress (name, position) VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET position = excluded.position",
        name,
        position,
    )


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A public key of a server. expired_ts: None for a current key, which is valid until valid_until_ts."""

    server_name: ServerName
    key_id: str
    public_key: bytes
    valid_until_ts: int
    expired_ts: int | None


async def server_keys(tx: ReadTx, server_name: ServerName) -> Sequence[KeyRow]:
    """All keys that a server has had."""
    rows = await tx.fetch_all(
        "SELECT key_id, public_key, valid_until_ts, expired_ts FROM federation_server_keys WHERE server_name = ?",
        server_name,
    )
    return [KeyRow(server_name, row[0], row[1], row[2], row[3]) for row in rows]


async def save_server_keys(tx: Tx, keys: Sequence[KeyRow]) -> None:
    """Keep keys; the newest word about a key stands. Keys that a server no longer names stay, for its old events."""
    await tx.execute_many(
        "INSERT INTO federation_server_keys (server_name, key_id, public_key, valid_until_ts, expired_ts) "
        "VALUES (?, ?, ?, ?, ?) ON CONFLICT (server_name, key_id) DO UPDATE SET public_key = excluded.public_key, "
        "valid_until_ts = excluded.valid_until_ts, expired_ts = excluded.expired_ts",
        [(key.server_name, key.key_id, key.public_key, key.valid_until_ts, key.expired_ts) for key in keys],
    )


@dataclass(frozen=True, slots=True)
class KeyAnswerRow:
    """The last key answer of a server, as it sent it, for those who ask us as a notary."""

    server_name: ServerName
    answer: bytes
    fetched_ts: int
    valid_until_ts: int


async def key_answer(tx: ReadTx, server_name: ServerName) -> KeyAnswerRow | None:
    """The last answer of a server, or None."""
    row = await tx.fetch_one(
        "SELECT answer, fetched_ts, valid_until_ts FROM federation_key_answers WHERE server_name = ?", server_name
    )
    return None if row is None else KeyAnswerRow(server_name, row[0], row[1], row[2])


async def save_key_answer(tx: Tx, row: KeyAnswerRow) -> None:
    """Keep the last answer of a server."""
    await tx.execute(
        "INSERT INTO federation_key_answers (server_name, answer, fetched_ts, valid_until_ts) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (server_name) DO UPDATE SET answer = excluded.answer, fetched_ts = excluded.fetched_ts, "
        "valid_until_ts = excluded.valid_until_ts",
        row.server_name,
        row.answer,
        row.fetched_ts,
        row.valid_until_ts,
    )
