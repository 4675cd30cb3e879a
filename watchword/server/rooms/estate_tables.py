"""The SQL of rooms as an operator sees them: lists, sizes, removal from the disk. Rows in, rows out."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from watchword.protocol.ids import RoomAlias, RoomId, UserId
from watchword.server.rooms.records import FOREVER, OUTLIER
from watchword.storage import ReadTx, Tx

# Tables that name a room in their key, and that key: what is dropped in steps.
_OF_ROOM: Mapping[str, str] = {
    "event_times": "room_nid, ts, event_nid",
    "event_relations": "room_nid, parent_id, rel_type, ordering",
    "threads": "room_nid, root_id",
    "thread_subscriptions": "user_nid, room_nid, root_id",
    "receipts": "room_nid, user_nid, receipt_type, thread_id",
    "missing_events": "room_nid, event_id",
    "member_redactions": "room_nid, user_nid, member_nid",
    "redactions_with_relations": "room_nid, parent_id, user_nid",
    "sticky_events": "event_nid",
}
TABLES_OF_ROOM = tuple(_OF_ROOM)


class RoomLine(NamedTuple):
    """A room as stored, with how many are in it."""

    room_nid: int
    room_id: RoomId
    version: str
    is_public: bool
    joined: int
    joined_local: int
    state_events: int


def _numbers(values: Collection[int]) -> str:
    return msgspec.json.encode(list(values)).decode()


# Lists


async def room_lines(tx: ReadTx, after: int, limit: int) -> list[RoomLine]:
    """Rooms by number, after one of them."""
    rows = await tx.fetch_all(
        "SELECT r.room_nid, r.room_id, r.version, r.is_public, "
        "(SELECT COUNT(*) FROM memberships AS m WHERE m.room_nid = r.room_nid AND m.membership = 'join'), "
        "(SELECT COUNT(*) FROM memberships AS m WHERE m.room_nid = r.room_nid AND m.membership = 'join' AND m.is_local = 1), "
        "(SELECT COUNT(*) FROM state_line AS s WHERE s.room_nid = r.room_nid AND s.until = ?) "
        "FROM rooms AS r WHERE r.room_nid > ? ORDER BY r.room_nid LIMIT ?",
        FOREVER,
        after,
        limit,
    )
    return [RoomLine(row[0], RoomId(row[1]), row[2], bool(row[3]), row[4], row[5], row[6]) for row in rows]


async def describing_state(
    tx: ReadTx, room_nids: Sequence[int], type_nids: Collection[int], key_nid: int
) -> list[tuple[int, int, bytes]]:
    """(room, type, event) of the current state of these types with an empty state key."""
    rows = await tx.fetch_all(
        "SELECT s.room_nid, s.type_nid, e.json FROM state_line AS s JOIN events AS e ON e.event_nid = s.event_nid "
        "WHERE s.room_nid IN (SELECT value FROM json_each(?)) AND s.type_nid IN (SELECT value FROM json_each(?)) "
        "AND s.key_nid = ? AND s.until = ?",
        _numbers(room_nids),
        _numbers(type_nids),
        key_nid,
        FOREVER,
    )
    return [(int(row[0]), int(row[1]), row[2]) for row in rows]


# Sizes


async def timeline_length(tx: ReadTx, room_nid: int) -> int:
    """How many events are in a room's timeline."""
    row = await tx.fetch_one("SELECT COUNT(*) FROM events WHERE room_nid = ? AND ordering IS NOT NULL", room_nid)
    assert row is not None
    return int(row[0])


async def newest_bytes(tx: ReadTx, room_nid: int, limit: int) -> tuple[int, int]:
    """(events, bytes) of the newest ones of a room's timeline."""
    row = await tx.fetch_one(
        "SELECT COUNT(*), COALESCE(SUM(length(json)), 0) FROM (SELECT json FROM events WHERE room_nid = ? "
        "AND ordering IS NOT NULL ORDER BY ordering DESC LIMIT ?) AS newest",
        room_nid,
        limit,
    )
    assert row is not None
    return int(row[0]), int(row[1])


async def state_types(tx: ReadTx, room_nid: int, limit: int) -> list[tuple[str, int]]:
    """How many state events of which type are current, the most frequent first."""
    rows = await tx.fetch_all(
        "SELECT n.name, COUNT(*) FROM state_line AS s JOIN names AS n ON n.id = s.type_nid "
        "WHERE s.room_nid = ? AND s.until = ? GROUP BY n.name ORDER BY COUNT(*) DESC, n.name LIMIT ?",
        room_nid,
        FOREVER,
        limit,
    )
    return [(row[0], int(row[1])) for row in rows]


async def count_rooms(tx: ReadTx) -> int:
    row = await tx.fetch_one("SELECT COUNT(*) FROM rooms WHERE extremities <> '[]'")
    assert row is not None
    return int(row[0])


