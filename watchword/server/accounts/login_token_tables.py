"""SQL of login tokens."""

from watchword.protocol.ids import UserId
from watchword.storage import Tx


async def insert_login_token(tx: Tx, token_hash: bytes, user_id: UserId, expires_ts: int) -> None:
    await tx.execute(
        "INSERT INTO login_tokens (token_hash, user_id, expires_ts) VALUES (?, ?, ?)", token_hash, user_id, expires_ts
    )


async def take_login_token(tx: Tx, token_hash: bytes, now_ms: int) -> UserId | None:
    """Whose token it was, if it was good; it is gone afterwards."""
    row = await tx.fetch_one("DELETE FROM login_tokens WHERE token_hash = ? RETURNING user_id, expires_ts", token_hash)
    return UserId(row[0]) if row is not None and row[1] > now_ms else None


async def delete_login_tokens_before(tx: Tx, expired_ts: int) -> None:
    await tx.execute("DELETE FROM login_tokens WHERE expires_ts <= ?", expired_ts)


async def keep_newest_login_tokens(tx: Tx, user_id: UserId, keep: int) -> None:
    """Forget all but the newest tokens of a user."""
    await tx.execute(
        "DELETE FROM login_tokens WHERE user_id = ? AND token_hash NOT IN ("
        "SELECT token_hash FROM login_tokens WHERE user_id = ? ORDER BY expires_ts DESC LIMIT ?)",
        user_id,
        user_id,
        keep,
    )
