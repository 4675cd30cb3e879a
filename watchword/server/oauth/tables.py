"""SQL of clients, codes, waiting devices, browsers, approvals and links to providers."""

from collections.abc import Sequence

import msgspec

from watchword.protocol.ids import DeviceId, UserId
from watchword.server.oauth.commands import (
    BrowserSession,
    Client,
    ClientMetadata,
    Code,
    DeviceGrant,
    DeviceGrantState,
    Scope,
)
from watchword.storage import ReadTx, Row, Tx

# Clients


def _client(row: Row) -> Client:
    return Client(row[0], msgspec.json.decode(row[1], type=ClientMetadata), row[2])


async def client(tx: ReadTx, client_id: str) -> Client | None:
    row = await tx.fetch_one("SELECT client_id, metadata, created_ts FROM oauth_clients WHERE client_id = ?", client_id)
    return None if row is None else _client(row)


async def client_by_digest(tx: ReadTx, digest: bytes) -> Client | None:
    row = await tx.fetch_one("SELECT client_id, metadata, created_ts FROM oauth_clients WHERE digest = ?", digest)
    return None if row is None else _client(row)


async def insert_client(tx: Tx, client: Client, digest: bytes) -> None:
    await tx.execute(
        "INSERT INTO oauth_clients (client_id, digest, metadata, created_ts) VALUES (?, ?, ?, ?)",
        client.client_id,
        digest,
        msgspec.json.encode(client.metadata),
        client.created_ts,
    )


async def use_client(tx: Tx, client_id: str, now_ms: int) -> None:
    """Note that somebody was asked about this client."""
    await tx.execute("UPDATE oauth_clients SET used_ts = ? WHERE client_id = ?", now_ms, client_id)


async def count_clients(tx: ReadTx) -> int:
    row = await tx.fetch_one("SELECT COUNT(client_id) FROM oauth_clients")
    assert row is not None
    return int(row[0])


async def delete_oldest_unused_client(tx: Tx) -> bool:
    """Make room: forget the client that waits longest to be used for the first time."""
    deleted = await tx.execute(
        "DELETE FROM oauth_clients WHERE client_id = "
        "(SELECT client_id FROM oauth_clients WHERE used_ts IS NULL ORDER BY created_ts LIMIT 1)"
    )
    return deleted == 1


async def clients_unused_since(tx: ReadTx, before_ts: int, limit: int) -> Sequence[str]:
    """Clients that nobody was asked about since."""
    rows = await tx.fetch_all(
        "SELECT client_id FROM oauth_clients WHERE COALESCE(used_ts, created_ts) < ? ORDER BY used_ts, created_ts LIMIT ?",
        before_ts,
        limit,
    )
    return [row[0] for row in rows]


async def delete_client(tx: Tx, client_id: str) -> None:
    await tx.execute("DELETE FROM oauth_clients WHERE client_id = ?", client_id)


# Codes


async def insert_code(tx: Tx, code_hash: bytes, code: Code) -> None:
    await tx.execute(
        "INSERT INTO oauth_codes (code_hash, client_id, user_id, device_id, scope, redirect_uri, code_challenge, expires_ts) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        code_hash,
        code.client_id,
        code.user_id,
        code.scope.device_id,
        code.scope.text,
        code.redirect_uri,
        code.code_challenge,
        code.expires_ts,
    )


async def code(tx: ReadTx, code_hash: bytes) -> Code | None:
    row = await tx.fetch_one(
        "SELECT client_id, user_id, device_id, scope, redirect_uri, code_challenge, expires_ts, session_id "
        "FROM oauth_codes WHERE code_hash = ?",
        code_hash,
    )
    if row is None:
        return None
    return Code(row[0], UserId(row[1]), Scope(DeviceId(row[2]), row[3]), row[4], row[5], row[6], row[7])


async def spend_code(tx: Tx, code_hash: bytes, session_id: int) -> None:
    await tx.execute("UPDATE oauth_codes SET session_id = ? WHERE code_hash = ?", session_id, code_hash)


async def delete_codes_before(tx: Tx, expired_ts: int) -> None:
    await tx.execute("DELETE FROM oauth_codes WHERE expires_ts < ?", expired_ts)


# Devices that wait


async def insert_device_grant(tx: Tx, hashes: tuple[bytes, bytes], grant: DeviceGrant) -> bool:
    """hashes: of the device code and of the user code. False if such a user code is waiting already."""
    inserted = await tx.execute(
        "INSERT INTO oauth_device_grants "
        "(device_code_hash, user_code_hash, client_id, device_id, scope, interval_ms, expires_ts) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (user_code_hash) DO NOTHING",
        hashes[0],
        hashes[1],
        grant.client_id,
        grant.scope.device_id,
        grant.scope.text,
        grant.interval_ms,
        grant.expires_ts,
    )
    return inserted == 1


_GRANT = "SELECT client_id, device_id, scope, state, user_id, interval_ms, polled_ts, expires_ts FROM oauth_device_grants "


def _grant(row: Row) -> DeviceGrant:
    user_id = None if row[4] is None else UserId(row[4])
    return DeviceGrant(row[0], Scope(DeviceId(row[1]), row[2]), DeviceGrantState(row[3]), user_id, row[5], row[6], row[7])


async def device_grant(tx: ReadTx, device_code_hash: bytes) -> DeviceGrant | None:
    row = await tx.fetch_one(_GRANT + "WHERE device_code_hash = ?", device_code_hash)
    return None if row is None else _grant(row)


