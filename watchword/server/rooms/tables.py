"""The SQL of rooms, events and state. Rows in, rows out; nothing is decided here."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import cast

from watchword.protocol.events import StateKey
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.rooms.commands import Transaction
from watchword.server.rooms.records import (
    FOREVER,
    EventRow,
    NewEvent,
    RoomRow,
    position_of,
)
from watchword.storage import ReadTx, Tx, Value

_IN_MAX = 500
_NEWEST = "newest"

_EVENT = "event_nid, event_id, room_nid, ordering, depth, flags, replaces_nid, redacted_by_nid, json"


def _event(row: Sequence[object]) -> EventRow:
    return EventRow(*cast("tuple[int, EventId, int, int | None, int, int, int | None, int | None, bytes]", tuple(row)))


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _chunks(values: Collection[Value]) -> Iterable[list[Value]]:
    """Lists of a few fixed lengths, so that the statement cache keeps them; a short last chunk repeats its last value."""
    listed = list(values)
    for start in range(0, len(listed), _IN_MAX):
        chunk = listed[start : start + _IN_MAX]
        size = 1
        while size < len(chunk):
            size *= 4
        yield chunk + [chunk[-1]] * (min(size, _IN_MAX) - len(chunk))


# Rooms


async def insert_room(tx: Tx, room_nid: int, room_id: RoomId, version: str) -> None:
    await tx.execute(
        "INSERT INTO rooms (room_nid, room_id, version) VALUES (?, ?, ?) ON CONFLICT (room_nid) DO NOTHING",
        room_nid,
        room_id,
        version,
    )


async def room(tx: ReadTx, room_id: RoomId) -> RoomRow | None:
    row = await tx.fetch_one("SELECT room_nid, room_id, version, is_public, extremities FROM rooms WHERE room_id = ?", room_id)
    if row is None:
        return None
    extremities = None
    if row[4] != _NEWEST:
        extremities = {EventId(event_id): int(depth) for event_id, depth in json.loads(row[4])}
    return RoomRow(int(row[0]), RoomId(row[1]), str(row[2]), bool(row[3]), extremities)


async def room_version(tx: ReadTx, room_nid: int) -> str:
    row = await tx.fetch_one("SELECT version FROM rooms WHERE room_nid = ?", room_nid)
    assert row is not None, room_nid
    return str(row[0])


async def save_extremities(tx: Tx, room_nid: int, extremities: Mapping[EventId, int] | None) -> None:
    """None: the newest event of the timeline, alone, whichever that is from now on."""
    encoded = _NEWEST if extremities is None else json.dumps(list(extremities.items()), separators=(",", ":"))
    await tx.execute("UPDATE rooms SET extremities = ? WHERE room_nid = ?", encoded, room_nid)


async def set_public(tx: Tx, room_nid: int, is_public: bool) -> None:
    await tx.execute("UPDATE rooms SET is_public = ? WHERE room_nid = ?", int(is_public), room_nid)


async def public_rooms(tx: ReadTx, after: str, limit: int) -> list[RoomId]:
    """Listed rooms in order of their ID, after one of them ('' to begin)."""
    rows = await tx.fetch_all(
        "SELECT room_id FROM rooms WHERE is_public = 1 AND room_id > ? ORDER BY room_id LIMIT ?", after, limit
    )
    return [RoomId(row[0]) for row in rows]


# Events


async def insert_event(tx: Tx, room_nid: int, event: NewEvent) -> int:
    """Store an event; return its number."""
    row = await tx.fetch_one(
        "INSERT INTO events (event_id, room_nid, ordering, depth, flags, replaces_nid, json) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "RETURNING event_nid",
        event.event_id,
        room_nid,
        event.ordering,
        event.depth,
        event.flags,
        event.replaces_nid,
        event.json,
    )
    assert row is not None
    return int(row[0])


async def promote_event(tx: Tx, event_nid: int, ordering: int | None, flags: int, replaces_nid: int | None) -> None:
    """Give an event that was known outside the timeline its place in it."""
    await tx.execute(
        "UPDATE events SET ordering = ?, flags = ?, replaces_nid = ? WHERE event_nid = ?",
        ordering,
        flags,
        replaces_nid,
        event_nid,
    )


async def events_by_id(tx: ReadTx, event_ids: Collection[EventId]) -> dict[EventId, EventRow]:
    found: dict[EventId, EventRow] = {}
    for chunk in _chunks(event_ids):
        rows = await tx.fetch_all(f"SELECT {_EVENT} FROM events WHERE event_id IN ({_marks(len(chunk))})", *chunk)  # noqa: S608
        found.update((EventId(row[1]), _event(row)) for row in rows)
    return found


async def event_by_id(tx: ReadTx, event_id: EventId) -> EventRow | None:
    row = await tx.fetch_one(f"SELECT {_EVENT} FROM events WHERE event_id = ?", event_id)  # noqa: S608
    return None if row is None else _event(row)


async def events_by_nid(tx: ReadTx, event_nids: Collection[int]) -> dict[int, EventRow]:
    found: dict[int, EventRow] = {}
    for chunk in _chunks(event_nids):
        rows = await tx.fetch_all(f"SELECT {_EVENT} FROM events WHERE event_nid IN ({_marks(len(chunk))})", *chunk)  # noqa: S608
        found.update((int(row[0]), _event(row)) for row in rows)
    return found


async def known_events(tx: ReadTx, event_ids: Collection[EventId]) -> dict[EventId, tuple[int, int]]:
    """event_id → (number, flags) of those that are stored."""
    found: dict[EventId, tuple[int, int]] = {}
    for chunk in _chunks(event_ids):
        rows = await tx.fetch_all(
            f"SELECT event_id, event_nid, flags FROM events WHERE event_id IN ({_marks(len(chunk))})",  # noqa: S608
            *chunk,
        )
        found.update((EventId(row[0]), (int(row[1]), int(row[2]))) for row in rows)
    return found


async def event_ids_by_nid(tx: ReadTx, event_nids: Collection[int]) -> dict[int, EventId]:
    found: dict[int, EventId] = {}
    for chunk in _chunks(event_nids):
        rows = await tx.fetch_all(
            f"SELECT event_nid, event_id FROM events WHERE event_nid IN ({_marks(len(chunk))})",  # noqa: S608
            *chunk,
        )
        found.update((int(row[0]), EventId(row[1])) for row in rows)
    return found


async def timeline_forward(tx: ReadTx, room_nid: int, after: int, until: int, limit: int) -> list[EventRow]:
    """Shown events with after < ordering <= until, oldest first."""
    rows = await tx.fetch_all(
        f"SELECT {_EVENT} FROM events WHERE room_nid = ? AND ordering > ? AND ordering <= ? AND flags & 19 = 0 "  # noqa: S608
        "ORDER BY ordering LIMIT ?",
        room_nid,
        after,
        until,
        limit,
    )
    return [_event(row) for row in rows]


async def timeline_backward(tx: ReadTx, room_nid: int, after: int, until: int, limit: int) -> list[EventRow]:
    """Shown events with after < ordering <= until, newest first."""
    rows = await tx.fetch_all(
        f"SELECT {_EVENT} FROM events WHERE room_nid = ? AND ordering > ? AND ordering <= ? AND flags & 19 = 0 "  # noqa: S608
        "ORDER BY ordering DESC LIMIT ?",
        room_nid,
        after,
        until,
        limit,
    )
    return [_event(row) for row in rows]


async def prune_event(tx: Tx, event_nid: int, pruned: bytes, redaction_nid: int) -> None:
    """Replace an event by its redacted form."""
    await tx.execute("UPDATE events SET json = ?, redacted_by_nid = ? WHERE event_nid = ?", pruned, redaction_nid, event_nid)


async def insert_pending_redaction(tx: Tx, target: EventId, redaction_nid: int) -> None:
    await tx.execute(
        "INSERT INTO pending_redactions (target_event_id, redaction_nid) VALUES (?, ?) ON CONFLICT DO NOTHING",
        target,
        redaction_nid,
    )


async def take_pending_redactions(tx: Tx, target: EventId) -> list[int]:
    rows = await tx.fetch_all(
        "SELECT redaction_nid FROM pending_redactions WHERE target_event_id = ? ORDER BY redaction_nid LIMIT 20", target
    )
    if rows:
        await tx.execute("DELETE FROM pending_redactions WHERE target_event_id = ?", target)
    return [int(row[0]) for row in rows]


# Auth chains


async def insert_auth_edges(tx: Tx, event_nid: int, auth_nids: Iterable[int]) -> None:
    await tx.execute_many(
        "INSERT INTO auth_edges (event_nid, auth_nid) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [(event_nid, auth_nid) for auth_nid in auth_nids],
    )


async def auth_chain(tx: ReadTx, event_nids: Collection[int]) -> set[int]:
    """The numbers of all events in the auth chains of these, themselves included."""
    seeds = json.dumps(list(event_nids))
    rows = await tx.fetch_all(
        "WITH RECURSIVE chain (nid) AS (SELECT value FROM json_each(?) UNION "
        "SELECT auth_edges.auth_nid FROM auth_edges JOIN chain ON auth_edges.event_nid = chain.nid) "
        "SELECT nid FROM chain",
        seeds,
    )
    return {int(row[0]) for row in rows}


# State


async def state_at(tx: ReadTx, room_nid: int, position: int) -> dict[StateKey, EventId]:
    """The state on the line at a position (after the change at that position)."""
    rows = await tx.fetch_all(
        "SELECT t.name, k.name, e.event_id FROM state_line AS s JOIN names AS t ON t.id = s.type_nid "
        "JOIN names AS k ON k.id = s.key_nid JOIN events AS e ON e.event_nid = s.event_nid "
        "WHERE s.room_nid = ? AND s.until > ? AND s.position <= ?",
        room_nid,
        position,
        position,
    )
    return {(str(row[0]), str(row[1])): EventId(row[2]) for row in rows}


async def state_intervals(tx: ReadTx, room_nid: int, type_nid: int, key_nid: int) -> list[tuple[int, int, EventId]]:
    """The history of one address: (position, until, event_id), oldest first."""
    rows = await tx.fetch_all(
        "SELECT s.position, s.until, e.event_id FROM state_line AS s JOIN events AS e ON e.event_nid = s.event_nid "
        "WHERE s.room_nid = ? AND s.type_nid = ? AND s.key_nid = ? ORDER BY s.position",
        room_nid,
        type_nid,
        key_nid,
    )
    return [(int(row[0]), int(row[1]), EventId(row[2])) for row in rows]


async def state_changes(tx: ReadTx, room_nid: int, after: int, until: int) -> dict[StateKey, EventId]:
    """What the state at `until` has that the state at `after` had not: address → event_id."""
    rows = await tx.fetch_all(
        "SELECT t.name, k.name, e.event_id FROM state_line AS s JOIN names AS t ON t.id = s.type_nid "
        "JOIN names AS k ON k.id = s.key_nid JOIN events AS e ON e.event_nid = s.event_nid "
        "WHERE s.room_nid = ? AND s.position > ? AND s.position <= ? AND s.until > ?",
        room_nid,
        after,
        until,
        until,
    )
    return {(str(row[0]), str(row[1])): EventId(row[2]) for row in rows}


async def line_between(tx: ReadTx, room_nid: int, type_nid: int, after: int, until: int) -> list[tuple[str, int, int, EventId]]:
    """What of one type began or ended on the line in a span: (state_key, position, until, event_id)."""
    rows = await tx.fetch_all(
        "SELECT k.name, s.position, s.until, e.event_id FROM state_line AS s JOIN names AS k ON k.id = s.key_nid "
        "JOIN events AS e ON e.event_nid = s.event_nid "
        "WHERE s.room_nid = ? AND s.type_nid = ? AND s.position > ? AND s.position <= ? "
        "UNION SELECT k.name, s.position, s.until, e.event_id FROM state_line AS s JOIN names AS k ON k.id = s.key_nid "
        "JOIN events AS e ON e.event_nid = s.event_nid "
        "WHERE s.room_nid = ? AND s.type_nid = ? AND s.until > ? AND s.until <= ? AND s.position <= ?",
        *(room_nid, type_nid, after, until),
        *(room_nid, type_nid, after, until, after),
    )
    return [(str(row[0]), int(row[1]), int(row[2]), EventId(row[3])) for row in rows]


async def last_state_position(tx: ReadTx, room_nid: int) -> int:
    """Where the line last changed; 0 if never."""
    began = await tx.fetch_one("SELECT MAX(position) FROM state_line WHERE room_nid = ?", room_nid)
    # What was taken away, and nothing put in its place.
    ended = await tx.fetch_one("SELECT MAX(until) FROM state_line WHERE room_nid = ? AND until < ?", room_nid, FOREVER)
    return max(0 if row is None or row[0] is None else int(row[0]) for row in (began, ended))


async def last_position(tx: ReadTx, room_nid: int) -> int:
    """The position of the room's newest live event; 0 if it has none."""
    row = await tx.fetch_one("SELECT MAX(ordering) FROM events WHERE room_nid = ? AND ordering IS NOT NULL", room_nid)
    return 0 if row is None or row[0] is None else position_of(int(row[0]))


