"""SQL of what users store: profile fields, account data, filters, OpenID tokens."""

from collections.abc import Mapping, Sequence

from watchword.protocol.ids import RoomId, UserId
from watchword.server.accounts.commands import AccountDataRow
from watchword.storage import Position, ReadTx, Tx

# Profiles


async def profile(tx: ReadTx, user_id: UserId) -> Mapping[str, bytes]:
    """Field → JSON."""
    rows = await tx.fetch_all("SELECT field, value FROM profile_fields WHERE user_id = ?", user_id)
    return {row[0]: row[1] for row in rows}


async def set_profile_field(tx: Tx, user_id: UserId, field: str, value: bytes) -> None:
    await tx.execute(
        "INSERT INTO profile_fields (user_id, field, value) VALUES (?, ?, ?) "
        "ON CONFLICT (user_id, field) DO UPDATE SET value = excluded.value",
        user_id,
        field,
        value,
    )


async def delete_profile_field(tx: Tx, user_id: UserId, field: str) -> bool:
    return await tx.execute("DELETE FROM profile_fields WHERE user_id = ? AND field = ?", user_id, field) == 1


async def delete_profile(tx: Tx, user_id: UserId) -> None:
    await tx.execute("DELETE FROM profile_fields WHERE user_id = ?", user_id)


# Account data; room_id None is ''. Content of no bytes at all stands for what was deleted: clients must hear of that.


async def account_data(tx: ReadTx, user_id: UserId, room_id: RoomId | None, data_type: str) -> bytes | None:
    row = await tx.fetch_one(
        "SELECT content FROM account_data WHERE user_id = ? AND room_id = ? AND type = ?", user_id, room_id or "", data_type
    )
    return bytes(row[0]) if row is not None and row[0] else None


async def account_data_since(tx: ReadTx, user_id: UserId, after: Position) -> Sequence[AccountDataRow]:
    rows = await tx.fetch_all(
        "SELECT room_id, type, content, position FROM account_data WHERE user_id = ? AND position > ? ORDER BY position",
        user_id,
        after,
    )
    # Whoever begins has nothing that he would have to drop.
    return [
        AccountDataRow(RoomId(row[0]) if row[0] else None, row[1], row[2] or b"{}", row[3]) for row in rows if row[2] or after
    ]


async def put_account_data(
    tx: Tx, user_id: UserId, room_id: RoomId | None, data_type: str, content: bytes, position: Position
) -> None:
    await tx.execute(
        "INSERT INTO account_data (user_id, room_id, type, content, position) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (user_id, room_id, type) DO UPDATE SET content = excluded.content, position = excluded.position",
        user_id,
        room_id or "",
        data_type,
        content,
        position,
    )


async def delete_all_account_data(tx: Tx, user_id: UserId) -> None:
    await tx.execute("DELETE FROM account_data WHERE user_id = ?", user_id)


# Filters


async def filter_content(tx: ReadTx, user_id: UserId, filter_id: int) -> bytes | None:
    row = await tx.fetch_one("SELECT content FROM filters WHERE user_id = ? AND filter_id = ?", user_id, filter_id)
    return None if row is None else bytes(row[0])


async def filter_by_digest(tx: ReadTx, user_id: UserId, digest: bytes) -> int | None:
    row = await tx.fetch_one("SELECT filter_id FROM filters WHERE user_id = ? AND digest = ?", user_id, digest)
    return None if row is None else int(row[0])


async def last_filter(tx: ReadTx, user_id: UserId) -> int:
    """The highest number of a user's filters; -1 if there are none."""
    row = await tx.fetch_one("SELECT COALESCE(MAX(filter_id), -1) FROM filters WHERE user_id = ?", user_id)
    assert row is not None
    return int(row[0])


async def insert_filter(tx: Tx, user_id: UserId, filter_id: int, digest: bytes, content: bytes) -> None:
    await tx.execute(
        "INSERT INTO filters (user_id, filter_id, digest, content) VALUES (?, ?, ?, ?)", user_id, filter_id, digest, content
    )


async def delete_filters(tx: Tx, user_id: UserId) -> None:
    await tx.execute("DELETE FROM filters WHERE user_id = ?", user_id)


# OpenID tokens


async def insert_openid_token(tx: Tx, token_hash: bytes, user_id: UserId, expires_ts: int) -> None:
    await tx.execute(
        "INSERT INTO openid_tokens (token_hash, user_id, expires_ts) VALUES (?, ?, ?)", token_hash, user_id, expires_ts
    )


async def openid_user(tx: ReadTx, token_hash: bytes, now_ms: int) -> UserId | None:
    row = await tx.fetch_one(
        "SELECT t.user_id FROM openid_tokens t JOIN accounts a ON a.user_id = t.user_id "
        "WHERE t.token_hash = ? AND t.expires_ts > ? AND a.is_deactivated = 0",
        token_hash,
        now_ms,
    )
    return None if row is None else UserId(row[0])


async def delete_expired_openid_tokens(tx: Tx, now_ms: int) -> None:
    await tx.execute("DELETE FROM openid_tokens WHERE expires_ts <= ?", now_ms)
