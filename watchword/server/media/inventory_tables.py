"""Rows of what there is, for administrators. Nothing but SQL. server_name "" is this server."""

from collections.abc import Sequence

from watchword.protocol.ids import UserId
from watchword.server.media.commands import Upload
from watchword.storage.database import ReadTx

ORDERS = {
    "media_id": "m.media_id",
    "upload_name": "COALESCE(m.file_name, '')",
    "created_ts": "m.created_ts",
    "media_length": "m.size_bytes",
    "media_type": "m.content_type",
    "quarantined_by": "COALESCE(q.quarantined_by, '')",
}
"""What the files of a user may be ordered by."""


async def uploads_of(
    tx: ReadTx, user_id: UserId, order_by: str, *, backwards: bool, start: int, limit: int
) -> Sequence[Upload]:
    """A page of a user's files."""
    direction = "DESC" if backwards else "ASC"
    rows = await tx.fetch_all(
        "SELECT m.media_id, m.content_type, m.file_name, m.size_bytes, m.sha256, m.created_ts, "  # noqa: S608
        "COALESCE(q.quarantined_by, '') FROM media AS m LEFT JOIN media_quarantine AS q ON q.sha256 = m.sha256 "
        f"WHERE m.user_id = ? AND m.server_name = '' ORDER BY {ORDERS[order_by]} {direction}, m.media_id LIMIT ? OFFSET ?",
        user_id,
        limit,
        start,
    )
    return [Upload(*row) for row in rows]


async def usage_by_user(tx: ReadTx, start: int, limit: int) -> Sequence[tuple[UserId, int, int]]:
    """(user, files, bytes), those with most bytes first."""
    rows = await tx.fetch_all(
        "SELECT user_id, COUNT(*), SUM(size_bytes) FROM media WHERE user_id <> '' GROUP BY user_id "
        "ORDER BY SUM(size_bytes) DESC, user_id LIMIT ? OFFSET ?",
        limit,
        start,
    )
    return [(UserId(row[0]), int(row[1]), int(row[2])) for row in rows]


async def users(tx: ReadTx) -> int:
    """How many users have uploaded something."""
    row = await tx.fetch_one("SELECT COUNT(DISTINCT user_id) FROM media WHERE user_id <> ''")
    assert row is not None
    return int(row[0])


async def total(tx: ReadTx, *, own: bool) -> tuple[int, int]:
    """(files, bytes) of users of this server, or of copies."""
    comparison = "<>" if own else "="
    row = await tx.fetch_one(
        f"SELECT COUNT(*), COALESCE(SUM(size_bytes), 0) FROM media WHERE user_id {comparison} ''"  # noqa: S608
    )
    assert row is not None
    return int(row[0]), int(row[1])