async def change_state(tx: Tx, room_nid: int, position: int, changes: Iterable[tuple[int, int, int | None]]) -> None:
    """Write changes of the line at a position: (type_nid, key_nid, event_nid | None to remove)."""
    listed = list(changes)
    await tx.execute_many(
        "UPDATE state_line SET until = ? WHERE room_nid = ? AND type_nid = ? AND key_nid = ? AND until = ?",
        [(position, room_nid, type_nid, key_nid, FOREVER) for type_nid, key_nid, _ in listed],
    )
    await tx.execute_many(
        "INSERT INTO state_line (room_nid, type_nid, key_nid, position, event_nid) VALUES (?, ?, ?, ?, ?)",
        [
            (room_nid, type_nid, key_nid, position, event_nid)
            for type_nid, key_nid, event_nid in listed
            if event_nid is not None
        ],
    )


async def insert_overlay(tx: Tx, event_nid: int, base_position: int, overlay: Mapping[StateKey, EventId | None]) -> None:
    encoded = json.dumps([[*key, event_id] for key, event_id in overlay.items()], separators=(",", ":")).encode()
    await tx.execute(
        "INSERT INTO state_overlays (event_nid, base_position, overlay) VALUES (?, ?, ?) "
        "ON CONFLICT (event_nid) DO UPDATE SET base_position = excluded.base_position, overlay = excluded.overlay",
        event_nid,
        base_position,
        encoded,
    )


