"""The SQL of redactions that are still to be carried out. Rows in, rows out; nothing is decided here."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.rooms.records import EventRow
from watchword.storage import ReadTx, Tx

_EVENT = "event_nid, event_id, room_nid, ordering, depth, flags, replaces_nid, redacted_by_nid, json"


@dataclass(frozen=True, slots=True)
class MemberRedaction:
    """A kick or ban that takes a user's events between two places with it. done: up to where that is carried out."""

    room_id: RoomId
    user_id: UserId
    member_id: EventId
    member_nid: int
    after: int
    until: int
    done: int


@dataclass(frozen=True, slots=True)
class DueRedaction:
    """An event that is to be redacted for somebody."""

    number: int
    room_id: RoomId
    event_id: EventId
    user_id: UserId
    reason: str | None


# Kicks and bans that redact


async def insert_member_redaction(tx: Tx, room_nid: int, user_nid: int, member_nid: int, after: int, until: int) -> None:
    await tx.execute(
        "INSERT INTO member_redactions (room_nid, user_nid, member_nid, after_ordering, until_ordering, done_ordering) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        room_nid,
        user_nid,
        member_nid,
        after,
        until,
        after,
    )


async def next_member_redaction(tx: ReadTx) -> MemberRedaction | None:
    """One that is not carried out yet."""
    row = await tx.fetch_one(
        "SELECT r.room_id, n.name, e.event_id, m.member_nid, m.after_ordering, m.until_ordering, m.done_ordering "
        "FROM member_redactions AS m JOIN rooms AS r ON r.room_nid = m.room_nid JOIN names AS n ON n.id = m.user_nid "
        "JOIN events AS e ON e.event_nid = m.member_nid WHERE m.done_ordering < m.until_ordering ORDER BY m.member_nid LIMIT 1"
    )
    return None if row is None else MemberRedaction(*cast("tuple[RoomId, UserId, EventId, int, int, int, int]", tuple(row)))


async def move_member_redaction(tx: Tx, member_nid: int, done: int) -> None:
    """Note how far one was carried out."""
    await tx.execute("UPDATE member_redactions SET done_ordering = ? WHERE member_nid = ?", done, member_nid)


async def member_redaction_over(tx: ReadTx, room_nid: int, user_nid: int, ordering: int) -> int | None:
    """The number of the kick or ban that takes with it whatever a user said at a place; None if there is none."""
    row = await tx.fetch_one(
        "SELECT member_nid FROM member_redactions WHERE room_nid = ? AND user_nid = ? "
        "AND after_ordering < ? AND until_ordering > ? LIMIT 1",
        room_nid,
        user_nid,
        ordering,
        ordering,
    )
    return None if row is None else int(row[0])


async def end_of_chunk(tx: ReadTx, room_nid: int, after: int, until: int, limit: int) -> int:
    """The place up to which a number of events stand after a place; `until` if there are no more."""
    row = await tx.fetch_one(
        "SELECT ordering FROM events WHERE room_nid = ? AND ordering > ? AND ordering < ? ORDER BY ordering LIMIT 1 OFFSET ?",
        room_nid,
        after,
        until,
        limit - 1,
    )
    return until if row is None else int(row[0])


async def events_of_sender(tx: ReadTx, room_nid: int, sender: UserId, span: tuple[int, int]) -> list[EventRow]:
    """A user's events with span[0] < ordering <= span[1] that nobody redacted. Reads every event between."""
    rows = await tx.fetch_all(
        f"SELECT {_EVENT} FROM events WHERE room_nid = ? AND ordering > ? AND ordering <= ? AND redacted_by_nid IS NULL "  # noqa: S608
        "AND json_extract(CAST(json AS TEXT), '$.sender') = ? ORDER BY ordering",
        room_nid,
        *span,
        sender,
    )
    return [_row(row) for row in rows]


def _row(row: Sequence[object]) -> EventRow:
    return EventRow(*cast("tuple[int, EventId, int, int | None, int, int, int | None, int | None, bytes]", tuple(row)))


# Redactions with relations


async def save_with_relations(
    tx: Tx, room_nid: int, parent_id: EventId, user_nid: int, rel_types: Sequence[str], reason: str | None
) -> None:
    await tx.execute(
        "INSERT INTO redactions_with_relations (room_nid, parent_id, user_nid, rel_types, reason) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (room_nid, parent_id, user_nid) DO UPDATE SET rel_types = excluded.rel_types, reason = excluded.reason",
        room_nid,
        parent_id,
        user_nid,
        json.dumps(list(rel_types)),
        reason,
    )


async def with_relations_of(tx: ReadTx, room_nid: int, parent_id: EventId) -> list[tuple[int, list[str], str | None]]:
    """Who wants what relates to an event redacted: (number of the user, rel_types, reason)."""
    rows = await tx.fetch_all(
        "SELECT user_nid, rel_types, reason FROM redactions_with_relations WHERE room_nid = ? AND parent_id = ? LIMIT 20",
        room_nid,
        parent_id,
    )
    return [(int(row[0]), json.loads(row[1]), row[2]) for row in rows]


async def related_of_types(
    tx: ReadTx, room_nid: int, parent_id: EventId, rel_types: Sequence[str] | None, limit: int
) -> list[int]:
    """The numbers of what relates to an event by one of these types (None: any), the newest first."""
    types = "" if rel_types is None else " AND rel_type IN (SELECT value FROM json_each(?))"
    rows = await tx.fetch_all(
        f"SELECT child_nid FROM event_relations WHERE room_nid = ? AND parent_id = ?{types} "  # noqa: S608
        "ORDER BY ordering DESC LIMIT ?",
        room_nid,
        parent_id,
        *(() if rel_types is None else (json.dumps(list(rel_types)),)),
        limit,
    )
    return [int(row[0]) for row in rows]


async def insert_due(tx: Tx, room_nid: int, event_nids: Iterable[int], user_nid: int, reason: str | None) -> None:
    await tx.execute_many(
        "INSERT INTO redactions_due (room_nid, event_nid, user_nid, reason) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [(room_nid, event_nid, user_nid, reason) for event_nid in event_nids],
    )


async def due(tx: ReadTx, limit: int) -> list[DueRedaction]:
    """The oldest first."""
    rows = await tx.fetch_all(
        "SELECT d.number, r.room_id, e.event_id, n.name, d.reason FROM redactions_due AS d "
        "JOIN rooms AS r ON r.room_nid = d.room_nid JOIN events AS e ON e.event_nid = d.event_nid "
        "JOIN names AS n ON n.id = d.user_nid ORDER BY d.number LIMIT ?",
        limit,
    )
    return [DueRedaction(*cast("tuple[int, RoomId, EventId, UserId, str | None]", tuple(row))) for row in rows]


async def delete_due(tx: Tx, numbers: Iterable[int]) -> None:
    await tx.execute_many("DELETE FROM redactions_due WHERE number = ?", [(number,) for number in numbers])
