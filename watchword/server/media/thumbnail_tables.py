"""Rows of thumbnails. Nothing but SQL."""

from typing import NamedTuple

from watchword.server.media.commands import StoredFile
from watchword.storage.database import ReadTx, Tx


class Thumbnail(NamedTuple):
    """A small picture, or the original where that serves."""

    content_type: str
    file: StoredFile
    created_ts: int


async def find(tx: ReadTx, source_sha256: bytes, variant: str) -> Thumbnail | None:
    """A thumbnail of these bytes."""
    row = await tx.fetch_one(
        "SELECT content_type, sha256, size_bytes, created_ts FROM media_thumbnails WHERE source_sha256 = ? AND variant = ?",
        source_sha256,
        variant,
    )
    return None if row is None else Thumbnail(row[0], StoredFile(row[1], int(row[2])), int(row[3]))


async def put(tx: Tx, source_sha256: bytes, variant: str, thumbnail: Thumbnail) -> None:
    """Store a thumbnail, or replace it."""
    await tx.execute(
        "INSERT INTO media_thumbnails (source_sha256, variant, content_type, size_bytes, sha256, created_ts) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (source_sha256, variant) DO UPDATE SET content_type = excluded.content_type, "
        "size_bytes = excluded.size_bytes, sha256 = excluded.sha256, created_ts = excluded.created_ts",
        source_sha256,
        variant,
        thumbnail.content_type,
        thumbnail.file.size_bytes,
        thumbnail.file.sha256,
        thumbnail.created_ts,
    )


async def remove_of(tx: Tx, source_sha256: bytes) -> list[bytes]:
    """Forget the thumbnails of bytes that nobody names any more; the hashes of their files. Keeps those of others."""
    rows = await tx.fetch_all(
        "SELECT sha256 FROM media_thumbnails WHERE source_sha256 = ? "
        "AND NOT EXISTS (SELECT 1 FROM media WHERE media.sha256 = media_thumbnails.source_sha256)",
        source_sha256,
    )
    if rows:
        await tx.execute("DELETE FROM media_thumbnails WHERE source_sha256 = ?", source_sha256)
    return [bytes(row[0]) for row in rows]
