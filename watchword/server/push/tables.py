"""The SQL of pushers and their journal. Rows in, rows out; nothing is decided here."""

from collections.abc import Sequence

import orjson

from watchword.protocol.ids import DeviceId, EventId, UserId
from watchword.server.push.commands import DigestState, JournalEntry, Pusher, PusherForm, PusherKey, Removal
from watchword.storage import Position, ReadTx, Row, Tx

_PUSHER = (
    "pusher_id, user_id, app_id, pushkey, device_id, kind, app_display_name, device_display_name, profile_tag, lang, data, "
    "pushkey_ts, delivered, failures, retry_after_ts, enabled"
)


def _pusher(row: Row) -> Pusher:
    return Pusher(
        pusher_id=row[0],
        key=PusherKey(UserId(row[1]), row[2], row[3]),
        device_id=DeviceId(row[4]) if row[4] else None,
        form=PusherForm(row[5], row[6], row[7], row[8], row[9], orjson.loads(row[10]), enabled=bool(row[15])),
        pushkey_ts=row[11],
        delivered=row[12],
        failures=row[13],
        retry_after_ts=row[14],
    )


async def save_pusher(
    tx: Tx, key: PusherKey, device_id: DeviceId | None, form: PusherForm, now_ms: int, after: Position
) -> None:
    """Make a pusher, which is told of what comes after a position; or change it and forget its failures."""
    await tx.execute(
        "INSERT INTO pushers (user_id, app_id, pushkey, device_id, kind, app_display_name, device_display_name, "
        "profile_tag, lang, data, pushkey_ts, delivered, enabled) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (user_id, app_id, pushkey) DO UPDATE SET device_id = excluded.device_id, kind = excluded.kind, "
        "app_display_name = excluded.app_display_name, device_display_name = excluded.device_display_name, "
        "profile_tag = excluded.profile_tag, lang = excluded.lang, data = excluded.data, "
        "pushkey_ts = excluded.pushkey_ts, failures = 0, retry_after_ts = 0, enabled = excluded.enabled, "
        # Nobody is told late of what came while it was switched off.
        "delivered = CASE WHEN pushers.enabled < excluded.enabled THEN excluded.delivered ELSE pushers.delivered END",
        key.user_id,
        key.app_id,
        key.pushkey,
        device_id or "",
        form.kind,
        form.app_display_name,
        form.device_display_name,
        form.profile_tag,
        form.lang,
        orjson.dumps(form.data),
        now_ms,
        after,
        int(form.enabled),
    )


async def pushers_of(tx: ReadTx, user_id: UserId) -> list[Pusher]:
    rows = await tx.fetch_all(f"SELECT {_PUSHER} FROM pushers WHERE user_id = ? ORDER BY pusher_id", user_id)  # noqa: S608
    return [_pusher(row) for row in rows]


async def pushers_after(tx: ReadTx, pusher_id: int, limit: int) -> list[Pusher]:
    """All pushers in pages."""
    rows = await tx.fetch_all(
        f"SELECT {_PUSHER} FROM pushers WHERE pusher_id > ? ORDER BY pusher_id LIMIT ?",  # noqa: S608
        pusher_id,
        limit,
    )
    return [_pusher(row) for row in rows]


async def others_with_key(tx: ReadTx, key: PusherKey) -> list[Pusher]:
    """Pushers of other users with the same app_id and pushkey."""
    rows = await tx.fetch_all(
        f"SELECT {_PUSHER} FROM pushers WHERE app_id = ? AND pushkey = ? AND user_id <> ?",  # noqa: S608
        key.app_id,
        key.pushkey,
        key.user_id,
    )
    return [_pusher(row) for row in rows]


async def delete_pushers(tx: Tx, pusher_ids: Sequence[int]) -> None:
    """Delete pushers, their journals and digests."""
    rows = [(pusher_id,) for pusher_id in pusher_ids]
    await tx.execute_many("DELETE FROM push_digests WHERE pusher_id = ?", rows)
    await tx.execute_many("DELETE FROM push_journal WHERE pusher_id = ?", rows)
    await tx.execute_many("DELETE FROM pushers WHERE pusher_id = ?", rows)


