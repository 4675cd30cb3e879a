"""Rows of devices, one-time keys, cross-signing keys and signatures. Nothing but SQL."""

from collections.abc import Iterable, Mapping, Sequence

from watchword.protocol.ids import DeviceId, UserId
from watchword.server.e2ee.commands import PublishedKey, Signature
from watchword.storage.database import ReadTx, Tx
from watchword.storage.log import Position

# Devices


async def device_number(tx: ReadTx, user_id: UserId, device_id: DeviceId) -> int | None:
    """The number that other rows carry for a device."""
    row = await tx.fetch_one("SELECT id FROM e2ee_devices WHERE user_id = ? AND device_id = ?", user_id, device_id)
    return None if row is None else int(row[0])


async def make_device(tx: Tx, user_id: UserId, device_id: DeviceId) -> int:
    """The number of a device, given now if need be."""
    number = await device_number(tx, user_id, device_id)
    if number is not None:
        return number
    await tx.execute("INSERT INTO e2ee_devices (user_id, device_id) VALUES (?, ?)", user_id, device_id)
    number = await device_number(tx, user_id, device_id)
    assert number is not None, device_id
    return number


async def device_keys(tx: ReadTx, user_id: UserId) -> Mapping[DeviceId, bytes]:
    """The identity keys of a user's devices that have any."""
    rows = await tx.fetch_all("SELECT device_id, keys FROM e2ee_devices WHERE user_id = ? AND keys IS NOT NULL", user_id)
    return {DeviceId(row[0]): row[1] for row in rows}


async def keys_of_device(tx: ReadTx, user_id: UserId, device_id: DeviceId) -> bytes | None:
    """The identity keys of one device."""
    row = await tx.fetch_one("SELECT keys FROM e2ee_devices WHERE user_id = ? AND device_id = ?", user_id, device_id)
    return None if row is None else row[0]


async def set_device_keys(tx: Tx, device: int, keys: bytes) -> None:
    """Store the identity keys of a device."""
    await tx.execute("UPDATE e2ee_devices SET keys = ? WHERE id = ?", keys, device)


async def delete_device(tx: Tx, device: int) -> None:
    """Drop a device and all keys of it."""
    await tx.execute("DELETE FROM e2ee_one_time_keys WHERE device = ?", device)
    await tx.execute("DELETE FROM e2ee_claimed_keys WHERE device = ?", device)
    await tx.execute("DELETE FROM e2ee_fallback_keys WHERE device = ?", device)
    await tx.execute("DELETE FROM e2ee_devices WHERE id = ?", device)


# One-time and fallback keys


async def known_one_time_keys(tx: ReadTx, device: int, keys: Sequence[PublishedKey]) -> Mapping[tuple[str, str], bytes]:
    """Those of the named keys that exist or were claimed: (algorithm, key_id) → content."""
    found: dict[tuple[str, str], bytes] = {}
    for key in keys:
        row = await tx.fetch_one(
            "SELECT content FROM e2ee_one_time_keys WHERE device = ? AND algorithm = ? AND key_id = ? "
            "UNION ALL SELECT content FROM e2ee_claimed_keys WHERE device = ? AND algorithm = ? AND key_id = ?",
            device,
            key.algorithm,
            key.key_id,
            device,
            key.algorithm,
            key.key_id,
        )
        if row is not None:
            found[key.algorithm, key.key_id] = row[0]
    return found


async def add_one_time_keys(tx: Tx, device: int, keys: Iterable[PublishedKey]) -> None:
    """Store new keys; they are handed out in this order."""
    await tx.execute_many(
        "INSERT INTO e2ee_one_time_keys (device, algorithm, key_id, content) VALUES (?, ?, ?, ?)",
        [(device, key.algorithm, key.key_id, key.content) for key in keys],
    )


async def take_one_time_key(tx: Tx, device: int, algorithm: str) -> PublishedKey | None:
    """The oldest key of an algorithm, never to be handed out again."""
    row = await tx.fetch_one(
        "SELECT id, key_id, content FROM e2ee_one_time_keys WHERE device = ? AND algorithm = ? ORDER BY id LIMIT 1",
        device,
        algorithm,
    )
    if row is None:
        return None
    await tx.execute("DELETE FROM e2ee_one_time_keys WHERE id = ?", row[0])
    await tx.execute(
        "INSERT INTO e2ee_claimed_keys (device, algorithm, key_id, content) VALUES (?, ?, ?, ?)",
        device,
        algorithm,
        row[1],
        row[2],
    )
    return PublishedKey(algorithm, row[1], row[2])


async def forget_claimed_keys(tx: Tx, device: int, keep: int) -> None:
    """Keep only the last claimed keys of a device in mind."""
    await tx.execute(
        "DELETE FROM e2ee_claimed_keys WHERE device = ? AND id <= COALESCE((SELECT id FROM e2ee_claimed_keys "
        "WHERE device = ? ORDER BY id DESC LIMIT 1 OFFSET ?), 0)",
        device,
        device,
        keep,
    )


async def one_time_key_counts(tx: ReadTx, device: int) -> dict[str, int]:
    """How many keys wait, by algorithm."""
    rows = await tx.fetch_all("SELECT algorithm, COUNT(*) FROM e2ee_one_time_keys WHERE device = ? GROUP BY algorithm", device)
    return {row[0]: int(row[1]) for row in rows}


