"""What one destination is still owed, in memory. No I/O; `sender` and `follower` act on it.

Theory of operation. The follower offers items in the order of the log; the sender takes a prefix of them as a transaction,
and drops it when the destination has acknowledged it. Newer news of the same thing (typing, a receipt) replaces the older.
The list is bounded: when it is full, or the destination fails repeatedly, the rest is not kept but read again from the log
later: `resume_after` is the position after which nothing here is complete. So a dead destination costs one number.

Invariant: everything at or before `owed_after` was acknowledged, or never concerned this destination.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from watchword.base import limits
from watchword.protocol.ids import ServerName
from watchword.server.changes import (
    Change,
    CrossSigningChanged,
    DeviceListChanged,
    EventAppended,
    PresenceChanged,
    ReceiptChanged,
    ToDeviceOutgoing,
    TypingChanged,
)
from watchword.storage import Position

_ITEMS_MAX = limits.transaction_pdus_max + limits.transaction_edus_max
_TRANSIENT = (TypingChanged, PresenceChanged)


@dataclass(frozen=True, slots=True)
class Item:
    """A change to tell; one object for all its destinations. key: what a newer item of the same key replaces."""

    position: Position
    change: Change
    key: Hashable

    @property
    def is_pdu(self) -> bool:
        """Whether it is an event; else it becomes an EDU."""
        return isinstance(self.change, EventAppended)


def item_of(position: Position, change: Change) -> Item:
    """Make an item of a change that concerns other servers."""
    match change:
        case EventAppended():
            key: Hashable = ("event", change.event_id)
        case TypingChanged():
            key = ("typing", change.room_id, change.user_id)
        case ReceiptChanged():
            key = ("receipt", change.room_id, change.user_id, change.thread_id)
        case PresenceChanged():
            key = ("presence", change.user_id)
        case DeviceListChanged():
            # Each update names the one before it: a gap would make every peer fetch the whole list.
            key = ("device", change.user_id, position)
        case CrossSigningChanged():
            key = ("cross-signing", change.user_id)
        case ToDeviceOutgoing():
            key = ("to-device", change.message_id)
        case _:
            raise AssertionError(f"not for other servers: {type(change).__name__}")
    return Item(position, change, key)


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction as it goes out, and the items in it."""

    txn_id: str
    items: Sequence[Item]
    body: bytes


@dataclass(slots=True, eq=False)
class Outbox:
    """The state of one destination.

    is_active: a sender is at work. alarm_ms: when it is to be tried again, None if nothing is set.
    items_max: how much to put into one transaction; less after a refusal.
    """

    server_name: ServerName
    pending_max: int = limits.destination_pending_max
    resume_after: Position | None = None
    in_flight: Transaction | None = None
    is_active: bool = False
    alarm_ms: int | None = None
    items_max: int = _ITEMS_MAX
    _pending: dict[Hashable, Item] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def has_work(self) -> bool:
        """Whether anything is owed."""
        return bool(self._pending) or self.in_flight is not None or self.resume_after is not None

    @property
    def needs_refill(self) -> bool:
        """Whether only the log knows what comes next."""
        return self.resume_after is not None and not self._pending and self.in_flight is None

    @property
    def owed_after(self) -> Position | None:
        """The position after which something may be owed; None: nothing is."""
        if self.in_flight is not None and self.in_flight.items:
            return Position(self.in_flight.items[0].position - 1)
        if self._pending:
            return Position(next(iter(self._pending.values())).position - 1)
        return self.resume_after

    def offer(self, item: Item) -> None:
        """Owe one item more, the newest."""
        if self.resume_after is not None:
            return
        self._pending.pop(item.key, None)
        if len(self._pending) >= self.pending_max:
            self.resume_after = Position(item.position - 1)
            return
        self._pending[item.key] = item

    def next_items(self) -> list[Item]:
        """A prefix of what is owed that one transaction may hold."""
        items: list[Item] = []
        pdus = edus = 0
        for item in self._pending.values():
            pdus += item.is_pdu
            edus += not item.is_pdu
            if pdus > limits.transaction_pdus_max or edus > limits.transaction_edus_max or len(items) >= self.items_max:
                break
            items.append(item)
        return items

    def put_in_flight(self, transaction: Transaction) -> None:
        """This transaction is under way until it is acknowledged."""
        assert self.in_flight is None, self.server_name
        self.in_flight = transaction
        self.settle(transaction.items)

    def settle(self, items: Sequence[Item]) -> None:
        """These items are no longer pending; what has replaced one meanwhile stays."""
        for item in items:
            if self._pending.get(item.key) is item:
                del self._pending[item.key]

    def acknowledge(self) -> Sequence[Item]:
        """The destination has taken the transaction; gives its items."""
        assert self.in_flight is not None, self.server_name
        items = self.in_flight.items
        self.in_flight = None
        self.items_max = min(_ITEMS_MAX, self.items_max * 2)
        return items

    def thaw(self) -> None:
        """Give up the transaction under way, but not what was in it; forget what is stale by now."""
        if self.in_flight is None:
            items: list[Item] = []
        else:
            items = [item for item in self.in_flight.items if item.key not in self._pending]
            self.in_flight = None
        items += self._pending.values()
        self._pending = {item.key: item for item in items if not isinstance(item.change, _TRANSIENT)}

    def park(self) -> None:
        """The destination keeps failing: keep one number, read the rest from the log when it answers again."""
        self.thaw()
        self.resume_after = self.owed_after
        self._pending.clear()

    def refill(self, items: Sequence[Item], resume_after: Position | None) -> None:
        """What the log held; resume_after: where to go on reading, None if everything is here now."""
        assert not self._pending, self.server_name
        self._pending = {item.key: item for item in items}
        self.resume_after = resume_after
