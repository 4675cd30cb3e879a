"""SQL of addresses outside of Matrix, of the proofs under way, of what identity servers were told, of policies agreed to."""

from collections.abc import Iterable, Sequence

from watchword.protocol.ids import UserId
from watchword.server.accounts.threepids.commands import OwnThreepid, Purpose, Threepid, Validation
from watchword.storage import ReadTx, Row, Tx

_HASH_BYTES = 32
_VALIDATION = (
    "SELECT sid, purpose, medium, address, secret_hash, token_hashes, send_attempt, next_link, user_id, is_decoy, created_ts, "
    "expires_ts, validated_ts, failures, remote_sid, remote_secret FROM threepid_validations "
)


# Addresses


async def owner(tx: ReadTx, threepid: Threepid) -> UserId | None:
    """Whose address this is."""
    row = await tx.fetch_one(
        "SELECT user_id FROM threepids WHERE medium = ? AND address = ?", threepid.medium, threepid.address
    )
    return None if row is None else UserId(row[0])


async def threepids(tx: ReadTx, user_id: UserId) -> Sequence[OwnThreepid]:
    rows = await tx.fetch_all(
        "SELECT medium, address, validated_ts, added_ts FROM threepids WHERE user_id = ? ORDER BY added_ts, medium, address",
        user_id,
    )
    return [OwnThreepid(Threepid(row[0], row[1]), row[2], row[3]) for row in rows]


async def insert_threepid(tx: Tx, user_id: UserId, owned: OwnThreepid) -> bool:
    """Add an address; False if somebody else has it. Adding one's own again renews when it was proved."""
    changed = await tx.execute(
        "INSERT INTO threepids (medium, address, user_id, validated_ts, added_ts) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (medium, address) DO UPDATE SET validated_ts = excluded.validated_ts WHERE user_id = excluded.user_id",
        owned.threepid.medium,
        owned.threepid.address,
        user_id,
        owned.validated_ts,
        owned.added_ts,
    )
    return changed == 1


async def delete_threepid(tx: Tx, user_id: UserId, threepid: Threepid) -> bool:
    changed = await tx.execute(
        "DELETE FROM threepids WHERE user_id = ? AND medium = ? AND address = ?", user_id, threepid.medium, threepid.address
    )
    return changed == 1


async def delete_threepids(tx: Tx, user_id: UserId) -> None:
    """Every address of a user."""
    await tx.execute("DELETE FROM threepids WHERE user_id = ?", user_id)


# Proofs


def _validation(row: Row) -> Validation:
    hashes: bytes = row[5]
    return Validation(
        sid=row[0],
        purpose=Purpose(row[1]),
        threepid=Threepid(row[2], row[3]),
        secret_hash=row[4],
        token_hashes=[hashes[at : at + _HASH_BYTES] for at in range(0, len(hashes), _HASH_BYTES)],
        attempt=row[6],
        next_link=row[7],
        user_id=row[8],
        is_decoy=bool(row[9]),
        created_ts=row[10],
        expires_ts=row[11],
        validated_ts=row[12],
        failures=row[13],
        remote_sid=row[14],
        remote_secret=row[15],
    )


async def validation(tx: ReadTx, sid: str) -> Validation | None:
    row = await tx.fetch_one(_VALIDATION + "WHERE sid = ?", sid)
    return None if row is None else _validation(row)


async def validation_asked(tx: ReadTx, purpose: Purpose, threepid: Threepid, secret_hash: bytes) -> Validation | None:
    """What this client asked for before."""
    row = await tx.fetch_one(
        _VALIDATION + "WHERE purpose = ? AND medium = ? AND address = ? AND secret_hash = ?",
        purpose.value,
        threepid.medium,
        threepid.address,
        secret_hash,
    )
    return None if row is None else _validation(row)