async def set_fallback_key(tx: Tx, device: int, key: PublishedKey) -> int:
    """Replace the fallback key of an algorithm and mark it unused; return 0 if it is the one already there."""
    return await tx.execute(
        "INSERT INTO e2ee_fallback_keys (device, algorithm, key_id, content) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (device, algorithm) DO UPDATE SET key_id = excluded.key_id, content = excluded.content, is_used = 0 "
        "WHERE key_id <> excluded.key_id OR content <> excluded.content",
        device,
        key.algorithm,
        key.key_id,
        key.content,
    )


async def fallback_key(tx: ReadTx, device: int, algorithm: str) -> tuple[PublishedKey, bool] | None:
    """The fallback key of an algorithm, and whether it is used."""
    row = await tx.fetch_one(
        "SELECT key_id, content, is_used FROM e2ee_fallback_keys WHERE device = ? AND algorithm = ?", device, algorithm
    )
    return None if row is None else (PublishedKey(algorithm, row[0], row[1]), bool(row[2]))


async def mark_fallback_key_used(tx: Tx, device: int, algorithm: str) -> None:
    """Note that somebody was given the fallback key."""
    await tx.execute("UPDATE e2ee_fallback_keys SET is_used = 1 WHERE device = ? AND algorithm = ?", device, algorithm)


async def unused_fallback_algorithms(tx: ReadTx, device: int) -> list[str]:
    """Algorithms whose fallback key nobody was given."""
    rows = await tx.fetch_all(
        "SELECT algorithm FROM e2ee_fallback_keys WHERE device = ? AND is_used = 0 ORDER BY algorithm", device
    )
    return [row[0] for row in rows]


# Cross-signing


async def cross_signing_keys(tx: ReadTx, user_id: UserId) -> dict[str, bytes]:
    """A user's cross-signing keys by usage."""
    rows = await tx.fetch_all("SELECT usage, content FROM e2ee_cross_signing_keys WHERE user_id = ?", user_id)
    return {row[0]: row[1] for row in rows}


async def set_cross_signing_key(tx: Tx, user_id: UserId, usage: str, content: bytes) -> None:
    """Store or replace one cross-signing key."""
    await tx.execute(
        "INSERT INTO e2ee_cross_signing_keys (user_id, usage, content) VALUES (?, ?, ?) "
        "ON CONFLICT (user_id, usage) DO UPDATE SET content = excluded.content",
        user_id,
        usage,
        content,
    )


async def delete_cross_signing_keys(tx: Tx, user_id: UserId) -> None:
    """Drop all cross-signing keys of a user."""
    await tx.execute("DELETE FROM e2ee_cross_signing_keys WHERE user_id = ?", user_id)


async def signatures(tx: ReadTx, target_user_id: UserId, viewer: UserId | None) -> Sequence[Signature]:
    """Separate signatures on a user's keys: the user's own, and the viewer's."""
    rows = await tx.fetch_all(
        "SELECT target_user_id, target, signer_user_id, signing_key_id, signature FROM e2ee_signatures "
        "WHERE target_user_id = ? AND signer_user_id IN (target_user_id, ?)",
        target_user_id,
        viewer,
    )
    return [Signature(*row) for row in rows]


async def add_signature(tx: Tx, signature: Signature) -> int:
    """Store a signature; return 0 if it was there."""
    return await tx.execute(
        "INSERT INTO e2ee_signatures (target_user_id, target, signer_user_id, signing_key_id, signature) "
        "VALUES (?, ?, ?, ?, ?) ON CONFLICT (target_user_id, target, signer_user_id, signing_key_id) "
        "DO UPDATE SET signature = excluded.signature WHERE signature <> excluded.signature",
        *signature,
    )


async def delete_signatures_on(tx: Tx, target_user_id: UserId, target: str) -> None:
    """Drop all separate signatures on a device or a master key."""
    await tx.execute("DELETE FROM e2ee_signatures WHERE target_user_id = ? AND target = ?", target_user_id, target)


async def delete_own_signatures(tx: Tx, user_id: UserId) -> None:
    """Drop all separate signatures by a user on his own keys."""
    await tx.execute("DELETE FROM e2ee_signatures WHERE target_user_id = ? AND signer_user_id = ?", user_id, user_id)


async def note_signing(tx: Tx, signer: UserId, target: UserId, position: Position) -> None:
    """Remember when a user last signed another."""
    await tx.execute(
        "INSERT INTO e2ee_user_signings (signer_user_id, target_user_id, position) VALUES (?, ?, ?) "
        "ON CONFLICT (signer_user_id, target_user_id) DO UPDATE SET position = excluded.position",
        signer,
        target,
        position,
    )


async def users_signed(tx: ReadTx, signer: UserId, after: Position, until: Position) -> Sequence[UserId]:
    """Whom a user signed between two positions."""
    rows = await tx.fetch_all(
        "SELECT target_user_id FROM e2ee_user_signings WHERE signer_user_id = ? AND position > ? AND position <= ?",
        signer,
        after,
        until,
    )
    return [UserId(row[0]) for row in rows]
