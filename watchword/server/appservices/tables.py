"""Rows of deliveries. Nothing but SQL."""

import msgspec

from watchword.server.appservices.commands import Letter, Transaction
from watchword.storage import ReadTx, Tx

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Letter, ...]).decode


async def pending(tx: ReadTx, appservice_id: str) -> Transaction | None:
    """The transaction of a service that was not taken yet."""
    row = await tx.fetch_one(
        "SELECT txn_id, body, letters, made_ts FROM appservice_transactions WHERE appservice_id = ? AND body IS NOT NULL",
        appservice_id,
    )
    return None if row is None else Transaction(int(row[0]), row[1], _decode(row[2]) if row[2] else (), int(row[3]))


async def begin(tx: Tx, appservice_id: str, body: bytes, letters: tuple[Letter, ...], made_ts: int) -> Transaction:
    """Store the next transaction of a service; its number is one more than that of the last one."""
    await tx.execute(
        "INSERT INTO appservice_transactions (appservice_id, txn_id, body, letters, made_ts) VALUES (?, 1, ?, ?, ?) "
        "ON CONFLICT (appservice_id) DO UPDATE SET txn_id = txn_id + 1, body = excluded.body, letters = excluded.letters, "
        "made_ts = excluded.made_ts",
        appservice_id,
        body,
        _encode(letters),
        made_ts,
    )
    begun = await pending(tx, appservice_id)
    assert begun is not None, appservice_id
    return begun


async def taken(tx: Tx, appservice_id: str) -> None:
    """Drop what was under way; the number stays, so that none is used twice."""
    await tx.execute(
        "UPDATE appservice_transactions SET body = NULL, letters = x'' WHERE appservice_id = ?",
        appservice_id,
    )
