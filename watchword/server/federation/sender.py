"""Sends transactions: one at a time per destination, many destinations at once, until each has acknowledged everything.

A destination that fails is left alone for a while (`backoff`), then asked again; it is woken early when it speaks to us.
After some failures its outbox is parked, and it is first asked with an empty transaction, so that a dead server costs
neither memory nor reading.

Deliberately absent: queue tables. What is owed follows from the log and the cursors (`follower`).
Spec: server-server-api#transactions
"""

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import PeerError
from watchword.protocol.ids import ServerName
from watchword.server.changes import EventAppended, ToDeviceOutgoing
from watchword.server.federation.backoff import Backoff
from watchword.server.federation.outbox import Item, Outbox, Transaction
from watchword.server.federation.routes import Routes
from watchword.server.federation.settings import FederationSettings
from watchword.server.federation.transactions import EduBundle, transaction_body

logger = logging.getLogger(__name__)

_THAW_AFTER_FAILURES = 2
_PARK_AFTER_FAILURES = 3
_ALARM_MS = 500
_STUMBLE_MS = 30_000
_REFUSED_BODY = frozenset({400, 413, 422})


class TransactionClient(Protocol):
    """The one call that is needed of `client.FederationClient`."""

    async def send_transaction(self, server_name: ServerName, txn_id: str, body: bytes) -> dict[str, Any]: ...


