"""The SQL of server notices. Rows in, rows out; nothing is decided here."""

from watchword.protocol.ids import RoomId, UserId
from watchword.storage import ReadTx, Tx


async def room_of(tx: ReadTx, user_id: UserId) -> RoomId | None:
    row = await tx.fetch_one("SELECT room_id FROM notice_rooms WHERE user_id = ?", user_id)
    return None if row is None else RoomId(row[0])


async def save_room(tx: Tx, user_id: UserId, room_id: RoomId) -> None:
    await tx.execute(
        "INSERT INTO notice_rooms (user_id, room_id) VALUES (?, ?) "
        "ON CONFLICT (user_id) DO UPDATE SET room_id = excluded.room_id",
        user_id,
        room_id,
    )
