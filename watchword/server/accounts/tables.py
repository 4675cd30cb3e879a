"""SQL of accounts, devices, sessions, tokens and invitations. What users store is in `tables_user_data`."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from watchword.protocol.ids import DeviceId, RoomId, UserId
from watchword.server.accounts.commands import Account, CreateAccount, Device, Invitation, Stage, TokenPair
from watchword.storage import ReadTx, Row, Tx

_ACCOUNT = (
    "a.user_id, a.password_hash, a.created_ts, a.is_guest, a.is_admin, a.is_locked, a.is_suspended, a.is_deactivated, "
    "a.is_erased, a.invited_by, a.appservice_id"
)
_PAIR = (
    f"SELECT p.pair_id, p.session_id, p.stage, p.expires_ts, s.device_id, s.oauth_client_id, {_ACCOUNT} "  # noqa: S608 (no value in it)
    "FROM token_pairs p JOIN sessions s ON s.session_id = p.session_id JOIN accounts a ON a.user_id = s.user_id WHERE "
)
_INVITATION = (
    "SELECT invitation_id, uses_allowed, uses_completed, created_ts, expires_ts, revoked_ts, created_by, label, invite_to, "
    "grants_admin FROM invitations "
)


# Accounts


def _account(row: Sequence[object]) -> Account:
    return Account(
        user_id=row[0],  # type: ignore[arg-type]  # a row is as the schema says
        password_hash=row[1],  # type: ignore[arg-type]
        created_ts=row[2],  # type: ignore[arg-type]
        is_guest=bool(row[3]),
        is_admin=bool(row[4]),
        is_locked=bool(row[5]),
        is_suspended=bool(row[6]),
        is_deactivated=bool(row[7]),
        is_erased=bool(row[8]),
        invited_by=row[9],  # type: ignore[arg-type]
        appservice_id=row[10],  # type: ignore[arg-type]
    )


async def account(tx: ReadTx, user_id: UserId) -> Account | None:
    """One account, also if it is deactivated."""
    row = await tx.fetch_one(f"SELECT {_ACCOUNT} FROM accounts a WHERE a.user_id = ?", user_id)  # noqa: S608
    return None if row is None else _account(row)


async def users_after(tx: ReadTx, after: str, limit: int) -> Sequence[UserId]:
    """Users with an account of their own, in order of their ID, after one of them ('' to begin)."""
    rows = await tx.fetch_all(
        "SELECT user_id FROM accounts WHERE user_id > ? AND is_deactivated = 0 AND is_guest = 0 ORDER BY user_id LIMIT ?",
        after,
        limit,
    )
    return [UserId(row[0]) for row in rows]


async def any_account(tx: ReadTx) -> bool:
    return await tx.fetch_one("SELECT user_id FROM accounts LIMIT 1") is not None


async def guests_among(tx: ReadTx, user_ids: Collection[UserId]) -> set[UserId]:
    rows = await tx.fetch_all(
        "SELECT user_id FROM accounts WHERE user_id IN (SELECT value FROM json_each(?)) AND is_guest = 1",
        msgspec.json.encode(list(user_ids)).decode(),
    )
    return {UserId(row[0]) for row in rows}


async def insert_account(tx: Tx, command: CreateAccount, created_ts: int, invited_by: UserId | None) -> bool:
    """Begin an account; False if the name was ever taken."""
    inserted = await tx.execute(
        "INSERT INTO accounts (user_id, password_hash, created_ts, is_guest, is_admin, invited_by, appservice_id) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (user_id) DO NOTHING",
        command.user_id,
        command.password_hash,
        created_ts,
        int(command.is_guest),
        int(command.is_admin),
        invited_by,
        command.appservice_id,
    )
    return inserted == 1


async def upgrade_guest(tx: Tx, command: CreateAccount, created_ts: int, invited_by: UserId | None) -> bool:
    """Make a guest a user; False if there is no such guest. created_ts: not used, he was there before."""
    changed = await tx.execute(
        "UPDATE accounts SET is_guest = 0, password_hash = ?, is_admin = ?, invited_by = ? "
        "WHERE user_id = ? AND is_guest = 1 AND is_deactivated = 0",
        command.password_hash,
        int(command.is_admin),
        invited_by,
        command.user_id,
    )
    return changed == 1


async def set_password(tx: Tx, user_id: UserId, password_hash: str) -> None:
    await tx.execute("UPDATE accounts SET password_hash = ? WHERE user_id = ? AND is_deactivated = 0", password_hash, user_id)


async def set_locked(tx: Tx, user_id: UserId, locked: bool) -> None:
    await tx.execute("UPDATE accounts SET is_locked = ? WHERE user_id = ?", int(locked), user_id)


async def set_suspended(tx: Tx, user_id: UserId, suspended: bool) -> None:
    await tx.execute("UPDATE accounts SET is_suspended = ? WHERE user_id = ?", int(suspended), user_id)


async def set_admin(tx: Tx, user_id: UserId, admin: bool) -> int:
    return await tx.execute("UPDATE accounts SET is_admin = ? WHERE user_id = ? AND is_deactivated = 0", int(admin), user_id)


async def deactivate(tx: Tx, user_id: UserId, erase: bool) -> bool:
    """End an account; False if it had ended before."""
    changed = await tx.execute(
        "UPDATE accounts SET is_deactivated = 1, is_erased = ?, is_admin = 0, password_hash = NULL "
        "WHERE user_id = ? AND is_deactivated = 0",
        int(erase),
        user_id,
    )
    return changed == 1


# Devices


def _device(row: Row) -> Device:
    return Device(DeviceId(row[0]), row[1], row[2], row[3], row[4])


async def devices(tx: ReadTx, user_id: UserId) -> Sequence[Device]:
    rows = await tx.fetch_all(
        "SELECT device_id, display_name, last_seen_ts, last_seen_ip, last_seen_agent FROM devices WHERE user_id = ? "
        "ORDER BY device_id",
        user_id,
    )
    return [_device(row) for row in rows]


async def device(tx: ReadTx, user_id: UserId, device_id: DeviceId) -> Device | None:
    row = await tx.fetch_one(
        "SELECT device_id, display_name, last_seen_ts, last_seen_ip, last_seen_agent FROM devices "
        "WHERE user_id = ? AND device_id = ?",
        user_id,
        device_id,
    )
    return None if row is None else _device(row)


async def insert_device(tx: Tx, user_id: UserId, device_id: DeviceId, display_name: str | None, created_ts: int) -> bool:
    """Add a device; False if it is there already, and then nothing changes."""
    inserted = await tx.execute(
        "INSERT INTO devices (user_id, device_id, display_name, created_ts) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (user_id, device_id) DO NOTHING",
        user_id,
        device_id,
        display_name,
        created_ts,
    )
    return inserted == 1


async def rename_device(tx: Tx, user_id: UserId, device_id: DeviceId, display_name: str) -> None:
    await tx.execute(
        "UPDATE devices SET display_name = ? WHERE user_id = ? AND device_id = ?", display_name, user_id, device_id
    )


async def delete_device(tx: Tx, user_id: UserId, device_id: DeviceId) -> bool:
    """Remove a device with its session and tokens; False if there was none."""
    await delete_session(tx, user_id, device_id)
    return await tx.execute("DELETE FROM devices WHERE user_id = ? AND device_id = ?", user_id, device_id) == 1


async def save_last_seen(tx: Tx, rows: Iterable[tuple[int, str, str, UserId, DeviceId]]) -> None:
    """rows: last_seen_ts, address, agent, user, device."""
    await tx.execute_many(
        "UPDATE devices SET last_seen_ts = ?, last_seen_ip = ?, last_seen_agent = ? WHERE user_id = ? AND device_id = ?", rows
    )


# Sessions and tokens


async def insert_session(
    tx: Tx, user_id: UserId, device_id: DeviceId, created_ts: int, oauth_client_id: str | None = None
) -> int:
    """Begin a session of a device that has none; return its number."""
    row = await tx.fetch_one(
        "INSERT INTO sessions (user_id, device_id, created_ts, oauth_client_id) VALUES (?, ?, ?, ?) RETURNING session_id",
        user_id,
        device_id,
        created_ts,
        oauth_client_id,
    )
    assert row is not None
    return int(row[0])


async def session_device(tx: ReadTx, session_id: int) -> tuple[UserId, DeviceId] | None:
    """Whose session this is, and of which device; None if it has ended."""
    row = await tx.fetch_one("SELECT user_id, device_id FROM sessions WHERE session_id = ?", session_id)
    return None if row is None else (UserId(row[0]), DeviceId(row[1]))


async def session_clients(tx: ReadTx, user_id: UserId) -> Mapping[DeviceId, str]:
    """Which OAuth client holds the tokens of which device; a device of a legacy login is not among them."""
    rows = await tx.fetch_all(
        "SELECT device_id, oauth_client_id FROM sessions WHERE user_id = ? AND oauth_client_id IS NOT NULL", user_id
    )
    return {DeviceId(row[0]): row[1] for row in rows}


async def clients_with_sessions(tx: ReadTx) -> Sequence[str]:
    """Every OAuth client that holds tokens of some device."""
    rows = await tx.fetch_all("SELECT DISTINCT oauth_client_id FROM sessions WHERE oauth_client_id IS NOT NULL")
    return [row[0] for row in rows]


async def delete_session(tx: Tx, user_id: UserId, device_id: DeviceId) -> None:
    await tx.execute(
        "DELETE FROM token_pairs WHERE session_id IN (SELECT session_id FROM sessions WHERE user_id = ? AND device_id = ?)",
        user_id,
        device_id,
    )
    await tx.execute("DELETE FROM sessions WHERE user_id = ? AND device_id = ?", user_id, device_id)


def _pair(row: Row) -> TokenPair:
    return TokenPair(row[0], row[1], Stage(row[2]), row[3], DeviceId(row[4]), _account(row[6:]), row[5])


async def pair_by_access(tx: ReadTx, access_hash: bytes) -> TokenPair | None:
    row = await tx.fetch_one(_PAIR + "p.access_hash = ?", access_hash)
    return None if row is None else _pair(row)


async def pair_by_refresh(tx: ReadTx, refresh_hash: bytes) -> TokenPair | None:
    row = await tx.fetch_one(_PAIR + "p.refresh_hash = ?", refresh_hash)
    return None if row is None else _pair(row)


async def insert_pair(
    tx: Tx, session_id: int, access_hash: bytes, refresh_hash: bytes | None, *, stage: Stage, expires_ts: int | None
) -> None:
    await tx.execute(
        "INSERT INTO token_pairs (session_id, access_hash, refresh_hash, stage, expires_ts) VALUES (?, ?, ?, ?, ?)",
        session_id,
        access_hash,
        refresh_hash,
        int(stage),
        expires_ts,
    )


async def promote_pair(tx: Tx, session_id: int, pair_id: int) -> bool:
    """A fresh pair has been used: it becomes current, and the one before it is revoked. False if it is not fresh."""
    promoted = await tx.execute(
        "UPDATE token_pairs SET stage = ? WHERE pair_id = ? AND stage = ?", int(Stage.CURRENT), pair_id, int(Stage.FRESH)
    )
    if promoted == 0:
        return False
    await tx.execute(
        "UPDATE token_pairs SET stage = ? WHERE session_id = ? AND stage = ? AND pair_id <> ?",
        int(Stage.REVOKED),
        session_id,
        int(Stage.CURRENT),
        pair_id,
    )
    return True


async def revoke_pairs(tx: Tx, session_id: int) -> None:
    await tx.execute("UPDATE token_pairs SET stage = ? WHERE session_id = ?", int(Stage.REVOKED), session_id)


async def delete_fresh_pairs(tx: Tx, session_id: int) -> None:
    await tx.execute("DELETE FROM token_pairs WHERE session_id = ? AND stage = ?", session_id, int(Stage.FRESH))


async def prune_revoked_pairs(tx: Tx, session_id: int, keep: int) -> None:
    """Forget all but the newest revoked pairs of a session."""
    await tx.execute(
        "DELETE FROM token_pairs WHERE session_id = ? AND stage = ? AND pair_id NOT IN ("
        "SELECT pair_id FROM token_pairs WHERE session_id = ? AND stage = ? ORDER BY pair_id DESC LIMIT ?)",
        session_id,
        int(Stage.REVOKED),
        session_id,
        int(Stage.REVOKED),
        keep,
    )


# Invitations


def _invitation(row: Row) -> Invitation:
    return Invitation(
        invitation_id=row[0],
        uses_allowed=row[1],
        uses_completed=row[2],
        created_ts=row[3],
        expires_ts=row[4],
        revoked_ts=row[5],
        created_by=row[6],
        label=row[7],
        invite_to=msgspec.json.decode(row[8], type=list[RoomId]),
        grants_admin=bool(row[9]),
    )


async def invitation_by_hash(tx: ReadTx, token_hash: bytes) -> Invitation | None:
    row = await tx.fetch_one(_INVITATION + "WHERE token_hash = ?", token_hash)
    return None if row is None else _invitation(row)


async def invitation(tx: ReadTx, invitation_id: int) -> Invitation | None:
    row = await tx.fetch_one(_INVITATION + "WHERE invitation_id = ?", invitation_id)
    return None if row is None else _invitation(row)


async def invitations(tx: ReadTx, limit: int) -> Sequence[Invitation]:
    """The newest first."""
    rows = await tx.fetch_all(_INVITATION + "ORDER BY invitation_id DESC LIMIT ?", limit)
    return [_invitation(row) for row in rows]


async def insert_invitation(tx: Tx, token_hash: bytes, made: Invitation) -> int | None:
    """Store a new invitation; its number, or None if the token is taken."""
    row = await tx.fetch_one(
        "INSERT INTO invitations "
        "(token_hash, uses_allowed, created_ts, expires_ts, created_by, label, invite_to, grants_admin) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (token_hash) DO NOTHING RETURNING invitation_id",
        token_hash,
        made.uses_allowed,
        made.created_ts,
        made.expires_ts,
        made.created_by,
        made.label,
        msgspec.json.encode(list(made.invite_to)),
        int(made.grants_admin),
    )
    return None if row is None else int(row[0])


async def revoke_invitation(tx: Tx, invitation_id: int, revoked_ts: int) -> bool:
    changed = await tx.execute(
        "UPDATE invitations SET revoked_ts = ? WHERE invitation_id = ? AND revoked_ts IS NULL", revoked_ts, invitation_id
    )
    return changed == 1


async def use_invitation(tx: Tx, invitation_id: int) -> None:
    await tx.execute("UPDATE invitations SET uses_completed = uses_completed + 1 WHERE invitation_id = ?", invitation_id)


async def erased_users(tx: ReadTx) -> list[UserId]:
    """Whoever asked at the end of his account that newcomers get redacted copies of what he said."""
    rows = await tx.fetch_all("SELECT user_id FROM accounts WHERE is_erased = 1")
    return [UserId(row[0]) for row in rows]


async def change_invitation(tx: Tx, invitation_id: int, uses_allowed: int | None, expires_ts: int | None) -> None:
    await tx.execute(
        "UPDATE invitations SET uses_allowed = ?, expires_ts = ? WHERE invitation_id = ?",
        uses_allowed,
        expires_ts,
        invitation_id,
    )
