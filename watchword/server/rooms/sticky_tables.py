"""The SQL of sticky events. Rows in, rows out; nothing is decided here."""

from typing import NamedTuple

from watchword.protocol.ids import RoomId
from watchword.storage import ReadTx, Tx


class StickyRow(NamedTuple):
    """A sticky event as stored. position 0: it is soft-failed."""

    event_nid: int
    room_id: RoomId
    position: int
    expires_ts: int


async def save(tx: Tx, event_nid: int, room_nid: int, position: int, expires_ts: int) -> None:
    await tx.execute(
        "INSERT INTO sticky_events (event_nid, room_nid, position, expires_ts) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (event_nid) DO UPDATE SET position = excluded.position",
        event_nid,
        room_nid,
        position,
        expires_ts,
    )


async def delete(tx: Tx, event_nid: int) -> None:
    await tx.execute("DELETE FROM sticky_events WHERE event_nid = ?", event_nid)


async def unexpired(tx: ReadTx, now_ms: int, after_nid: int, limit: int) -> list[StickyRow]:
    """Those that are sticky still, in order of their number."""
    rows = await tx.fetch_all(
        "SELECT s.event_nid, r.room_id, s.position, s.expires_ts FROM sticky_events AS s "
        "JOIN rooms AS r ON r.room_nid = s.room_nid WHERE s.expires_ts > ? AND s.event_nid > ? ORDER BY s.event_nid LIMIT ?",
        now_ms,
        after_nid,
        limit,
    )
    return [StickyRow(int(row[0]), RoomId(row[1]), int(row[2]), int(row[3])) for row in rows]


async def delete_expired(tx: Tx, now_ms: int, limit: int) -> None:
    await tx.execute(
        "DELETE FROM sticky_events WHERE event_nid IN "
        "(SELECT event_nid FROM sticky_events WHERE expires_ts <= ? ORDER BY expires_ts LIMIT ?)",
        now_ms,
        limit,
    )
