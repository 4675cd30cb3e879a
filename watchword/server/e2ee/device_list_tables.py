"""Rows of device-list changes, and of the device lists of other servers' users. Nothing but SQL."""

from collections.abc import Sequence

from watchword.protocol.ids import DeviceId, ServerName, UserId
from watchword.server.e2ee.commands import ListState, RemoteDevice
from watchword.storage.database import ReadTx, Tx
from watchword.storage.log import Position

# Changes


async def add_change(tx: Tx, position: Position, user_id: UserId, device_id: str, previous: int | None) -> None:
    """Copy a change from the log."""
    await tx.execute(
        "INSERT INTO device_list_changes (position, user_id, device_id, previous) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (position) DO NOTHING",
        position,
        user_id,
        device_id,
        previous,
    )


async def forget_changes(tx: Tx, user_id: UserId, keep: int) -> None:
    """Keep only the last changes of a user: whoever missed the older ones learns it from these."""
    await tx.execute(
        "DELETE FROM device_list_changes WHERE user_id = ? AND position <= COALESCE((SELECT position "
        "FROM device_list_changes WHERE user_id = ? ORDER BY position DESC LIMIT 1 OFFSET ?), 0)",
        user_id,
        user_id,
        keep,
    )


async def changes(tx: ReadTx, after: Position, until: Position) -> Sequence[tuple[UserId, Position]]:
    """Who changed between two positions, with the last position of each."""
    rows = await tx.fetch_all(
        "SELECT user_id, MAX(position) FROM device_list_changes WHERE position > ? AND position <= ? GROUP BY user_id",
        after,
        until,
    )
    return [(UserId(row[0]), Position(row[1])) for row in rows]


async def last_change(tx: ReadTx, user_id: UserId, before: int) -> Position:
    """The user's last change of devices below a position; 0 if there is none."""
    row = await tx.fetch_one(
        "SELECT position FROM device_list_changes WHERE user_id = ? AND position < ? AND previous IS NOT NULL "
        "ORDER BY position DESC LIMIT 1",
        user_id,
        before,
    )
    return Position(0 if row is None else int(row[0]))


async def last_change_of_device(tx: ReadTx, user_id: UserId, device_id: str) -> Position:
    """The last change of one device; 0 if there is none."""
    row = await tx.fetch_one(
        "SELECT position FROM device_list_changes WHERE user_id = ? AND device_id = ? AND previous IS NOT NULL "
        "ORDER BY position DESC LIMIT 1",
        user_id,
        device_id,
    )
    return Position(0 if row is None else int(row[0]))


# Lists of other servers' users


async def list_state(tx: ReadTx, user_id: UserId) -> ListState | None:
    """What is known of a cached list, or None if the user is not tracked."""
    row = await tx.fetch_one("SELECT stream_id, is_fresh, version FROM remote_device_lists WHERE user_id = ?", user_id)
    return None if row is None else ListState(int(row[0]), bool(row[1]), int(row[2]))


async def track(tx: Tx, user_id: UserId, server_name: ServerName) -> None:
    """Begin to keep a user's list; it is to be fetched."""
    await tx.execute(
        "INSERT INTO remote_device_lists (user_id, server_name) VALUES (?, ?) ON CONFLICT (user_id) DO NOTHING",
        user_id,
        server_name,
    )


async def tracked_users(tx: ReadTx) -> Sequence[UserId]:
    """Every user whose list is kept."""
    return [UserId(row[0]) for row in await tx.fetch_all("SELECT user_id FROM remote_device_lists")]


async def forget_list(tx: Tx, user_id: UserId) -> None:
    """Keep a user's list no longer."""
    await tx.execute("DELETE FROM remote_device_lists WHERE user_id = ?", user_id)
    await tx.execute("DELETE FROM remote_devices WHERE user_id = ?", user_id)


async def mark_stale(tx: Tx, user_id: UserId) -> None:
    """Note that a list misses something. An answer that is under way does not count."""
    await tx.execute("UPDATE remote_device_lists SET is_fresh = 0, version = version + 1 WHERE user_id = ?", user_id)


