"""Rows of to-device messages: waiting, done, going out, come in. Nothing but SQL."""

from collections.abc import Iterable, Sequence

from watchword.protocol.ids import ServerName
from watchword.storage.database import ReadTx, Tx
from watchword.storage.log import Position


async def add(tx: Tx, position: Position, messages: Iterable[tuple[int, bytes]]) -> None:
    """Queue messages, at most one for each device: (device number, encoded message)."""
    await tx.execute_many(
        "INSERT INTO to_device (device, position, message) VALUES (?, ?, ?)",
        [(device, position, message) for device, message in messages],
    )


async def waiting(tx: ReadTx, device: int, after: Position, until: Position, limit: int) -> Sequence[tuple[Position, bytes]]:
    """Messages of a device between two positions, oldest first."""
    rows = await tx.fetch_all(
        "SELECT position, message FROM to_device WHERE device = ? AND position > ? AND position <= ? ORDER BY position LIMIT ?",
        device,
        after,
        until,
        limit,
    )
    return [(Position(row[0]), row[1]) for row in rows]


async def extent(tx: ReadTx, device: int) -> tuple[Position, Position]:
    """The positions of a device's oldest and newest message; (0, 0) if none waits."""
    row = await tx.fetch_one(
        "SELECT COALESCE(MIN(position), 0), COALESCE(MAX(position), 0) FROM to_device WHERE device = ?", device
    )
    assert row is not None
    return Position(row[0]), Position(row[1])


async def delete(tx: Tx, device: int, until: Position) -> None:
    """Drop a device's messages up to a position."""
    await tx.execute("DELETE FROM to_device WHERE device = ? AND position <= ?", device, until)


async def delete_of_device(tx: Tx, device: int) -> None:
    """Drop everything that waits for, or was sent by, a device."""
    await tx.execute("DELETE FROM to_device WHERE device = ?", device)
    await tx.execute("DELETE FROM to_device_transactions WHERE device = ?", device)


async def overfull(tx: ReadTx, most: int) -> Sequence[tuple[int, Position]]:
    """Devices with more than so many messages, and the position of the last message too many."""
    devices = await tx.fetch_all("SELECT device FROM to_device GROUP BY device HAVING COUNT(*) > ?", most)
    found = []
    for (device,) in devices:
        row = await tx.fetch_one(
            "SELECT position FROM to_device WHERE device = ? ORDER BY position DESC LIMIT 1 OFFSET ?", device, most
        )
        assert row is not None, device
        found.append((int(device), Position(row[0])))
    return found


async def begin_transaction(tx: Tx, device: int, name: tuple[str, str], sent_ts: int) -> bool:
    """Note a request (type, transaction ID) of a device; False if it was done before."""
    changed = await tx.execute(
        "INSERT INTO to_device_transactions (device, type, txn_id, sent_ts) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (device, type, txn_id) DO NOTHING",
        device,
        *name,
        sent_ts,
    )
    return changed > 0


async def forget_transactions(tx: Tx, sent_before_ts: int) -> None:
    """Forget requests that nobody will repeat any more."""
    await tx.execute("DELETE FROM to_device_transactions WHERE sent_ts < ?", sent_before_ts)


async def add_outgoing(tx: Tx, server_name: ServerName, message_id: str, position: Position, content: bytes) -> None:
    """Store the content of an EDU for another server."""
    await tx.execute(
        "INSERT INTO to_device_outgoing (server_name, message_id, position, content) VALUES (?, ?, ?, ?)",
        server_name,
        message_id,
        position,
        content,
    )


async def outgoing(tx: ReadTx, server_name: ServerName, message_id: str) -> bytes | None:
    """The content of an EDU for another server."""
    row = await tx.fetch_one(
        "SELECT content FROM to_device_outgoing WHERE server_name = ? AND message_id = ?", server_name, message_id
    )
    return None if row is None else row[0]


async def delete_outgoing(tx: Tx, server_name: ServerName, until: Position) -> None:
    """Drop what another server has acknowledged."""
    await tx.execute("DELETE FROM to_device_outgoing WHERE server_name = ? AND position <= ?", server_name, until)


async def begin_received(tx: Tx, origin: ServerName, message_id: str, received_ts: int) -> bool:
    """Note an EDU of another server; False if it was delivered before."""
    changed = await tx.execute(
        "INSERT INTO to_device_received (origin, message_id, received_ts) VALUES (?, ?, ?) "
        "ON CONFLICT (origin, message_id) DO NOTHING",
        origin,
        message_id,
        received_ts,
    )
    return changed > 0


async def forget_received(tx: Tx, received_before_ts: int, per_origin_max: int) -> None:
    """Forget EDUs that are old, or too many of one server."""
    await tx.execute("DELETE FROM to_device_received WHERE received_ts < ?", received_before_ts)
    crowded = await tx.fetch_all("SELECT origin FROM to_device_received GROUP BY origin HAVING COUNT(*) > ?", per_origin_max)
    for (origin,) in crowded:
        await tx.execute(
            "DELETE FROM to_device_received WHERE origin = ? AND id <= (SELECT id FROM to_device_received "
            "WHERE origin = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
            origin,
            origin,
            per_origin_max,
        )
