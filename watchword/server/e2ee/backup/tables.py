"""Rows of the key backup. Nothing but SQL."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from watchword.protocol.ids import UserId
from watchword.server.e2ee.backup.decide import BackedUpKey
from watchword.storage.database import ReadTx, Tx


class Version(NamedTuple):
    """One version of a user's backup. auth_data: JSON."""

    version: int
    algorithm: str
    auth_data: bytes
    etag: int
    key_count: int
    is_deleted: bool


_VERSION = "SELECT version, algorithm, auth_data, etag, key_count, is_deleted FROM key_backups WHERE user_id = ? "


async def newest(tx: ReadTx, user_id: UserId) -> Version | None:
    """The newest version that is not deleted."""
    row = await tx.fetch_one(_VERSION + "AND is_deleted = 0 ORDER BY version DESC LIMIT 1", user_id)
    return None if row is None else Version(*row)


async def version(tx: ReadTx, user_id: UserId, number: int) -> Version | None:
    """A version, deleted or not."""
    row = await tx.fetch_one(_VERSION + "AND version = ?", user_id, number)
    return None if row is None else Version(*row)


async def add(tx: Tx, user_id: UserId, algorithm: str, auth_data: bytes) -> int:
    """Begin a new version; return its number, never given before."""
    row = await tx.fetch_one("SELECT COALESCE(MAX(version), 0) + 1 FROM key_backups WHERE user_id = ?", user_id)
    assert row is not None
    await tx.execute(
        "INSERT INTO key_backups (user_id, version, algorithm, auth_data) VALUES (?, ?, ?, ?)",
        user_id,
        row[0],
        algorithm,
        auth_data,
    )
    return int(row[0])


async def set_auth_data(tx: Tx, user_id: UserId, number: int, auth_data: bytes) -> None:
    """Replace the auth data of a version."""
    await tx.execute("UPDATE key_backups SET auth_data = ? WHERE user_id = ? AND version = ?", auth_data, user_id, number)


async def delete(tx: Tx, user_id: UserId, number: int) -> None:
    """Drop the keys of a version; its number stays taken."""
    await tx.execute("DELETE FROM key_backup_sessions WHERE user_id = ? AND version = ?", user_id, number)
    await tx.execute(
        "UPDATE key_backups SET is_deleted = 1, auth_data = x'7b7d', key_count = 0 WHERE user_id = ? AND version = ?",
        user_id,
        number,
    )


async def delete_of_user(tx: Tx, user_id: UserId) -> None:
    """Drop all backups of a user."""
    await tx.execute("DELETE FROM key_backup_sessions WHERE user_id = ?", user_id)
    await tx.execute("DELETE FROM key_backups WHERE user_id = ?", user_id)


async def set_totals(tx: Tx, user_id: UserId, number: int, key_count: int) -> int:
    """Note a change of content; return the new etag."""
    row = await tx.fetch_one(
        "UPDATE key_backups SET etag = etag + 1, key_count = ? WHERE user_id = ? AND version = ? RETURNING etag",
        key_count,
        user_id,
        number,
    )
    assert row is not None
    return int(row[0])


async def session(tx: ReadTx, user_id: UserId, number: int, name: tuple[str, str]) -> BackedUpKey | None:
    """One key; name: (room ID, session ID)."""
    row = await tx.fetch_one(
        "SELECT first_message_index, forwarded_count, is_verified, session_data FROM key_backup_sessions "
        "WHERE user_id = ? AND version = ? AND room_id = ? AND session_id = ?",
        user_id,
        number,
        *name,
    )
    return None if row is None else BackedUpKey(int(row[0]), int(row[1]), bool(row[2]), row[3])


async def sessions(tx: ReadTx, user_id: UserId, number: int, room_id: str | None) -> Sequence[tuple[str, str, BackedUpKey]]:
    """All keys of a version, or those of one room: (room ID, session ID, key)."""
    rows = await tx.fetch_all(
        "SELECT room_id, session_id, first_message_index, forwarded_count, is_verified, session_data "
        "FROM key_backup_sessions WHERE user_id = ? AND version = ? AND room_id BETWEEN ? AND ? "
        "ORDER BY room_id, session_id",
        user_id,
        number,
        *_range(room_id),
    )
    return [(row[0], row[1], BackedUpKey(int(row[2]), int(row[3]), bool(row[4]), row[5])) for row in rows]


async def set_sessions(tx: Tx, user_id: UserId, number: int, keys: Mapping[tuple[str, str], BackedUpKey]) -> None:
    """Store keys, over those of the same name."""
    await tx.execute_many(
        "INSERT INTO key_backup_sessions (user_id, version, room_id, session_id, first_message_index, forwarded_count, "
        "is_verified, session_data) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (user_id, version, room_id, session_id) DO UPDATE SET "
        "first_message_index = excluded.first_message_index, forwarded_count = excluded.forwarded_count, "
        "is_verified = excluded.is_verified, session_data = excluded.session_data",
        [
            (user_id, number, *name, key.first_message_index, key.forwarded_count, int(key.is_verified), key.session_data)
            for name, key in keys.items()
        ],
    )


async def delete_sessions(tx: Tx, user_id: UserId, number: int, room_id: str | None, session_id: str | None) -> int:
    """Drop all keys of a version, those of one room, or one; return how many."""
    if session_id is None:
        return await tx.execute(
            "DELETE FROM key_backup_sessions WHERE user_id = ? AND version = ? AND room_id BETWEEN ? AND ?",
            user_id,
            number,
            *_range(room_id),
        )
    return await tx.execute(
        "DELETE FROM key_backup_sessions WHERE user_id = ? AND version = ? AND room_id = ? AND session_id = ?",
        user_id,
        number,
        room_id,
        session_id,
    )


def _range(room_id: str | None) -> tuple[str, str]:
    return ("", "\U0010ffff") if room_id is None else (room_id, room_id)
