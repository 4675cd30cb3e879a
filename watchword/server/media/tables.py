"""Rows of media. Nothing but SQL. server_name "" is this server."""

from watchword.protocol.ids import UserId
from watchword.server.media.commands import Media, StoredFile, Usage
from watchword.storage.database import ReadTx, Tx


async def find(tx: ReadTx, server_name: str, media_id: str) -> Media | None:
    """A file by its name, also if it is quarantined."""
    row = await tx.fetch_one(
        "SELECT content_type, file_name, sha256, size_bytes, created_ts, kind FROM media "
        "WHERE server_name = ? AND media_id = ?",
        server_name,
        media_id,
    )
    return None if row is None else Media(row[0], row[1], StoredFile(row[2], int(row[3])), int(row[4]), row[5])


async def owner(tx: ReadTx, media_id: str) -> UserId | None:
    """Who uploaded a file of this server; "" for the picture of a preview; None if there is none."""
    row = await tx.fetch_one("SELECT user_id FROM media WHERE server_name = '' AND media_id = ?", media_id)
    return None if row is None else UserId(row[0])


async def add(tx: Tx, name: tuple[str, str], user_id: str, media: Media) -> None:
    """Name a durable file; name: (server name, media ID); user_id "" for copies. A copy replaces the one before."""
    await tx.execute(
        "INSERT INTO media (server_name, media_id, user_id, content_type, file_name, size_bytes, sha256, created_ts, kind, "
        "used_ts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (server_name, media_id) DO UPDATE SET "
        "content_type = excluded.content_type, file_name = excluded.file_name, size_bytes = excluded.size_bytes, "
        "sha256 = excluded.sha256, kind = excluded.kind, used_ts = excluded.used_ts WHERE user_id = ''",
        *name,
        user_id,
        media.content_type,
        media.file_name,
        media.file.size_bytes,
        media.file.sha256,
        media.created_ts,
        media.kind,
        media.created_ts,
    )


async def remove(tx: Tx, server_name: str, media_id: str) -> bytes | None:
    """Forget a name; the hash of the file that it named."""
    row = await tx.fetch_one("SELECT sha256 FROM media WHERE server_name = ? AND media_id = ?", server_name, media_id)
    if row is None:
        return None
    await tx.execute("DELETE FROM media WHERE server_name = ? AND media_id = ?", server_name, media_id)
    await tx.execute("DELETE FROM media_references WHERE media_id = ? AND ? = ''", media_id, server_name)
    return bytes(row[0])


async def usage(tx: ReadTx, user_id: UserId, day_ago_ts: int) -> Usage:
    """What a user has stored."""
    row = await tx.fetch_one(
        "SELECT COALESCE(SUM(size_bytes), 0), COUNT(*), COALESCE(SUM(CASE WHEN created_ts > ? THEN size_bytes ELSE 0 END), 0) "
        "FROM media WHERE user_id = ?",
        day_ago_ts,
        user_id,
    )
    assert row is not None
    return Usage(int(row[0]), int(row[1]), int(row[2]))


async def add_pending(tx: Tx, media_id: str, user_id: UserId, expires_ts: int) -> None:
    """Give out a name whose file is to come."""
    await tx.execute(
        "INSERT INTO media_pending (media_id, user_id, expires_ts) VALUES (?, ?, ?)", media_id, user_id, expires_ts
    )


async def pending(tx: ReadTx, media_id: str) -> tuple[UserId, int] | None:
    """Who may fill a name, and until when."""
    row = await tx.fetch_one("SELECT user_id, expires_ts FROM media_pending WHERE media_id = ?", media_id)
    return None if row is None else (UserId(row[0]), int(row[1]))


async def pending_of(tx: ReadTx, user_id: UserId, now_ms: int) -> tuple[int, int]:
    """How many names a user has not filled, and when the first of them ends (0 if there is none)."""
    row = await tx.fetch_one(
        "SELECT COUNT(*), COALESCE(MIN(expires_ts), 0) FROM media_pending WHERE user_id = ? AND expires_ts > ?",
        user_id,
        now_ms,
    )
    assert row is not None
    return int(row[0]), int(row[1])


async def end_pending(tx: Tx, media_id: str) -> int:
    """A name is filled; return 0 if it was not pending."""
    return await tx.execute("DELETE FROM media_pending WHERE media_id = ?", media_id)


async def forget_expired(tx: Tx, now_ms: int) -> None:
    """Forget names that were never filled."""
    await tx.execute("DELETE FROM media_pending WHERE expires_ts <= ?", now_ms)
