"""Rows of dehydrated devices. Nothing but SQL."""

from watchword.protocol.ids import DeviceId, UserId
from watchword.storage.database import ReadTx, Tx


async def dehydrated(tx: ReadTx, user_id: UserId) -> tuple[DeviceId, bytes] | None:
    """(device ID, encoded device data) of a user's dehydrated device."""
    row = await tx.fetch_one("SELECT device_id, device_data FROM e2ee_dehydrated WHERE user_id = ?", user_id)
    return None if row is None else (DeviceId(row[0]), row[1])


async def set_dehydrated(tx: Tx, user_id: UserId, device_id: DeviceId, device_data: bytes) -> None:
    """Store a user's dehydrated device in place of any other."""
    await tx.execute(
        "INSERT INTO e2ee_dehydrated (user_id, device_id, device_data) VALUES (?, ?, ?) "
        "ON CONFLICT (user_id) DO UPDATE SET device_id = excluded.device_id, device_data = excluded.device_data",
        user_id,
        device_id,
        device_data,
    )


async def delete_dehydrated(tx: Tx, user_id: UserId, device_id: DeviceId) -> None:
    """Drop a dehydrated device, if this is the one."""
    await tx.execute("DELETE FROM e2ee_dehydrated WHERE user_id = ? AND device_id = ?", user_id, device_id)
