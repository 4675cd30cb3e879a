"""Which device sent which event under which transaction ID: so that a repeated request gets the same answer, and so that
a device recognises its own event (`unsigned.transaction_id`).

Spec: client-server-api#transaction-identifiers
"""

import cachebox

from watchword.protocol.ids import EventId
from watchword.server.rooms import tables
from watchword.server.rooms.commands import Transaction
from watchword.storage import Database, Tx
from watchword.storage.names import Names

_REMEMBERED_MAX = 10_000
REMEMBERED_MS = 24 * 3_600_000


class SentTransactions:
    """Remembers for a day; the newest also in memory."""

    def __init__(self, database: Database, names: Names) -> None:
        self._database = database
        self._names = names
        self._events: cachebox.LRUCache[Transaction, EventId | None] = cachebox.LRUCache(_REMEMBERED_MAX)
        self._transactions: cachebox.LRUCache[EventId, Transaction | None] = cachebox.LRUCache(_REMEMBERED_MAX)

    async def start(self, now_ms: int) -> None:
        """Read the newest transactions back."""
        async with self._database.read() as tx:
            rows = await tables.recent_transactions(tx, now_ms - REMEMBERED_MS, 5_000)
        for transaction, event_id in reversed(rows):
            self._remember(transaction, event_id)

    def recent(self, transaction: Transaction) -> EventId | None:
        """The event that this transaction made, if it is at hand; `record` knows the others."""
        return self._events.get(transaction, None)

    async def find(self, tx: Tx, transaction: Transaction) -> EventId | None:
        """The event that this transaction made, however long ago."""
        user_nid = await self._names.number(tx, transaction.user_id)
        return await tables.sent_transaction(tx, user_nid, transaction)

    def of(self, event_id: EventId) -> Transaction | None:
        """The transaction that made an event, if it was sent lately."""
        return self._transactions.get(event_id, None)

    async def record(self, tx: Tx, transaction: Transaction, event_id: EventId, now_ms: int) -> EventId:
        """Note in the event's own transaction which request made it; gives the earlier event if the request is repeated."""
        user_nid = await self._names.number(tx, transaction.user_id)
        if not await tables.insert_sent_transaction(tx, user_nid, transaction, event_id, now_ms):
            earlier = await tables.sent_transaction(tx, user_nid, transaction)
            assert earlier is not None, transaction.endpoint
            return earlier
        # At hand at once: the next request may come before the commit. If the commit fails, it goes again.
        self._remember(transaction, event_id)
        tx.after_failure(lambda: self._drop(transaction, event_id))
        return event_id

    def _remember(self, transaction: Transaction, event_id: EventId) -> None:
        self._events[transaction] = event_id
        self._transactions[event_id] = transaction

    def _drop(self, transaction: Transaction, event_id: EventId) -> None:
        self._events.pop(transaction, None)
        self._transactions.pop(event_id, None)
