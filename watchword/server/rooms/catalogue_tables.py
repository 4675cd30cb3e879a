"""The SQL of what walks over all rooms and events: sweeps, times, edits, names of members. Rows in, rows out."""

from collections.abc import Sequence
from typing import cast

from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.rooms.records import FOREVER, ORDERING_SHIFT, EventRow
from watchword.storage import ReadTx, Tx

_EVENT = "event_nid, event_id, room_nid, ordering, depth, flags, replaces_nid, redacted_by_nid, json"
_HISTORY_BITS = (1 << ORDERING_SHIFT) - 1


def _event(row: Sequence[object]) -> EventRow:
    return EventRow(*cast("tuple[int, EventId, int, int | None, int, int, int | None, int | None, bytes]", tuple(row)))


# Walks


async def last_event_nid(tx: ReadTx) -> int:
    """The highest number of an event; 0 if there are none."""
    row = await tx.fetch_one("SELECT COALESCE(MAX(event_nid), 0) FROM events")
    assert row is not None
    return int(row[0])


async def events_below(tx: ReadTx, event_nid: int, limit: int) -> list[EventRow]:
    """Events with a lower number, the highest first."""
    rows = await tx.fetch_all(
        f"SELECT {_EVENT} FROM events WHERE event_nid < ? ORDER BY event_nid DESC LIMIT ?",  # noqa: S608
        event_nid,
        limit,
    )
    return [_event(row) for row in rows]


async def history_between(tx: ReadTx, after: int, until: int) -> list[EventRow]:
    """Events with after < number <= until that were fetched of the past, the lowest first."""
    rows = await tx.fetch_all(
        f"SELECT {_EVENT} FROM events WHERE event_nid > ? AND event_nid <= ? AND ordering IS NOT NULL "  # noqa: S608
        "AND (ordering & ?) != 0 ORDER BY event_nid",
        after,
        until,
        _HISTORY_BITS,
    )
    return [_event(row) for row in rows]


async def rooms_after(tx: ReadTx, room_nid: int, limit: int) -> list[tuple[int, RoomId]]:
    """(number, room_id) of rooms with a higher number."""
    rows = await tx.fetch_all(
        "SELECT room_nid, room_id FROM rooms WHERE room_nid > ? ORDER BY room_nid LIMIT ?", room_nid, limit
    )
    return [(int(row[0]), RoomId(row[1])) for row in rows]


async def joined_after(tx: ReadTx, room_nid: int, user_nid: int, limit: int) -> list[tuple[int, UserId, bytes]]:
    """(number, user_id, member event) of joined members with a higher number."""
    rows = await tx.fetch_all(
        "SELECT m.user_nid, n.name, e.json FROM memberships AS m "
        "JOIN names AS n ON n.id = m.user_nid JOIN events AS e ON e.event_id = m.event_id "
        "WHERE m.room_nid = ? AND m.user_nid > ? AND m.membership = 'join' ORDER BY m.user_nid LIMIT ?",
        room_nid,
        user_nid,
        limit,
    )
    return [(int(row[0]), UserId(row[1]), row[2]) for row in rows]


# Single events


async def on_line(tx: ReadTx, room_nid: int, type_nid: int, key_nid: int, position: int) -> EventId | None:
    """The event that the line has at an address and a position."""
    row = await tx.fetch_one(
        "SELECT e.event_id FROM state_line AS s JOIN events AS e ON e.event_nid = s.event_nid "
        "WHERE s.room_nid = ? AND s.type_nid = ? AND s.key_nid = ? AND s.position <= ? AND s.until > ? "
        "ORDER BY s.position DESC LIMIT 1",
        room_nid,
        type_nid,
        key_nid,
        position,
        # What holds now ends at FOREVER: no position is beyond it.
        min(position, FOREVER - 1),
    )
    return None if row is None else EventId(row[0])


# Times


async def swept(tx: ReadTx, name: str) -> int:
    row = await tx.fetch_one("SELECT event_nid FROM event_sweeps WHERE name = ?", name)
    return 0 if row is None else int(row[0])