# Missing events


async def insert_missing(tx: Tx, room_nid: int, event_ids: Iterable[EventId], before_ordering: int) -> None:
    await tx.execute_many(
        "INSERT INTO missing_events (room_nid, event_id, before_ordering) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(room_nid, event_id, before_ordering) for event_id in event_ids],
    )


async def missing_before(tx: ReadTx, room_nid: int, ordering: int, limit: int) -> list[tuple[EventId, int]]:
    """Missing events that come before a place in the timeline, the nearest first: (event_id, before_ordering)."""
    rows = await tx.fetch_all(
        "SELECT event_id, before_ordering FROM missing_events WHERE room_nid = ? AND before_ordering <= ? "
        "ORDER BY before_ordering DESC LIMIT ?",
        room_nid,
        ordering,
        limit,
    )
    return [(EventId(row[0]), int(row[1])) for row in rows]


async def delete_missing(tx: Tx, room_nid: int, event_ids: Iterable[EventId]) -> None:
    await tx.execute_many(
        "DELETE FROM missing_events WHERE room_nid = ? AND event_id = ?",
        [(room_nid, event_id) for event_id in event_ids],
    )


# Transactions


async def sent_transaction(tx: ReadTx, user_nid: int, transaction: Transaction) -> EventId | None:
    row = await tx.fetch_one(
        "SELECT event_id FROM sent_transactions WHERE user_nid = ? AND device_id = ? AND endpoint = ? AND txn_id = ?",
        user_nid,
        transaction.device_id,
        transaction.endpoint,
        transaction.txn_id,
    )
    return None if row is None else EventId(row[0])


