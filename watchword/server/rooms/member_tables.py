"""The SQL of memberships, receipts and aliases. Rows in, rows out; nothing is decided here."""

from collections.abc import Sequence

from watchword.protocol.ids import EventId, RoomAlias, RoomId, UserId
from watchword.server.rooms.records import MembershipRow, ReceiptRow
from watchword.storage import Position, ReadTx, Tx

_MEMBERSHIP = (
    "r.name, u.name, m.membership, m.event_id, m.position, m.sender, m.forgotten, m.stripped FROM memberships AS m "
    "JOIN names AS r ON r.id = m.room_nid JOIN names AS u ON u.id = m.user_nid"
)

_BY_USER, _BY_SERVER = 1, 2
"""Who forgot a room for a user."""


def _membership(row: Sequence[object]) -> MembershipRow:
    room_id, user_id, membership, event_id, position, sender, forgotten, stripped = row
    assert isinstance(position, int)
    return MembershipRow(
        RoomId(str(room_id)),
        UserId(str(user_id)),
        str(membership),
        EventId(str(event_id)),
        Position(position),
        UserId(str(sender)),
        bool(forgotten),
        stripped if isinstance(stripped, bytes) else None,
        forgotten == _BY_SERVER,
    )


async def save_membership(tx: Tx, room_nid: int, user_nid: int, row: MembershipRow, *, is_local: bool) -> None:
    await tx.execute(
        "INSERT INTO memberships (room_nid, user_nid, membership, event_id, position, sender, is_local, forgotten, stripped) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (room_nid, user_nid) DO UPDATE SET "
        "membership = excluded.membership, event_id = excluded.event_id, position = excluded.position, "
        "sender = excluded.sender, forgotten = excluded.forgotten, stripped = excluded.stripped",
        room_nid,
        user_nid,
        row.membership,
        row.event_id,
        row.position,
        row.sender,
        int(is_local),
        int(row.forgotten),
        row.stripped,
    )


async def delete_membership(tx: Tx, room_nid: int, user_nid: int) -> None:
    await tx.execute("DELETE FROM memberships WHERE room_nid = ? AND user_nid = ?", room_nid, user_nid)


async def forget(tx: Tx, room_nid: int, user_nid: int, *, by_server: bool = False) -> None:
    value = _BY_SERVER if by_server else _BY_USER
    await tx.execute("UPDATE memberships SET forgotten = ? WHERE room_nid = ? AND user_nid = ?", value, room_nid, user_nid)


async def members(tx: ReadTx, room_nid: int) -> list[tuple[UserId, str]]:
    """(user_id, membership) of everybody who ever had one."""
    rows = await tx.fetch_all(
        "SELECT u.name, m.membership FROM memberships AS m JOIN names AS u ON u.id = m.user_nid WHERE m.room_nid = ?",
        room_nid,
    )
    return [(UserId(row[0]), str(row[1])) for row in rows]


async def membership(tx: ReadTx, room_nid: int, user_nid: int) -> MembershipRow | None:
    row = await tx.fetch_one(f"SELECT {_MEMBERSHIP} WHERE m.room_nid = ? AND m.user_nid = ?", room_nid, user_nid)
    return None if row is None else _membership(row)


async def memberships_of(tx: ReadTx, user_nid: int) -> list[MembershipRow]:
    """All rooms of a user."""
    rows = await tx.fetch_all(f"SELECT {_MEMBERSHIP} WHERE m.user_nid = ?", user_nid)
    return [_membership(row) for row in rows]


async def pending_invites(tx: ReadTx, after: tuple[int, int], limit: int) -> list[tuple[tuple[int, int], MembershipRow]]:
    """Local users' invites that wait for an answer, by number of room and user; after: the last one of the page before."""
    rows = await tx.fetch_all(
        f"SELECT m.room_nid, m.user_nid, {_MEMBERSHIP} WHERE m.membership = 'invite' AND m.is_local = 1 "
        "AND (m.room_nid, m.user_nid) > (?, ?) ORDER BY m.room_nid, m.user_nid LIMIT ?",
        after[0],
        after[1],
        limit,
    )
    return [((int(row[0]), int(row[1])), _membership(row[2:])) for row in rows]


async def users_sharing_room(tx: ReadTx, user_nid: int) -> set[UserId]:
    """Everybody joined to a room that this user is joined to, himself included if he is in any."""
    rows = await tx.fetch_all(
        "SELECT DISTINCT n.name FROM memberships AS mine JOIN memberships AS m ON m.room_nid = mine.room_nid "
        "JOIN names AS n ON n.id = m.user_nid "
        "WHERE mine.user_nid = ? AND mine.membership = 'join' AND m.membership = 'join'",
        user_nid,
    )
    return {UserId(row[0]) for row in rows}


