"""The SQL of moderation. Rows in, rows out; nothing is decided here."""

from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.moderation.commands import Kind, NewReport, Report, ReportQuery
from watchword.storage import ReadTx, Row, Tx, Value

_REPORT = "report_id, kind, reporter, room_id, event_id, user_id, reason, event, received_ts, handled_ts, handled_by"


def _report(row: Row) -> Report:
    what = NewReport(
        Kind(row[1]),
        UserId(row[2]),
        row[6],
        RoomId(row[3]) if row[3] else None,
        EventId(row[4]) if row[4] else None,
        UserId(row[5]) if row[5] else None,
        row[7],
    )
    return Report(row[0], what, row[8], row[9] or None, UserId(row[10]) if row[10] else None)


async def save_report(tx: Tx, what: NewReport, now_ms: int) -> None:
    """A new report; or the same one again, with what is said now, and open again."""
    await tx.execute(
        "INSERT INTO reports (kind, reporter, room_id, event_id, user_id, reason, event, received_ts) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (reporter, kind, room_id, event_id, user_id) DO UPDATE SET "
        "reason = excluded.reason, event = COALESCE(excluded.event, event), received_ts = excluded.received_ts, "
        "handled_ts = 0, handled_by = ''",
        what.kind.value,
        what.reporter,
        what.room_id or "",
        what.event_id or "",
        what.user_id or "",
        what.reason,
        what.event,
        now_ms,
    )


async def reports_since(tx: ReadTx, reporter: UserId, after_ts: int) -> int:
    """How many reports somebody has made since."""
    row = await tx.fetch_one("SELECT COUNT(*) FROM reports WHERE reporter = ? AND received_ts > ?", reporter, after_ts)
    return 0 if row is None else int(row[0])


async def reports(tx: ReadTx, *, handled: bool, after: int, limit: int) -> list[Report]:
    """A page of the queue, oldest first. after: the last report_id of the page before; 0 to begin."""
    comparison = "handled_ts > 0" if handled else "handled_ts = 0"
    rows = await tx.fetch_all(
        f"SELECT {_REPORT} FROM reports WHERE {comparison} AND report_id > ? ORDER BY report_id LIMIT ?",  # noqa: S608
        after,
        limit,
    )
    return [_report(row) for row in rows]


def _where(query: ReportQuery) -> tuple[str, list[Value]]:
    conditions, values = ["1 = 1"], list[Value]()
    for column, wanted in (
        ("kind", None if query.kind is None else query.kind.value),
        ("reporter", query.reporter),
        ("room_id", query.room_id),
    ):
        if wanted is not None:
            conditions.append(f"{column} = ?")
            values.append(wanted)
    if query.handled is not None:
        conditions.append("handled_ts > 0" if query.handled else "handled_ts = 0")
    return " AND ".join(conditions), values


async def reports_by_age(tx: ReadTx, query: ReportQuery) -> list[Report]:
    """A page, by when they came first."""
    where, values = _where(query)
    direction = "ASC" if query.oldest_first else "DESC"
    rows = await tx.fetch_all(
        f"SELECT {_REPORT} FROM reports WHERE {where} ORDER BY report_id {direction} LIMIT ? OFFSET ?",  # noqa: S608
        *values,
        query.limit,
        query.start,
    )
    return [_report(row) for row in rows]


async def count_fitting(tx: ReadTx, query: ReportQuery) -> int:
    """How many there are in all."""
    where, values = _where(query)
    row = await tx.fetch_one(f"SELECT COUNT(*) FROM reports WHERE {where}", *values)  # noqa: S608
    assert row is not None
    return int(row[0])


async def report(tx: ReadTx, report_id: int) -> Report | None:
    row = await tx.fetch_one(f"SELECT {_REPORT} FROM reports WHERE report_id = ?", report_id)  # noqa: S608
    return None if row is None else _report(row)


async def count_reports(tx: ReadTx, *, handled: bool) -> int:
    comparison = "handled_ts > 0" if handled else "handled_ts = 0"
    row = await tx.fetch_one(f"SELECT COUNT(*) FROM reports WHERE {comparison}")  # noqa: S608
    return 0 if row is None else int(row[0])


async def handle_report(tx: Tx, report_id: int, by: UserId, now_ms: int) -> bool:
    """Mark as dealt with; what was copied of the event goes."""
    changed = await tx.execute(
        "UPDATE reports SET handled_ts = ?, handled_by = ?, event = NULL WHERE report_id = ? AND handled_ts = 0",
        now_ms,
        by,
        report_id,
    )
    return changed > 0


async def delete_report(tx: Tx, report_id: int) -> bool:
    return await tx.execute("DELETE FROM reports WHERE report_id = ?", report_id) > 0


async def delete_oldest_reports(tx: Tx, keep: int) -> None:
    """Drop what is over a bound: those that were dealt with first, then the oldest."""
    await tx.execute(
        "DELETE FROM reports WHERE report_id IN "
        "(SELECT report_id FROM reports ORDER BY handled_ts = 0 DESC, report_id DESC LIMIT -1 OFFSET ?)",
        keep,
    )
