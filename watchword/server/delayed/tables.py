"""The SQL of delayed events."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from watchword.protocol import canonical_json
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.sticky import IN_USE, STABLE, Sticky
from watchword.server.delayed.commands import DelayedEvent, Finalised, Listing, Order, Outcome, Reason
from watchword.server.rooms.commands import LaterEvent, Transaction
from watchword.storage import ReadTx, Tx

_COLUMNS = (
    "number, delay_id, user_id, device_id, room_id, type, state_key, content, delay_ms, running_since, began, is_limited, "
    "is_begun, sticky_ms, sticky_key, ts, outcome, reason, error, event_id, finalised_ts"
)
_ORDERS = {
    Order.SEND_TS: "send_ts",
    Order.ORIGIN_SERVER_TS: "COALESCE(finalised_ts, send_ts)",
    Order.RUNNING_SINCE: "running_since",
}
_NAMINGS = {naming.key: naming for naming in (STABLE, IN_USE)}


def _event(row: Sequence[Any]) -> DelayedEvent:
    sticky = None if row[13] is None else Sticky(int(row[13]), _NAMINGS[row[14]])
    content = canonical_json.decode(row[7], strict=False)
    event = LaterEvent(RoomId(row[4]), row[5], content, int(row[8]), row[6], ts=row[15], sticky=sticky)
    finalised = None
    if row[16] is not None:
        finalised = Finalised(
            Outcome(row[16]),
            None if row[17] is None else Reason(row[17]),
            int(row[20]),
            None if row[19] is None else EventId(row[19]),
            None if row[18] is None else msgspec.json.decode(row[18]),
        )
    return DelayedEvent(
        row[1], UserId(row[2]), row[3], event, int(row[9]), int(row[10]), bool(row[11]), bool(row[12]), int(row[0]), finalised
    )


async def insert(tx: Tx, delayed: DelayedEvent, content: bytes) -> None:
    event, transaction = delayed.event, delayed.event.transaction
    await tx.execute(
        "INSERT INTO delayed_events (delay_id, user_id, device_id, room_id, type, state_key, content, delay_ms, running_since, "
        "send_ts, began, is_limited, sticky_ms, sticky_key, ts, endpoint, txn_id) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *(delayed.delay_id, delayed.user_id, delayed.device_id, event.room_id, event.type, event.state_key, content),
        *(event.delay_ms, delayed.running_since, delayed.send_ts, delayed.began, int(delayed.is_limited)),
        None if event.sticky is None else event.sticky.duration_ms,
        None if event.sticky is None else event.sticky.naming.key,
        event.ts,
        None if transaction is None else transaction.endpoint,
        None if transaction is None else transaction.txn_id,
    )


async def by_id(tx: ReadTx, delay_id: str) -> DelayedEvent | None:
    row = await tx.fetch_one(f"SELECT {_COLUMNS} FROM delayed_events WHERE delay_id = ?", delay_id)  # noqa: S608
    return None if row is None else _event(row)


async def by_transaction(tx: ReadTx, transaction: Transaction) -> str | None:
    """The ID of the event that a request made before."""
    row = await tx.fetch_one(
        "SELECT delay_id FROM delayed_events WHERE user_id = ? AND device_id = ? AND endpoint = ? AND txn_id = ?",
        transaction.user_id,
        transaction.device_id,
        transaction.endpoint,
        transaction.txn_id,
    )
    return None if row is None else str(row[0])


async def waiting_of(tx: ReadTx, user_id: UserId) -> tuple[int, int]:
    """How many events of a user wait, and when the first of them is due."""
    row = await tx.fetch_one(
        "SELECT COUNT(*), COALESCE(MIN(send_ts), 0) FROM delayed_events WHERE user_id = ? AND outcome IS NULL", user_id
    )
    assert row is not None
    return int(row[0]), int(row[1])


async def due(tx: ReadTx, now_ms: int, without_rooms: Collection[str], limit: int) -> list[tuple[str, RoomId]]:
    """(delay_id, room) of events that are due, the longest first."""
    rows = await tx.fetch_all(
        "SELECT delay_id, room_id FROM delayed_events WHERE outcome IS NULL AND send_ts <= ? "
        "AND room_id NOT IN (SELECT value FROM json_each(?)) ORDER BY send_ts, number LIMIT ?",
        now_ms,
        msgspec.json.encode(list(without_rooms)).decode(),
        limit,
    )
    return [(str(row[0]), RoomId(row[1])) for row in rows]


async def next_due(tx: ReadTx, without_rooms: Collection[str]) -> int | None:
    """When the next event is due."""
    row = await tx.fetch_one(
        "SELECT send_ts FROM delayed_events WHERE outcome IS NULL AND room_id NOT IN (SELECT value FROM json_each(?)) "
        "ORDER BY send_ts, number LIMIT 1",
        msgspec.json.encode(list(without_rooms)).decode(),
    )
    return None if row is None else int(row[0])


async def begun(tx: ReadTx, limit: int) -> list[str]:
    """Events that wait although sending them was tried."""
    rows = await tx.fetch_all("SELECT delay_id FROM delayed_events WHERE outcome IS NULL AND is_begun = 1 LIMIT ?", limit)
    return [str(row[0]) for row in rows]


async def rooms_of_state(tx: ReadTx) -> set[RoomId]:
    """Rooms for which state waits. Bounded by what may wait at all."""
    rows = await tx.fetch_all(
        "SELECT DISTINCT room_id FROM delayed_events WHERE outcome IS NULL AND state_key IS NOT NULL LIMIT 1000000"
    )
    return {RoomId(row[0]) for row in rows}


async def state_of_others(tx: ReadTx, room_id: RoomId, address: tuple[str, str], sender: UserId, limit: int) -> list[str]:
    """Events that would change state which somebody has just changed, without his own."""
    rows = await tx.fetch_all(
        "SELECT delay_id FROM delayed_events WHERE room_id = ? AND type = ? AND state_key = ? AND outcome IS NULL "
        "AND user_id <> ? LIMIT ?",
        room_id,
        *address,
        sender,
        limit,
    )
    return [str(row[0]) for row in rows]


async def mark_begun(tx: Tx, delay_id: str) -> None:
    await tx.execute("UPDATE delayed_events SET is_begun = 1 WHERE delay_id = ? AND is_begun = 0", delay_id)


async def restart(tx: Tx, delay_id: str, now_ms: int) -> None:
    await tx.execute(
        "UPDATE delayed_events SET running_since = ?, send_ts = ? + delay_ms WHERE delay_id = ? AND outcome IS NULL",
        now_ms,
        now_ms,
        delay_id,
    )


async def finalise(tx: Tx, delay_id: str, end: Finalised) -> None:
    await tx.execute(
        "UPDATE delayed_events SET outcome = ?, reason = ?, error = ?, event_id = ?, finalised_ts = ? "
        "WHERE delay_id = ? AND outcome IS NULL",
        end.outcome.value,
        None if end.reason is None else end.reason.value,
        None if end.error is None else msgspec.json.encode(end.error),
        end.event_id,
        end.ts,
        delay_id,
    )


async def listed(tx: ReadTx, listing: Listing, limit: int) -> list[DelayedEvent]:
    """A page. Looks at the events of one user, whose number is bounded."""
    order = _ORDERS[listing.order]
    outcome = None if listing.outcome is None else listing.outcome.value
    reason = None if listing.reason is None else listing.reason.value
    finalised = None if listing.is_finalised is None else int(listing.is_finalised)
    ids = msgspec.json.encode(list(listing.delay_ids)).decode() if listing.delay_ids else None
    sign, direction = ("<", "DESC") if listing.backwards else (">", "ASC")
    rows = await tx.fetch_all(
        f"SELECT {_COLUMNS} FROM delayed_events WHERE user_id = ? AND ({order}, number) {sign} (?, ?) "  # noqa: S608
        "AND (? IS NULL OR room_id = ?) AND (? IS NULL OR type = ?) AND (? IS NULL OR outcome = ?) "
        "AND (? IS NULL OR reason = ?) AND (? IS NULL OR (outcome IS NOT NULL) = ?) "
        "AND (? IS NULL OR delay_id IN (SELECT value FROM json_each(COALESCE(?, '[]')))) "
        f"ORDER BY {order} {direction}, number {direction} LIMIT ?",
        listing.user_id,
        *listing.start,
        *(listing.room_id, listing.room_id, listing.type, listing.type, outcome, outcome, reason, reason),
        *(finalised, finalised, ids, ids),
        limit,
    )
    return [_event(row) for row in rows]


async def forget_surplus(tx: Tx, user_id: UserId, keep: int, limit: int) -> None:
    """Drop the oldest of a user's events that are over."""
    await tx.execute(
        "DELETE FROM delayed_events WHERE number IN (SELECT number FROM delayed_events WHERE user_id = ? "
        "AND outcome IS NOT NULL ORDER BY finalised_ts DESC, number DESC LIMIT ? OFFSET ?)",
        user_id,
        limit,
        keep,
    )


async def forget_before(tx: Tx, ts: int, limit: int) -> None:
    """Drop events that were over before this time."""
    await tx.execute(
        "DELETE FROM delayed_events WHERE number IN (SELECT number FROM delayed_events WHERE outcome IS NOT NULL "
        "AND finalised_ts < ? ORDER BY finalised_ts LIMIT ?)",
        ts,
        limit,
    )


async def delete_of(tx: Tx, user_id: UserId) -> None:
    await tx.execute("DELETE FROM delayed_events WHERE user_id = ?", user_id)