async def share_room(tx: ReadTx, first_nid: int, second_nid: int) -> bool:
    row = await tx.fetch_one(
        "SELECT 1 FROM memberships AS a JOIN memberships AS b ON b.room_nid = a.room_nid "
        "WHERE a.user_nid = ? AND a.membership = 'join' AND b.user_nid = ? AND b.membership = 'join' LIMIT 1",
        first_nid,
        second_nid,
    )
    return row is not None


# Receipts


async def save_receipt(tx: Tx, room_nid: int, user_nid: int, row: ReceiptRow) -> None:
    await tx.execute(
        "INSERT INTO receipts (room_nid, user_nid, receipt_type, thread_id, event_id, ordering, ts, position) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (room_nid, user_nid, receipt_type, thread_id) DO UPDATE SET "
        "event_id = excluded.event_id, ordering = excluded.ordering, ts = excluded.ts, position = excluded.position",
        room_nid,
        user_nid,
        row.receipt_type,
        row.thread_id,
        row.event_id,
        row.ordering,
        row.ts,
        row.position,
    )


async def receipts_of_user(tx: ReadTx, room_nid: int, user_nid: int) -> list[ReceiptRow]:
    rows = await tx.fetch_all(
        "SELECT n.name, r.receipt_type, r.thread_id, r.event_id, r.ordering, r.ts, r.position FROM receipts AS r "
        "JOIN names AS n ON n.id = r.user_nid WHERE r.room_nid = ? AND r.user_nid = ?",
        room_nid,
        user_nid,
    )
    return [_receipt(row) for row in rows]


async def last_receipt_position(tx: ReadTx, room_nid: int) -> int:
    """Where a receipt last moved in a room; 0 if never."""
    row = await tx.fetch_one("SELECT MAX(position) FROM receipts WHERE room_nid = ?", room_nid)
    return 0 if row is None or row[0] is None else int(row[0])


async def receipts_since(tx: ReadTx, room_nid: int, after: int, until: int, limit: int) -> list[ReceiptRow]:
    rows = await tx.fetch_all(
        "SELECT n.name, r.receipt_type, r.thread_id, r.event_id, r.ordering, r.ts, r.position FROM receipts AS r "
        "JOIN names AS n ON n.id = r.user_nid WHERE r.room_nid = ? AND r.position > ? AND r.position <= ? "
        "ORDER BY r.position DESC LIMIT ?",
        room_nid,
        after,
        until,
        limit,
    )
    return [_receipt(row) for row in rows]


def _receipt(row: Sequence[object]) -> ReceiptRow:
    user_id, receipt_type, thread_id, event_id, ordering, ts, position = row
    assert isinstance(ts, int)
    assert isinstance(position, int)
    return ReceiptRow(
        UserId(str(user_id)),
        str(receipt_type),
        str(thread_id),
        EventId(str(event_id)),
        ordering if isinstance(ordering, int) else None,
        ts,
        Position(position),
    )


# Aliases


async def alias(tx: ReadTx, alias: RoomAlias) -> tuple[RoomId, UserId] | None:
    """(room, creator) of a local alias."""
    row = await tx.fetch_one("SELECT room_id, creator FROM aliases WHERE alias = ?", alias)
    return None if row is None else (RoomId(row[0]), UserId(row[1]))


async def insert_alias(tx: Tx, alias: RoomAlias, room_id: RoomId, creator: UserId) -> bool:
    """Take an alias; False if it is taken."""
    changed = await tx.execute(
        "INSERT INTO aliases (alias, room_id, creator) VALUES (?, ?, ?) ON CONFLICT (alias) DO NOTHING",
        alias,
        room_id,
        creator,
    )
    return changed > 0


async def move_aliases(tx: Tx, old: RoomId, new: RoomId) -> None:
    await tx.execute("UPDATE aliases SET room_id = ? WHERE room_id = ?", new, old)


async def delete_alias(tx: Tx, alias: RoomAlias) -> None:
    await tx.execute("DELETE FROM aliases WHERE alias = ?", alias)


async def aliases_of(tx: ReadTx, room_id: RoomId, limit: int) -> list[RoomAlias]:
    rows = await tx.fetch_all("SELECT alias FROM aliases WHERE room_id = ? ORDER BY alias LIMIT ?", room_id, limit)
    return [RoomAlias(row[0]) for row in rows]