async def settle(tx: Tx, pusher_id: int, position: int | None, failures: int, retry_after_ts: int) -> None:
    """Note what became of an attempt. position: up to where all is settled now, if it moved."""
    await tx.execute(
        "UPDATE pushers SET delivered = MAX(delivered, ?), failures = ?, retry_after_ts = ? WHERE pusher_id = ?",
        position or 0,
        failures,
        retry_after_ts,
        pusher_id,
    )


async def write_journal(tx: Tx, pusher_id: int, entry: JournalEntry, kept: int) -> None:
    """Note an outcome; drop all but the newest ones."""
    await tx.execute(
        "INSERT INTO push_journal (pusher_id, ts, event_id, outcome) VALUES (?, ?, ?, ?)",
        pusher_id,
        entry.ts,
        entry.event_id or "",
        entry.outcome,
    )
    await tx.execute(
        "DELETE FROM push_journal WHERE pusher_id = ? AND entry_id <= "
        "(SELECT entry_id FROM push_journal WHERE pusher_id = ? ORDER BY entry_id DESC LIMIT 1 OFFSET ?)",
        pusher_id,
        pusher_id,
        kept,
    )


async def journal(tx: ReadTx, pusher_id: int, limit: int) -> list[JournalEntry]:
    """The newest first."""
    rows = await tx.fetch_all(
        "SELECT ts, event_id, outcome FROM push_journal WHERE pusher_id = ? ORDER BY entry_id DESC LIMIT ?", pusher_id, limit
    )
    return [JournalEntry(row[0], EventId(row[1]) if row[1] else None, row[2]) for row in rows]


async def write_removal(tx: Tx, user_id: UserId, removal: Removal, kept: int) -> None:
    """Note that a pusher is gone; drop all but the newest notes of its user."""
    await tx.execute(
        "INSERT INTO push_removals (user_id, app_id, kind, device_id, ts, reason) VALUES (?, ?, ?, ?, ?, ?)",
        user_id,
        removal.app_id,
        removal.kind,
        removal.device_id or "",
        removal.ts,
        removal.reason,
    )
    await tx.execute(
        "DELETE FROM push_removals WHERE user_id = ? AND removal_id <= "
        "(SELECT removal_id FROM push_removals WHERE user_id = ? ORDER BY removal_id DESC LIMIT 1 OFFSET ?)",
        user_id,
        user_id,
        kept,
    )


async def removals(tx: ReadTx, user_id: UserId, limit: int) -> list[Removal]:
    """The newest first."""
    rows = await tx.fetch_all(
        "SELECT app_id, kind, device_id, ts, reason FROM push_removals WHERE user_id = ? ORDER BY removal_id DESC LIMIT ?",
        user_id,
        limit,
    )
    return [Removal(row[0], row[1], DeviceId(row[2]) if row[2] else None, row[3], row[4]) for row in rows]


# Digests


async def digests(tx: ReadTx) -> list[DigestState]:
    """Every one: as many as there are users with pushers of the kind email."""
    rows = await tx.fetch_all("SELECT pusher_id, token, due_ts, last_ts, mails, told FROM push_digests")
    return [DigestState(*row) for row in rows]


async def save_digest(tx: Tx, state: DigestState) -> None:
    await tx.execute(
        "INSERT INTO push_digests (pusher_id, token, due_ts, last_ts, mails, told) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (pusher_id) DO UPDATE SET due_ts = excluded.due_ts, last_ts = excluded.last_ts, "
        "mails = excluded.mails, told = excluded.told",
        state.pusher_id,
        state.token,
        state.due_ts,
        state.last_ts,
        state.mails,
        state.told,
    )


async def pusher_of_token(tx: ReadTx, token: str) -> Pusher | None:
    """Whose mails this token ends."""
    row = await tx.fetch_one(
        f"SELECT {_PUSHER} FROM pushers WHERE pusher_id = (SELECT pusher_id FROM push_digests WHERE token = ?)",  # noqa: S608
        token,
    )
    return None if row is None else _pusher(row)
