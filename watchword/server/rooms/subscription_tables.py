"""The SQL of thread subscriptions. Rows in, rows out; nothing is decided here."""

from collections.abc import Sequence
from dataclasses import dataclass

from watchword.protocol.ids import EventId, RoomId
from watchword.storage import Position, ReadTx, Tx


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """What a user said last of a thread. unsubscribed_at: the position at which he last said no; 0 if never."""

    room_id: RoomId
    root_id: EventId
    is_subscribed: bool
    is_automatic: bool
    unsubscribed_at: int
    position: Position


_COLUMNS = "r.room_id, s.root_id, s.is_subscribed, s.is_automatic, s.unsubscribed_at, s.position"


async def subscription(tx: ReadTx, user_nid: int, room_nid: int, root_id: EventId) -> SubscriptionRow | None:
    row = await tx.fetch_one(
        f"SELECT {_COLUMNS} FROM thread_subscriptions AS s JOIN rooms AS r ON r.room_nid = s.room_nid "  # noqa: S608
        "WHERE s.user_nid = ? AND s.room_nid = ? AND s.root_id = ?",
        user_nid,
        room_nid,
        root_id,
    )
    return None if row is None else _row(row)


async def save_subscription(tx: Tx, user_nid: int, room_nid: int, row: SubscriptionRow) -> None:
    await tx.execute(
        "INSERT INTO thread_subscriptions "
        "(user_nid, room_nid, root_id, is_subscribed, is_automatic, unsubscribed_at, position) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (user_nid, room_nid, root_id) DO UPDATE SET is_subscribed = excluded.is_subscribed, "
        "is_automatic = excluded.is_automatic, unsubscribed_at = excluded.unsubscribed_at, position = excluded.position",
        user_nid,
        room_nid,
        row.root_id,
        int(row.is_subscribed),
        int(row.is_automatic),
        row.unsubscribed_at,
        row.position,
    )


async def changes(tx: ReadTx, user_nid: int, after: int, until: int, limit: int) -> list[SubscriptionRow]:
    """What a user last said of threads with after < position <= until, the newest first."""
    rows = await tx.fetch_all(
        f"SELECT {_COLUMNS} FROM thread_subscriptions AS s JOIN rooms AS r ON r.room_nid = s.room_nid "  # noqa: S608
        "WHERE s.user_nid = ? AND s.position > ? AND s.position <= ? ORDER BY s.position DESC LIMIT ?",
        user_nid,
        after,
        until,
        limit,
    )
    return [_row(row) for row in rows]


def _row(row: Sequence[object]) -> SubscriptionRow:
    room_id, root_id, is_subscribed, is_automatic, unsubscribed_at, position = row
    assert isinstance(unsubscribed_at, int)
    assert isinstance(position, int)
    return SubscriptionRow(
        RoomId(str(room_id)),
        EventId(str(root_id)),
        bool(is_subscribed),
        bool(is_automatic),
        unsubscribed_at,
        Position(position),
    )
