"""Rows of previews. Nothing but SQL."""

from typing import NamedTuple

from watchword.storage.database import ReadTx, Tx


class StoredPreview(NamedTuple):
    """What a page said of itself, as encoded JSON, and when."""

    body: bytes
    created_ts: int


async def newest(tx: ReadTx, url: str, language: str, until_ts: int) -> StoredPreview | None:
    """The last one that was made until then."""
    row = await tx.fetch_one(
        "SELECT body, created_ts FROM url_previews WHERE url = ? AND language = ? AND created_ts <= ? "
        "ORDER BY created_ts DESC LIMIT 1",
        url,
        language,
        until_ts,
    )
    return None if row is None else StoredPreview(bytes(row[0]), int(row[1]))


async def first_after(tx: ReadTx, url: str, language: str, after_ts: int) -> StoredPreview | None:
    """The first one that was made later than that."""
    row = await tx.fetch_one(
        "SELECT body, created_ts FROM url_previews WHERE url = ? AND language = ? AND created_ts > ? "
        "ORDER BY created_ts LIMIT 1",
        url,
        language,
        after_ts,
    )
    return None if row is None else StoredPreview(bytes(row[0]), int(row[1]))


async def put(tx: Tx, page: tuple[str, str], preview: StoredPreview, image_media_id: str) -> None:
    """Store one; page: (URL, language)."""
    await tx.execute(
        "INSERT INTO url_previews (url, language, created_ts, body, image_media_id) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (url, language, created_ts) DO UPDATE SET body = excluded.body, image_media_id = excluded.image_media_id",
        *page,
        preview.created_ts,
        preview.body,
        image_media_id,
    )


async def forget(tx: Tx, before_ts: int, kept_max: int) -> int:
    """Forget those that are old, and the oldest of too many; how many that were."""
    gone = await tx.execute("DELETE FROM url_previews WHERE created_ts < ?", before_ts)
    row = await tx.fetch_one("SELECT created_ts FROM url_previews ORDER BY created_ts DESC LIMIT 1 OFFSET ?", kept_max)
    if row is not None:
        gone += await tx.execute("DELETE FROM url_previews WHERE created_ts <= ?", row[0])
    return gone
