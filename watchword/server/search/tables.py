"""The SQL of the index of messages. Rows in, rows out; nothing is decided here.

Full-text indexes are the engine's own affair: this is the one dialect of SQLite, and another engine gets its own.
"""

from collections.abc import Sequence

from watchword.server.search.commands import HitRow, Words
from watchword.storage import ReadTx, Tx

# Entries


async def entry_of(tx: ReadTx, event_nid: int) -> int | None:
    row = await tx.fetch_one("SELECT entry FROM search_entries WHERE event_nid = ?", event_nid)
    return None if row is None else int(row[0])


async def insert_entry(tx: Tx, entry: int, event_nid: int, room_nid: int) -> bool:
    """False if the number is taken."""
    changed = await tx.execute(
        "INSERT INTO search_entries (entry, event_nid, room_nid) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        entry,
        event_nid,
        room_nid,
    )
    return changed > 0


async def insert_words(tx: Tx, entry: int, scope: str, words: Words) -> None:
    await tx.execute(
        "INSERT INTO search_index (rowid, scope, body, name, topic) VALUES (?, ?, ?, ?, ?)",
        entry,
        scope,
        words.body,
        words.name,
        words.topic,
    )


async def delete_words(tx: Tx, entry: int) -> None:
    await tx.execute("DELETE FROM search_index WHERE rowid = ?", entry)


async def delete_entries(tx: Tx, entries: Sequence[int]) -> None:
    rows = [(entry,) for entry in entries]
    await tx.execute_many("DELETE FROM search_index WHERE rowid = ?", rows)
    await tx.execute_many("DELETE FROM search_entries WHERE entry = ?", rows)


# Edits


async def insert_edit(tx: Tx, edit_nid: int, original_nid: int) -> None:
    await tx.execute(
        "INSERT INTO search_edits (edit_nid, original_nid) VALUES (?, ?) ON CONFLICT DO NOTHING", edit_nid, original_nid
    )


async def original_of(tx: ReadTx, edit_nid: int) -> int | None:
    row = await tx.fetch_one("SELECT original_nid FROM search_edits WHERE edit_nid = ?", edit_nid)
    return None if row is None else int(row[0])


# Questions


async def hits(tx: ReadTx, match: str, below: int, limit: int) -> list[HitRow]:
    """What fits an expression and was sent before an entry, the newest first."""
    rows = await tx.fetch_all(
        "SELECT e.entry, e.event_nid, e.room_nid FROM search_index JOIN search_entries AS e ON e.entry = search_index.rowid "
        "WHERE search_index MATCH ? AND search_index.rowid < ? ORDER BY search_index.rowid DESC LIMIT ?",
        match,
        below,
        limit,
    )
    return [HitRow(int(row[0]), int(row[1]), int(row[2])) for row in rows]


# Walks


async def progress(tx: ReadTx, walk: str) -> int | None:
    row = await tx.fetch_one("SELECT place FROM search_progress WHERE walk = ?", walk)
    return None if row is None else int(row[0])


async def save_progress(tx: Tx, walk: str, place: int) -> None:
    await tx.execute(
        "INSERT INTO search_progress (walk, place) VALUES (?, ?) ON CONFLICT (walk) DO UPDATE SET place = excluded.place",
        walk,
        place,
    )