async def members_after(tx: ReadTx, room_nid: int, membership: str, after: str, limit: int) -> list[tuple[UserId, bool]]:
    """(user_id, whether of this server) of those with a membership, by user ID."""
    rows = await tx.fetch_all(
        "SELECT n.name, m.is_local FROM memberships AS m JOIN names AS n ON n.id = m.user_nid "
        "WHERE m.room_nid = ? AND m.membership = ? AND n.name > ? ORDER BY n.name LIMIT ?",
        room_nid,
        membership,
        after,
        limit,
    )
    return [(UserId(row[0]), bool(row[1])) for row in rows]


async def local_members(tx: ReadTx, room_nid: int) -> list[tuple[UserId, str]]:
    """(user_id, membership) of everybody of this server who ever had one."""
    rows = await tx.fetch_all(
        "SELECT n.name, m.membership FROM memberships AS m JOIN names AS n ON n.id = m.user_nid "
        "WHERE m.room_nid = ? AND m.is_local = 1 ORDER BY n.name",
        room_nid,
    )
    return [(UserId(row[0]), row[1]) for row in rows]


# Removal


async def delete_aliases(tx: Tx, room_id: RoomId) -> list[RoomAlias]:
    """Drop a room's aliases and its places on lists; which aliases they were."""
    rows = await tx.fetch_all("SELECT alias FROM aliases WHERE room_id = ? ORDER BY alias", room_id)
    await tx.execute("DELETE FROM aliases WHERE room_id = ?", room_id)
    await tx.execute("DELETE FROM network_rooms WHERE room_id = ?", room_id)
    return [RoomAlias(row[0]) for row in rows]


async def empty_room(tx: Tx, room_nid: int) -> None:
    """Leave of a room that it was, and who of this server left it."""
    await tx.execute("UPDATE rooms SET is_public = 0, extremities = '[]' WHERE room_nid = ?", room_nid)
    await tx.execute("DELETE FROM state_line WHERE room_nid = ?", room_nid)
    await tx.execute("DELETE FROM memberships WHERE room_nid = ? AND is_local = 0", room_nid)


async def timeline_nids(tx: ReadTx, room_nid: int, limit: int) -> list[int]:
    """Some events of a room's timeline; not the newest of all rooms, whose number must not be given again."""
    rows = await tx.fetch_all(
        "SELECT event_nid FROM events WHERE room_nid = ? AND ordering IS NOT NULL "
        "AND event_nid < (SELECT MAX(event_nid) FROM events) LIMIT ?",
        room_nid,
        limit,
    )
    return [int(row[0]) for row in rows]


async def other_nids(tx: ReadTx, room_nid: int, after: int, until: int) -> list[int]:
    """Events of a room with after < number <= until, whether in its timeline or not; without the newest of all rooms."""
    rows = await tx.fetch_all(
        "SELECT event_nid FROM events WHERE event_nid > ? AND event_nid <= ? AND room_nid = ? "
        "AND event_nid < (SELECT MAX(event_nid) FROM events)",
        after,
        until,
        room_nid,
    )
    return [int(row[0]) for row in rows]


async def delete_events(tx: Tx, event_nids: Sequence[int]) -> None:
    """Drop events, and what is kept by their number."""
    numbers = _numbers(event_nids)
    await tx.execute("DELETE FROM auth_edges WHERE event_nid IN (SELECT value FROM json_each(?))", numbers)
    await tx.execute("DELETE FROM state_overlays WHERE event_nid IN (SELECT value FROM json_each(?))", numbers)
    await tx.execute("DELETE FROM pending_redactions WHERE redaction_nid IN (SELECT value FROM json_each(?))", numbers)
    await tx.execute("DELETE FROM redactions_due WHERE event_nid IN (SELECT value FROM json_each(?))", numbers)
    await tx.execute("DELETE FROM events WHERE event_nid IN (SELECT value FROM json_each(?))", numbers)


async def delete_of_room(tx: Tx, table: str, room_nid: int, limit: int) -> int:
    """Drop some of a room's rows in one of TABLES_OF_ROOM; how many."""
    key = _OF_ROOM[table]
    return await tx.execute(
        f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE room_nid = ? LIMIT ?)",  # noqa: S608
        room_nid,
        limit,
    )


async def last_event_of(tx: ReadTx, room_nid: int) -> tuple[int, bytes] | None:
    """(number, event) of the newest event of all rooms, if it is of this one."""
    row = await tx.fetch_one(
        "SELECT event_nid, json FROM events WHERE event_nid = (SELECT MAX(event_nid) FROM events) AND room_nid = ?",
        room_nid,
    )
    return None if row is None else (int(row[0]), row[1])


async def hollow_event(tx: Tx, event_nid: int, pruned: bytes) -> None:
    """Leave of an event its number, its ID and what redaction leaves."""
    await tx.execute("DELETE FROM auth_edges WHERE event_nid = ?", event_nid)
    await tx.execute("DELETE FROM state_overlays WHERE event_nid = ?", event_nid)
    await tx.execute("UPDATE events SET json = ?, ordering = NULL, flags = ? WHERE event_nid = ?", pruned, OUTLIER, event_nid)
