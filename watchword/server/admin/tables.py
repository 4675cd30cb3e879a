"""The SQL of administration. Rows in, rows out; nothing is decided here."""

from collections.abc import Sequence

import orjson

from watchword.protocol.ids import RoomId, UserId
from watchword.server.admin.commands import AuditEntry, AuditQuery, Removal
from watchword.storage import ReadTx, Row, Tx, Value

# The audit log


async def add_entry(tx: Tx, entry: AuditEntry) -> None:
    """Keep an entry; its number is given here."""
    await tx.execute(
        "INSERT INTO audit_log (ts, by, action, whom, outcome, address, details) VALUES (?, ?, ?, ?, ?, ?, ?)",
        entry.ts,
        entry.by or "",
        entry.action,
        entry.whom,
        entry.outcome,
        entry.address,
        orjson.dumps(dict(entry.details)).decode(),
    )


async def entries(tx: ReadTx, query: AuditQuery) -> list[AuditEntry]:
    """A page, newest first."""
    conditions: list[str] = []
    values: list[Value] = []
    if query.before:
        conditions.append("entry_id < ?")
        values.append(query.before)
    if query.by is not None:
        conditions.append("by = ?")
        values.append(query.by)
    if query.whom is not None:
        conditions.append("whom = ?")
        values.append(query.whom)
    if query.action is not None:
        conditions.append("(action = ? OR substr(action, 1, ?) = ?)")
        values += [query.action, len(query.action) + 1, f"{query.action}."]
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    rows = await tx.fetch_all(
        f"SELECT entry_id, ts, by, action, whom, outcome, address, details FROM audit_log {where}"  # noqa: S608
        "ORDER BY entry_id DESC LIMIT ?",
        *values,
        query.limit,
    )
    return [
        AuditEntry(row[0], row[1], UserId(row[2]) if row[2] else None, row[3], row[4], row[5], row[6], orjson.loads(row[7]))
        for row in rows
    ]


async def drop_entries(tx: Tx, before_ts: int, limit: int) -> int:
    """Drop some of the entries that are older; how many."""
    return await tx.execute(
        "DELETE FROM audit_log WHERE entry_id IN (SELECT entry_id FROM audit_log WHERE ts < ? ORDER BY ts LIMIT ?)",
        before_ts,
        limit,
    )


# Blocked rooms


async def blocked_rooms(tx: ReadTx, limit: int) -> list[RoomId]:
    rows = await tx.fetch_all("SELECT room_id FROM blocked_rooms ORDER BY blocked_ts DESC LIMIT ?", limit)
    return [RoomId(row[0]) for row in rows]


async def blocked_by(tx: ReadTx, room_id: RoomId) -> UserId | None:
    """Who blocked a room; None if nobody did."""
    row = await tx.fetch_one("SELECT blocked_by FROM blocked_rooms WHERE room_id = ?", room_id)
    return None if row is None else UserId(row[0])


async def block(tx: Tx, room_id: RoomId, by: UserId, now_ms: int) -> None:
    await tx.execute(
        "INSERT INTO blocked_rooms (room_id, blocked_by, blocked_ts) VALUES (?, ?, ?) ON CONFLICT (room_id) DO NOTHING",
        room_id,
        by,
        now_ms,
    )


async def unblock(tx: Tx, room_id: RoomId) -> None:
    await tx.execute("DELETE FROM blocked_rooms WHERE room_id = ?", room_id)


# Removals of rooms

_REMOVAL = (
    "removal_id, room_id, begun_by, begun_ts, purge, reason, stage, left_users, failed_users, aliases, ended_ts "
    "FROM room_removals"
)


def _removal(row: Row) -> Removal:
    return Removal(
        removal_id=row[0],
        room_id=RoomId(row[1]),
        begun_by=UserId(row[2]),
        begun_ts=row[3],
        purge=bool(row[4]),
        reason=row[5],
        stage=row[6],
        left=tuple(orjson.loads(row[7])),
        failed=tuple(orjson.loads(row[8])),
        aliases=tuple(orjson.loads(row[9])),
        ended_ts=row[10] or None,
    )


async def save_removal(tx: Tx, removal: Removal) -> None:
    """Keep how far one has come."""
    await tx.execute(
        "INSERT INTO room_removals (removal_id, room_id, begun_by, begun_ts, purge, reason, stage, left_users, failed_users, "
        "aliases, ended_ts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (removal_id) DO UPDATE SET "
        "stage = excluded.stage, left_users = excluded.left_users, failed_users = excluded.failed_users, "
        "aliases = excluded.aliases, ended_ts = excluded.ended_ts",
        removal.removal_id,
        removal.room_id,
        removal.begun_by,
        removal.begun_ts,
        int(removal.purge),
        removal.reason,
        removal.stage,
        orjson.dumps(list(removal.left)).decode(),
        orjson.dumps(list(removal.failed)).decode(),
        orjson.dumps(list(removal.aliases)).decode(),
        removal.ended_ts or 0,
    )


async def removal(tx: ReadTx, removal_id: str) -> Removal | None:
    row = await tx.fetch_one(f"SELECT {_REMOVAL} WHERE removal_id = ?", removal_id)
    return None if row is None else _removal(row)


async def removals_of(tx: ReadTx, room_id: RoomId, limit: int) -> list[Removal]:
    """Those of a room, newest first."""
    rows = await tx.fetch_all(f"SELECT {_REMOVAL} WHERE room_id = ? ORDER BY begun_ts DESC LIMIT ?", room_id, limit)
    return [_removal(row) for row in rows]


async def drop_removals(tx: Tx, before_ts: int) -> None:
    """Forget those that ended before a time."""
    await tx.execute("DELETE FROM room_removals WHERE ended_ts > 0 AND ended_ts < ?", before_ts)


async def open_removals(tx: ReadTx, limit: int) -> Sequence[Removal]:
    """Those that have not ended, the oldest first."""
    rows = await tx.fetch_all(f"SELECT {_REMOVAL} WHERE ended_ts = 0 ORDER BY begun_ts LIMIT ?", limit)
    return [_removal(row) for row in rows]