async def device_grant_by_user_code(tx: ReadTx, user_code_hash: bytes) -> DeviceGrant | None:
    row = await tx.fetch_one(_GRANT + "WHERE user_code_hash = ?", user_code_hash)
    return None if row is None else _grant(row)


async def answer_device_grant(tx: Tx, user_code_hash: bytes, state: DeviceGrantState, user_id: UserId, now_ms: int) -> bool:
    """Let a waiting device in, or not; False if it waits no more."""
    changed = await tx.execute(
        "UPDATE oauth_device_grants SET state = ?, user_id = ? WHERE user_code_hash = ? AND state = ? AND expires_ts > ?",
        int(state),
        user_id,
        user_code_hash,
        int(DeviceGrantState.WAITING),
        now_ms,
    )
    return changed == 1


async def note_poll(tx: Tx, device_code_hash: bytes, now_ms: int, interval_ms: int) -> None:
    await tx.execute(
        "UPDATE oauth_device_grants SET polled_ts = ?, interval_ms = ? WHERE device_code_hash = ?",
        now_ms,
        interval_ms,
        device_code_hash,
    )


async def spend_device_grant(tx: Tx, device_code_hash: bytes) -> None:
    await tx.execute(
        "UPDATE oauth_device_grants SET state = ? WHERE device_code_hash = ?", int(DeviceGrantState.SPENT), device_code_hash
    )


async def count_device_grants(tx: ReadTx) -> int:
    row = await tx.fetch_one("SELECT COUNT(device_code_hash) FROM oauth_device_grants")
    assert row is not None
    return int(row[0])


async def delete_device_grants_before(tx: Tx, expired_ts: int) -> None:
    await tx.execute("DELETE FROM oauth_device_grants WHERE expires_ts < ?", expired_ts)


# Browsers


async def insert_browser(tx: Tx, token_hash: bytes, session: BrowserSession) -> None:
    await tx.execute(
        "INSERT INTO browser_sessions (token_hash, user_id, password_digest, authenticated_ts, expires_ts) "
        "VALUES (?, ?, ?, ?, ?)",
        token_hash,
        session.user_id,
        session.password_digest,
        session.authenticated_ts,
        session.expires_ts,
    )


async def keep_newest_browsers(tx: Tx, user_id: UserId, keep: int) -> None:
    """Forget all but the newest browsers of a user."""
    await tx.execute(
        "DELETE FROM browser_sessions WHERE user_id = ? AND token_hash NOT IN ("
        "SELECT token_hash FROM browser_sessions WHERE user_id = ? ORDER BY authenticated_ts DESC LIMIT ?)",
        user_id,
        user_id,
        keep,
    )


async def browser(tx: ReadTx, token_hash: bytes) -> BrowserSession | None:
    row = await tx.fetch_one(
        "SELECT user_id, password_digest, authenticated_ts, expires_ts FROM browser_sessions WHERE token_hash = ?", token_hash
    )
    return None if row is None else BrowserSession(UserId(row[0]), row[1], row[2], row[3])


async def delete_browser(tx: Tx, token_hash: bytes) -> None:
    await tx.execute("DELETE FROM browser_sessions WHERE token_hash = ?", token_hash)


async def delete_browsers_before(tx: Tx, expired_ts: int) -> None:
    await tx.execute("DELETE FROM browser_sessions WHERE expires_ts < ?", expired_ts)


# Approvals


async def set_approval(tx: Tx, user_id: UserId, device_id: str, expires_ts: int) -> None:
    await tx.execute(
        "INSERT INTO reset_approvals (user_id, device_id, expires_ts) VALUES (?, ?, ?) "
        "ON CONFLICT (user_id) DO UPDATE SET device_id = excluded.device_id, expires_ts = excluded.expires_ts",
        user_id,
        device_id,
        expires_ts,
    )


async def take_approval(tx: Tx, user_id: UserId, device_id: str, now_ms: int) -> bool:
    """Spend a user's approval for this device; False if there is none that is good."""
    deleted = await tx.execute(
        "DELETE FROM reset_approvals WHERE user_id = ? AND device_id IN ('', ?) AND expires_ts > ?",
        user_id,
        device_id,
        now_ms,
    )
    return deleted == 1


async def delete_approvals_before(tx: Tx, expired_ts: int) -> None:
    await tx.execute("DELETE FROM reset_approvals WHERE expires_ts < ?", expired_ts)


# Links to providers


async def linked_user(tx: ReadTx, provider_id: str, subject: str) -> UserId | None:
    row = await tx.fetch_one("SELECT user_id FROM upstream_links WHERE provider_id = ? AND subject = ?", provider_id, subject)
    return None if row is None else UserId(row[0])


async def insert_link(tx: Tx, provider_id: str, subject: str, user_id: UserId, now_ms: int) -> bool:
    """Remember who a user is at a provider; False if that is somebody already."""
    inserted = await tx.execute(
        "INSERT INTO upstream_links (provider_id, subject, user_id, created_ts) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (provider_id, subject) DO NOTHING",
        provider_id,
        subject,
        user_id,
        now_ms,
    )
    return inserted == 1


async def links_of(tx: ReadTx, user_id: UserId) -> Sequence[str]:
    """The providers that a user may come from."""
    rows = await tx.fetch_all("SELECT provider_id FROM upstream_links WHERE user_id = ? ORDER BY provider_id", user_id)
    return [row[0] for row in rows]