async def save_validation(tx: Tx, validation: Validation) -> None:
    """Store a new proof, or one whose message was sent again."""
    await tx.execute(
        "DELETE FROM threepid_validations WHERE purpose = ? AND medium = ? AND address = ? AND secret_hash = ?",
        validation.purpose.value,
        validation.threepid.medium,
        validation.threepid.address,
        validation.secret_hash,
    )
    await tx.execute(
        "INSERT INTO threepid_validations (sid, purpose, medium, address, secret_hash, token_hashes, send_attempt, next_link, "
        "user_id, is_decoy, created_ts, expires_ts, validated_ts, failures, remote_sid, remote_secret) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        validation.sid,
        validation.purpose.value,
        validation.threepid.medium,
        validation.threepid.address,
        validation.secret_hash,
        b"".join(validation.token_hashes),
        validation.attempt,
        validation.next_link,
        validation.user_id,
        int(validation.is_decoy),
        validation.created_ts,
        validation.expires_ts,
        validation.validated_ts,
        validation.failures,
        validation.remote_sid,
        validation.remote_secret,
    )


async def set_validated(tx: Tx, sid: str, validated_ts: int) -> None:
    await tx.execute(
        "UPDATE threepid_validations SET validated_ts = ? WHERE sid = ? AND validated_ts IS NULL", validated_ts, sid
    )


async def count_failure(tx: Tx, sid: str) -> None:
    await tx.execute("UPDATE threepid_validations SET failures = failures + 1 WHERE sid = ?", sid)


async def delete_validation(tx: Tx, sid: str) -> None:
    await tx.execute("DELETE FROM threepid_validations WHERE sid = ?", sid)


async def delete_validations_of(tx: Tx, threepid: Threepid) -> None:
    """Every proof of an address, whatever for."""
    await tx.execute("DELETE FROM threepid_validations WHERE medium = ? AND address = ?", threepid.medium, threepid.address)


async def delete_expired(tx: Tx, before_ts: int, limit: int) -> int:
    """Forget proofs that ended before; how many."""
    return await tx.execute(
        "DELETE FROM threepid_validations WHERE sid IN ("
        "SELECT sid FROM threepid_validations WHERE expires_ts < ? ORDER BY expires_ts LIMIT ?)",
        before_ts,
        limit,
    )


# What identity servers were told


async def insert_binding(tx: Tx, user_id: UserId, threepid: Threepid, id_server: str) -> None:
    await tx.execute(
        "INSERT INTO threepid_bindings (user_id, medium, address, id_server) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (user_id, medium, address, id_server) DO NOTHING",
        user_id,
        threepid.medium,
        threepid.address,
        id_server,
    )


async def bindings(tx: ReadTx, user_id: UserId) -> Sequence[tuple[Threepid, str]]:
    """(address, identity server) of everything that a user published."""
    rows = await tx.fetch_all(
        "SELECT medium, address, id_server FROM threepid_bindings WHERE user_id = ? ORDER BY medium, address, id_server",
        user_id,
    )
    return [(Threepid(row[0], row[1]), row[2]) for row in rows]


async def delete_binding(tx: Tx, user_id: UserId, threepid: Threepid, id_server: str) -> None:
    await tx.execute(
        "DELETE FROM threepid_bindings WHERE user_id = ? AND medium = ? AND address = ? AND id_server = ?",
        user_id,
        threepid.medium,
        threepid.address,
        id_server,
    )


# Policies


async def insert_accepted_policies(tx: Tx, user_id: UserId, policies: Iterable[tuple[str, str]], accepted_ts: int) -> None:
    """policies: (name, version)."""
    await tx.execute_many(
        "INSERT INTO accepted_policies (user_id, policy, version, accepted_ts) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (user_id, policy, version) DO NOTHING",
        [(user_id, name, version, accepted_ts) for name, version in policies],
    )


async def accepted_policies(tx: ReadTx, user_id: UserId) -> Sequence[tuple[str, str, int]]:
    """(name, version, when), in order."""
    rows = await tx.fetch_all(
        "SELECT policy, version, accepted_ts FROM accepted_policies WHERE user_id = ? ORDER BY policy, version", user_id
    )
    return [(row[0], row[1], row[2]) for row in rows]