class Sender:
    """All destinations. Run `run` as long as the server lives.

    refill: reads what a parked outbox is owed from the log. on_progress: called when something was acknowledged or failed.
    """

    def __init__(
        self,
        client: TransactionClient,
        backoff: Backoff,
        routes: Routes,
        settings: FederationSettings,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._client = client
        self._backoff = backoff
        self._routes = routes
        self._settings = settings
        self._clock = clock
        self._run_name = entropy.token(6)
        self._sent = 0
        self._outboxes: dict[ServerName, Outbox] = {}
        self._slots = asyncio.Semaphore(limits.destinations_active_max)
        self._ready: list[Outbox] = []
        self._bell = asyncio.Event()
        self._alarms: list[tuple[int, ServerName]] = []
        self._alarm_set = asyncio.Event()
        self.refill: Callable[[Outbox], Awaitable[None]] | None = None
        self.on_progress: Callable[[], None] = lambda: None
        backoff.listen(self.wake)

    # What is owed

    def offer(self, servers: Iterable[ServerName], item: Item) -> None:
        """Owe an item to these servers, and nudge only them."""
        for server_name in servers:
            outbox = self._outboxes.get(server_name)
            if outbox is None:
                outbox = self._outboxes[server_name] = Outbox(server_name)
            outbox.offer(item)
            self._nudge(outbox)

    def restore(self, outbox: Outbox) -> None:
        """Owe what a destination was owed before the last stop."""
        self._outboxes[outbox.server_name] = outbox
        self._nudge(outbox)

    def outboxes(self) -> Iterable[Outbox]:
        """Every destination that is owed something."""
        return self._outboxes.values()

    def wake(self, server_name: ServerName) -> None:
        """This server answers, or has just spoken to us: try it now."""
        outbox = self._outboxes.get(server_name)
        if outbox is not None:
            outbox.alarm_ms = None
            self._nudge(outbox)

    def _nudge(self, outbox: Outbox) -> None:
        # Who waits for an alarm is not disturbed by more that is owed.
        if not outbox.is_active and outbox.alarm_ms is None:
            outbox.is_active = True
            self._ready.append(outbox)
            self._bell.set()

    # At work

    async def run(self) -> None:
        """Send for ever. Cancel to stop; what was not acknowledged is sent again after the next start."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ring_alarms())
            while True:
                await self._bell.wait()
                self._bell.clear()
                ready, self._ready = self._ready, []
                for outbox in ready:
                    group.create_task(self._drain(outbox))

    async def _ring_alarms(self) -> None:
        while True:
            await self._alarm_set.wait()
            await self._clock.sleep(_ALARM_MS)
            while self._alarms and self._alarms[0][0] <= self._clock.monotonic_ms():
                due_ms, server_name = heapq.heappop(self._alarms)
                outbox = self._outboxes.get(server_name)
                # Another alarm may have been set since, or the server may have spoken.
                if outbox is not None and outbox.alarm_ms == due_ms:
                    self.wake(server_name)
            if not self._alarms:
                self._alarm_set.clear()

    async def _drain(self, outbox: Outbox) -> None:
        try:
            while outbox.has_work:
                wait_ms = self._backoff.wait_ms(outbox.server_name)
                if wait_ms:
                    self._set_alarm(outbox, wait_ms)
                    return
                async with self._slots:
                    await self._advance(outbox)
                self.on_progress()
        except Exception:
            # A destination that trips over something of ours must not stop the others.
            logger.exception("Sending to a server failed.", extra={"server_name": outbox.server_name})
            outbox.park()
            self._set_alarm(outbox, _STUMBLE_MS)
        finally:
            outbox.is_active = False
            if not outbox.has_work:
                self._outboxes.pop(outbox.server_name, None)

    def _set_alarm(self, outbox: Outbox, wait_ms: int) -> None:
        outbox.alarm_ms = self._clock.monotonic_ms() + wait_ms
        heapq.heappush(self._alarms, (outbox.alarm_ms, outbox.server_name))
        self._alarm_set.set()

    async def _advance(self, outbox: Outbox) -> None:
        if outbox.needs_refill:
            if self._backoff.failures(outbox.server_name) and not await self._deliver(outbox, self._transaction((), [], [])):
                return
            assert self.refill is not None, "the follower refills"
            await self.refill(outbox)
            return
        if outbox.in_flight is None and not await self._load(outbox):
            return
        assert outbox.in_flight is not None, outbox.server_name
        if await self._deliver(outbox, outbox.in_flight):
            await self._acknowledged(outbox)

    async def _load(self, outbox: Outbox) -> bool:
        """Put the next transaction in flight; False if what was pending has nothing to say any more."""
        bundle = EduBundle()
        taken: list[Item] = []
        for item in outbox.next_items():
            if not item.is_pdu and not bundle.add(await self._routes.edus(outbox.server_name, item)):
                break
            taken.append(item)
        event_ids = [item.change.event_id for item in taken if isinstance(item.change, EventAppended)]
        found = await self._routes.rooms.pdu_bytes(event_ids) if event_ids else {}
        pdus = [found[event_id] for event_id in event_ids if event_id in found]
        edus = bundle.encoded()
        if not pdus and not edus:
            outbox.settle(taken)
            return False
        outbox.put_in_flight(self._transaction(taken, pdus, edus))
        return True

    def _transaction(self, items: Iterable[Item], pdus: list[bytes], edus: list[bytes]) -> Transaction:
        # The name of the run makes transaction IDs of this run differ from those of every other.
        self._sent += 1
        body = transaction_body(self._settings.server_name, self._clock.now_ms(), pdus, edus)
        return Transaction(f"{self._run_name}{self._sent}", tuple(items), body)

    async def _deliver(self, outbox: Outbox, transaction: Transaction) -> bool:
        server_name = outbox.server_name
        try:
            answer = await self._client.send_transaction(server_name, transaction.txn_id, transaction.body)
        except PeerError as error:
            logger.info("A transaction was not delivered.", extra={"server_name": server_name, "cause": error.reason})
            self._failed(outbox, transaction, error)
            return False
        results = answer.get("pdus")
        refused = (
            sum(isinstance(each, dict) and "error" in each for each in results.values()) if isinstance(results, dict) else 0
        )
        if refused:
            logger.info("A server refused events.", extra={"server_name": server_name, "count": refused})
        return True

    def _failed(self, outbox: Outbox, transaction: Transaction, error: PeerError) -> None:
        failures = self._backoff.failures(outbox.server_name)
        if failures >= _THAW_AFTER_FAILURES and error.status in _REFUSED_BODY and transaction.items:
            # Something in it is more than the peer can take: smaller parcels, and in the end without that one.
            if len(transaction.items) == 1:
                logger.warning("An item that a server always refuses is skipped.", extra={"server_name": outbox.server_name})
                outbox.acknowledge()
            outbox.thaw()
            outbox.items_max = 1
        elif failures >= _PARK_AFTER_FAILURES:
            outbox.park()
        elif failures >= _THAW_AFTER_FAILURES:
            outbox.thaw()

    async def _acknowledged(self, outbox: Outbox) -> None:
        sent = [item.position for item in outbox.acknowledge() if isinstance(item.change, ToDeviceOutgoing)]
        if sent:
            # Items leave in the order of the log, so everything before the last one has left too.
            await self._routes.e2ee.delete_outgoing_to_device(outbox.server_name, max(sent))