async def mark_server_stale(tx: Tx, server_name: ServerName) -> int:
    """Note that every list of a server may miss something; return how many."""
    return await tx.execute(
        "UPDATE remote_device_lists SET is_fresh = 0, version = version + 1, failures = 0, retry_ts = 0 WHERE server_name = ?",
        server_name,
    )


async def due_lists(tx: ReadTx, now_ms: int, limit: int) -> Sequence[tuple[ServerName, UserId, ListState]]:
    """Lists to fetch now, the longest waiting first."""
    rows = await tx.fetch_all(
        "SELECT server_name, user_id, stream_id, version FROM remote_device_lists WHERE is_fresh = 0 AND retry_ts <= ? "
        "ORDER BY retry_ts LIMIT ?",
        now_ms,
        limit,
    )
    return [(ServerName(row[0]), UserId(row[1]), ListState(int(row[2]), False, int(row[3]))) for row in rows]


async def next_retry_ts(tx: ReadTx) -> int | None:
    """When the next list is to be fetched, or None if all are fresh."""
    row = await tx.fetch_one("SELECT MIN(retry_ts) FROM remote_device_lists WHERE is_fresh = 0")
    return None if row is None or row[0] is None else int(row[0])


async def set_stream_id(tx: Tx, user_id: UserId, stream_id: int) -> None:
    """Note how far a list is."""
    await tx.execute("UPDATE remote_device_lists SET stream_id = ? WHERE user_id = ?", stream_id, user_id)


async def set_fresh(tx: Tx, user_id: UserId, stream_id: int) -> None:
    """Note that a list is whole."""
    await tx.execute(
        "UPDATE remote_device_lists SET is_fresh = 1, failures = 0, retry_ts = 0, stream_id = ? WHERE user_id = ?",
        stream_id,
        user_id,
    )


async def failures(tx: ReadTx, server_name: ServerName) -> int:
    """How often in a row a server did not answer."""
    row = await tx.fetch_one("SELECT COALESCE(MAX(failures), 0) FROM remote_device_lists WHERE server_name = ?", server_name)
    assert row is not None
    return int(row[0])


async def postpone_server(tx: Tx, server_name: ServerName, failures: int, retry_ts: int) -> None:
    """Try no list of this server before a time."""
    await tx.execute(
        "UPDATE remote_device_lists SET failures = ?, retry_ts = ? WHERE server_name = ? AND is_fresh = 0",
        failures,
        retry_ts,
        server_name,
    )


async def remote_devices(tx: ReadTx, user_id: UserId) -> Sequence[RemoteDevice]:
    """The devices in a cached list."""
    rows = await tx.fetch_all(
        "SELECT device_id, keys, display_name FROM remote_devices WHERE user_id = ? ORDER BY device_id", user_id
    )
    return [RemoteDevice(DeviceId(row[0]), row[1], row[2]) for row in rows]


async def set_remote_device(tx: Tx, user_id: UserId, device: RemoteDevice) -> int:
    """Store one device of a cached list; return 0 if nothing changed."""
    return await tx.execute(
        "INSERT INTO remote_devices (user_id, device_id, keys, display_name) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (user_id, device_id) DO UPDATE SET keys = excluded.keys, display_name = excluded.display_name "
        "WHERE keys IS NOT excluded.keys OR display_name IS NOT excluded.display_name",
        user_id,
        device.device_id,
        device.keys,
        device.display_name,
    )


async def delete_remote_device(tx: Tx, user_id: UserId, device_id: DeviceId) -> None:
    """Drop one device of a cached list."""
    await tx.execute("DELETE FROM remote_devices WHERE user_id = ? AND device_id = ?", user_id, device_id)


async def count_remote_devices(tx: ReadTx, user_id: UserId) -> int:
    """How many devices a cached list has."""
    row = await tx.fetch_one("SELECT COUNT(*) FROM remote_devices WHERE user_id = ?", user_id)
    assert row is not None
    return int(row[0])
