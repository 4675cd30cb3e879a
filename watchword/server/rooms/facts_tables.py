"""The SQL of what lists of rooms ask of many rooms at once. Rows in, rows out; nothing is decided here."""

from watchword.protocol.ids import RoomId
from watchword.server.rooms.records import FOREVER
from watchword.storage import ReadTx


async def newest_of_joined(tx: ReadTx, user_nid: int) -> list[tuple[RoomId, int]]:
    """The rooms that a user is joined to, each with the place of its newest event."""
    rows = await tx.fetch_all(
        "SELECT r.name, (SELECT MAX(e.ordering) FROM events AS e WHERE e.room_nid = m.room_nid AND e.ordering IS NOT NULL) "
        "FROM memberships AS m JOIN names AS r ON r.id = m.room_nid WHERE m.user_nid = ? AND m.membership = 'join'",
        user_nid,
    )
    return [(RoomId(row[0]), int(row[1] or 0)) for row in rows]


async def state_of_joined(tx: ReadTx, user_nid: int, kind: str) -> list[tuple[RoomId, bytes]]:
    """The current state event of a type, with an empty state key, of each room that a user is joined to and that has one."""
    rows = await tx.fetch_all(
        "SELECT r.name, e.json FROM memberships AS m "
        "JOIN state_line AS s ON s.room_nid = m.room_nid AND s.type_nid = (SELECT id FROM names WHERE name = ?) "
        "AND s.key_nid = (SELECT id FROM names WHERE name = '') AND s.until = ? "
        "JOIN events AS e ON e.event_nid = s.event_nid JOIN names AS r ON r.id = m.room_nid "
        "WHERE m.user_nid = ? AND m.membership = 'join'",
        kind,
        FOREVER,
        user_nid,
    )
    return [(RoomId(row[0]), bytes(row[1])) for row in rows]


async def removed(tx: ReadTx, room_nid: int, after: int, until: int) -> list[tuple[str, str]]:
    """Addresses that had a value at `after` and have none at `until`."""
    rows = await tx.fetch_all(
        "SELECT t.name, k.name FROM state_line AS s JOIN names AS t ON t.id = s.type_nid JOIN names AS k ON k.id = s.key_nid "
        "WHERE s.room_nid = ? AND s.until > ? AND s.until <= ? AND s.position <= ? AND NOT EXISTS ("
        "SELECT 1 FROM state_line AS n WHERE n.room_nid = s.room_nid AND n.type_nid = s.type_nid AND n.key_nid = s.key_nid "
        "AND n.position <= ? AND n.until > ?)",
        room_nid,
        after,
        until,
        after,
        until,
        until,
    )
    return [(str(row[0]), str(row[1])) for row in rows]
