"""The SQL of saved connections. Rows in, rows out; nothing is decided here."""

from watchword.protocol.ids import UserId
from watchword.storage import ReadTx, Tx


async def save(tx: Tx, key: tuple[UserId, str, str], used_ts: int, saved: bytes) -> None:
    await tx.execute(
        "INSERT INTO sliding_connections (user_id, device_id, conn_id, used_ts, saved) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (user_id, device_id, conn_id) DO UPDATE SET used_ts = excluded.used_ts, saved = excluded.saved",
        *key,
        used_ts,
        saved,
    )


async def load(tx: ReadTx, key: tuple[UserId, str, str]) -> bytes | None:
    row = await tx.fetch_one("SELECT saved FROM sliding_connections WHERE user_id = ? AND device_id = ? AND conn_id = ?", *key)
    return None if row is None else bytes(row[0])


async def keep_newest(tx: Tx, user_id: UserId, device_id: str, count: int) -> None:
    """Drop all saved connections of a device but the newest."""
    await tx.execute(
        "DELETE FROM sliding_connections WHERE user_id = ? AND device_id = ? AND conn_id NOT IN ("
        "SELECT conn_id FROM sliding_connections WHERE user_id = ? AND device_id = ? ORDER BY used_ts DESC LIMIT ?)",
        user_id,
        device_id,
        user_id,
        device_id,
        count,
    )


async def delete_device(tx: Tx, user_id: UserId, device_id: str) -> None:
    await tx.execute("DELETE FROM sliding_connections WHERE user_id = ? AND device_id = ?", user_id, device_id)


async def delete_older(tx: Tx, before_ts: int) -> int:
    return await tx.execute("DELETE FROM sliding_connections WHERE used_ts < ?", before_ts)
