"""Rows of what is swept, quarantined and shown by events. Nothing but SQL. server_name "" is this server."""

from collections.abc import Iterable, Sequence

from watchword.protocol.ids import EventId
from watchword.server.media.commands import Quarantined
from watchword.storage.database import ReadTx, Tx

# Files


async def is_named(tx: ReadTx, sha256: bytes) -> bool:
    """Whether any file or thumbnail has these bytes."""
    row = await tx.fetch_one(
        "SELECT EXISTS (SELECT 1 FROM media WHERE sha256 = ?) OR EXISTS (SELECT 1 FROM media_thumbnails WHERE sha256 = ?)",
        sha256,
        sha256,
    )
    return row is not None and bool(row[0])


async def names_after(tx: ReadTx, after: tuple[str, str], count: int) -> Sequence[tuple[str, str, bytes, str]]:
    """Names in order: (server name, media ID, hash, owner)."""
    rows = await tx.fetch_all(
        "SELECT server_name, media_id, sha256, user_id FROM media WHERE (server_name, media_id) > (?, ?) "
        "ORDER BY server_name, media_id LIMIT ?",
        *after,
        count,
    )
    return [(row[0], row[1], bytes(row[2]), row[3]) for row in rows]


# Copies


async def note_used(tx: Tx, name: tuple[str, str], used_ts: int, unless_since_ts: int) -> None:
    """Somebody asked for a copy; nothing is written if that is known of this time or later."""
    await tx.execute(
        "UPDATE media SET used_ts = ? WHERE server_name = ? AND media_id = ? AND user_id = '' AND used_ts < ?",
        used_ts,
        *name,
        unless_since_ts,
    )


async def copied_bytes(tx: ReadTx) -> int:
    """How much all copies are together."""
    row = await tx.fetch_one("SELECT COALESCE(SUM(size_bytes), 0) FROM media WHERE user_id = ''")
    assert row is not None
    return int(row[0])


async def oldest_copies(tx: ReadTx, count: int) -> Sequence[tuple[str, str, int, int]]:
    """Copies that were not asked for longest, without pictures of previews that are shown: (server, ID, bytes, used_ts)."""
    rows = await tx.fetch_all(
        "SELECT server_name, media_id, size_bytes, used_ts FROM media WHERE user_id = '' AND (server_name <> '' "
        "OR NOT EXISTS (SELECT 1 FROM url_previews WHERE image_media_id = media.media_id)) ORDER BY used_ts LIMIT ?",
        count,
    )
    return [(row[0], row[1], int(row[2]), int(row[3])) for row in rows]


# Thumbnails


async def thumbnails_of_nothing(tx: ReadTx, first_byte: int, count: int) -> Sequence[bytes]:
    """Bytes that have thumbnails and that nobody names any more, among those whose hash begins with this byte."""
    rows = await tx.fetch_all(
        "SELECT DISTINCT source_sha256 FROM media_thumbnails WHERE source_sha256 >= ? AND source_sha256 <= ? "
        "AND NOT EXISTS (SELECT 1 FROM media WHERE media.sha256 = media_thumbnails.source_sha256) LIMIT ?",
        bytes((first_byte,)),
        bytes((first_byte,)) + b"\xff" * 32,
        count,
    )
    return [bytes(row[0]) for row in rows]


# Quarantine


async def is_quarantined(tx: ReadTx, sha256: bytes) -> bool:
    """Whether these bytes are not to be served."""
    return await tx.fetch_one("SELECT 1 FROM media_quarantine WHERE sha256 = ?", sha256) is not None


async def quarantine(tx: Tx, what: Quarantined) -> None:
    """Serve these bytes no more. Who was first stays."""
    await tx.execute(
        "INSERT INTO media_quarantine (sha256, quarantined_by, reason, created_ts) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (sha256) DO NOTHING",
        what.sha256,
        what.quarantined_by,
        what.reason,
        what.created_ts,
    )


async def release(tx: Tx, sha256: bytes) -> bool:
    """Serve these bytes again; whether they were quarantined."""
    return bool(await tx.execute("DELETE FROM media_quarantine WHERE sha256 = ?", sha256))


async def quarantined(tx: ReadTx, before_ts: int, count: int) -> Sequence[Quarantined]:
    """A page of the list, newest first."""
    rows = await tx.fetch_all(
        "SELECT sha256, quarantined_by, reason, created_ts FROM media_quarantine WHERE created_ts < ? "
        "ORDER BY created_ts DESC LIMIT ?",
        before_ts,
        count,
    )
    return [Quarantined(bytes(row[0]), row[1], row[2], int(row[3])) for row in rows]


# Events


async def note_shown(tx: Tx, event_id: EventId, media_ids: Iterable[str]) -> None:
    """An event shows files."""
    for media_id in media_ids:
        await tx.execute(
            "INSERT INTO media_references (event_id, media_id) VALUES (?, ?) ON CONFLICT (event_id, media_id) DO NOTHING",
            event_id,
            media_id,
        )


async def no_longer_shown(tx: Tx, event_id: EventId) -> Sequence[str]:
    """An event shows nothing any more; the files that it showed and no other event does."""
    rows = await tx.fetch_all("SELECT media_id FROM media_references WHERE event_id = ?", event_id)
    if not rows:
        return ()
    await tx.execute("DELETE FROM media_references WHERE event_id = ?", event_id)
    left = []
    for row in rows:
        if await tx.fetch_one("SELECT 1 FROM media_references WHERE media_id = ?", row[0]) is None:
            left.append(str(row[0]))
    return left


async def showing_events(tx: ReadTx, after: str, count: int) -> Sequence[EventId]:
    """A page of the events that show files, in order."""
    rows = await tx.fetch_all(
        "SELECT DISTINCT event_id FROM media_references WHERE event_id > ? ORDER BY event_id LIMIT ?", after, count
    )
    return [EventId(row[0]) for row in rows]