async def insert_sent_transaction(tx: Tx, user_nid: int, transaction: Transaction, event_id: EventId, ts: int) -> bool:
    """False if this transaction made an event before."""
    changed = await tx.execute(
        "INSERT INTO sent_transactions (user_nid, device_id, endpoint, txn_id, event_id, ts) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        user_nid,
        transaction.device_id,
        transaction.endpoint,
        transaction.txn_id,
        event_id,
        ts,
    )
    return changed > 0


async def recent_transactions(tx: ReadTx, after_ts: int, limit: int) -> list[tuple[Transaction, EventId]]:
    """The newest first."""
    rows = await tx.fetch_all(
        "SELECT n.name, t.device_id, t.endpoint, t.txn_id, t.event_id FROM sent_transactions AS t "
        "JOIN names AS n ON n.id = t.user_nid WHERE t.ts > ? ORDER BY t.ts DESC LIMIT ?",
        after_ts,
        limit,
    )
    return [(Transaction(UserId(row[0]), str(row[1]), str(row[2]), str(row[3])), EventId(row[4])) for row in rows]


async def forget_transactions(tx: Tx, before_ts: int, limit: int) -> int:
    return await tx.execute(
        "DELETE FROM sent_transactions WHERE (user_nid, device_id, endpoint, txn_id) IN "
        "(SELECT user_nid, device_id, endpoint, txn_id FROM sent_transactions WHERE ts < ? ORDER BY ts LIMIT ?)",
        before_ts,
        limit,
    )