async def save_swept(tx: Tx, name: str, event_nid: int) -> None:
    await tx.execute(
        "INSERT INTO event_sweeps (name, event_nid) VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET event_nid = excluded.event_nid",
        name,
        event_nid,
    )


async def insert_times(tx: Tx, after: int, until: int) -> None:
    """Note when the events with after < number <= until say that they were sent."""
    await tx.execute(
        "INSERT INTO event_times (room_nid, ts, event_nid) "
        "SELECT room_nid, COALESCE(CAST(json_extract(json, '$.origin_server_ts') AS INTEGER), 0), event_nid FROM events "
        "WHERE event_nid > ? AND event_nid <= ? ON CONFLICT DO NOTHING",
        after,
        until,
    )


async def shown_from(tx: ReadTx, room_nid: int, ts: int, after: tuple[int, int], limit: int) -> list[tuple[int, int, int]]:
    """(ts, ordering, number) of shown events sent at or after ts, in that order, beyond the pair (ts, number) `after`."""
    rows = await tx.fetch_all(
        "SELECT t.ts, e.ordering, t.event_nid FROM event_times AS t JOIN events AS e ON e.event_nid = t.event_nid "
        "WHERE t.room_nid = ? AND t.ts >= ? AND (t.ts, t.event_nid) > (?, ?) "
        "AND e.room_nid = t.room_nid AND e.ordering IS NOT NULL AND e.flags & 3 = 0 ORDER BY t.ts, t.event_nid LIMIT ?",
        room_nid,
        ts,
        *after,
        limit,
    )
    return [(int(row[0]), int(row[1]), int(row[2])) for row in rows]


async def shown_until(tx: ReadTx, room_nid: int, ts: int, before: tuple[int, int], limit: int) -> list[tuple[int, int, int]]:
    """(ts, ordering, number) of shown events sent at or before ts, the latest first, before the pair (ts, number) `before`."""
    rows = await tx.fetch_all(
        "SELECT t.ts, e.ordering, t.event_nid FROM event_times AS t JOIN events AS e ON e.event_nid = t.event_nid "
        "WHERE t.room_nid = ? AND t.ts <= ? AND (t.ts, t.event_nid) < (?, ?) "
        "AND e.room_nid = t.room_nid AND e.ordering IS NOT NULL AND e.flags & 3 = 0 "
        "ORDER BY t.ts DESC, t.event_nid DESC LIMIT ?",
        room_nid,
        ts,
        *before,
        limit,
    )
    return [(int(row[0]), int(row[1]), int(row[2])) for row in rows]


# Gaps


async def first_missing_from(tx: ReadTx, room_nid: int, ordering: int) -> int | None:
    """The nearest place at or after this one before which events are missing."""
    row = await tx.fetch_one(
        "SELECT MIN(before_ordering) FROM missing_events WHERE room_nid = ? AND before_ordering >= ?", room_nid, ordering
    )
    return None if row is None or row[0] is None else int(row[0])


# Lists of networks


async def set_network_room(tx: Tx, network_id: str, room_id: RoomId, appservice_id: str) -> None:
    await tx.execute(
        "INSERT INTO network_rooms (network_id, room_id, appservice_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        network_id,
        room_id,
        appservice_id,
    )


async def delete_network_room(tx: Tx, network_id: str, room_id: RoomId, appservice_id: str) -> None:
    await tx.execute(
        "DELETE FROM network_rooms WHERE network_id = ? AND room_id = ? AND appservice_id = ?",
        network_id,
        room_id,
        appservice_id,
    )


async def network_rooms(tx: ReadTx, network_id: str | None, limit: int) -> list[RoomId]:
    """Rooms that a network lists; None: any network."""
    rows = await tx.fetch_all(
        "SELECT DISTINCT room_id FROM network_rooms WHERE ? IS NULL OR network_id = ? ORDER BY room_id LIMIT ?",
        network_id,
        network_id,
        limit,
    )
    return [RoomId(row[0]) for row in rows]
