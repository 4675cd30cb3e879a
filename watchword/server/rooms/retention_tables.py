"""The SQL of retention: rooms and what they wish, events that are too old, their end. Rows in, rows out."""

from typing import NamedTuple

from watchword.protocol.ids import RoomId
from watchword.server.rooms.records import EXPIRED, FOREVER
from watchword.storage import ReadTx, Tx


class RoomWish(NamedTuple):
    """A room and its m.room.retention as JSON, None if it has none."""

    room_nid: int
    room_id: RoomId
    event: bytes | None


async def wishes(tx: ReadTx, type_nid: int, key_nid: int, after: int, limit: int) -> list[RoomWish]:
    """Rooms by number, after one of them; type_nid: of m.room.retention; key_nid: of the empty state key."""
    rows = await tx.fetch_all(
        "SELECT r.room_nid, r.room_id, e.json FROM rooms AS r "
        "LEFT JOIN state_line AS s ON s.room_nid = r.room_nid AND s.type_nid = ? AND s.key_nid = ? AND s.until = ? "
        "LEFT JOIN events AS e ON e.event_nid = s.event_nid WHERE r.room_nid > ? ORDER BY r.room_nid LIMIT ?",
        type_nid,
        key_nid,
        FOREVER,
        after,
        limit,
    )
    return [RoomWish(int(row[0]), RoomId(row[1]), row[2]) for row in rows]


async def old_events(tx: ReadTx, room_nid: int, after: tuple[int, int], before_ts: int, limit: int) -> list[tuple[int, int]]:
    """(ts, number) of events in a room's timeline that were sent before a time, in that order, after one of them."""
    rows = await tx.fetch_all(
        "SELECT t.ts, t.event_nid FROM event_times AS t JOIN events AS e ON e.event_nid = t.event_nid "
        "WHERE t.room_nid = ? AND (t.ts, t.event_nid) > (?, ?) AND t.ts < ? AND e.room_nid = t.room_nid "
        "AND e.ordering IS NOT NULL AND e.flags & ? = 0 ORDER BY t.ts, t.event_nid LIMIT ?",
        room_nid,
        after[0],
        after[1],
        before_ts,
        EXPIRED,
        limit,
    )
    return [(int(row[0]), int(row[1])) for row in rows]


async def expire_event(tx: Tx, event_nid: int, pruned: bytes, ordering: int | None) -> None:
    """Leave of an event what the graph needs; ordering None: its place in the timeline goes too."""
    await tx.execute(
        "UPDATE events SET json = ?, ordering = ?, flags = flags | ? WHERE event_nid = ?",
        pruned,
        ordering,
        EXPIRED,
        event_nid,
    )


async def forget_time(tx: Tx, room_nid: int, ts: int, event_nid: int) -> None:
    await tx.execute("DELETE FROM event_times WHERE room_nid = ? AND ts = ? AND event_nid = ?", room_nid, ts, event_nid)


async def forget_gaps(tx: Tx, room_nid: int, until: int) -> None:
    """Drop the gaps that lie at or before a place of the timeline: what is missing there is too old as well."""
    await tx.execute("DELETE FROM missing_events WHERE room_nid = ? AND before_ordering <= ?", room_nid, until)
