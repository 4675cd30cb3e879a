"""Sends one delayed event, once, and writes down what became of it.

Theory of operation. Whoever touches an event has its turn, so that nobody cancels what is being sent. Before an event is sent
it is marked as begun; the send carries the event's ID as its transaction, which `rooms` records with the sent event. If the
server dies in between, the event waits still, and is marked: then `rooms` is asked whether it was sent, before anything else is
done.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from watchword.base.clock import Clock
from watchword.base.errors import Forbidden
from watchword.edge.endpoint import Rate
from watchword.edge.rate_limits import RateLimiter
from watchword.edge.requester import Kind, Requester
from watchword.protocol import event_types
from watchword.protocol.ids import DeviceId, EventId
from watchword.server.accounts.reader import AccountReader
from watchword.server.accounts.tokens import locked_account
from watchword.server.delayed import decide, tables
from watchword.server.delayed.commands import DelayedEvent, Finalised, Outcome, Reason
from watchword.server.delayed.turns import Turns
from watchword.server.rooms.commands import DELAYED, SendEvent, Transaction
from watchword.server.rooms.posting import Posting, redaction_of
from watchword.storage import Database


@dataclass(frozen=True)
class DelayedSending:
    """Sends. Whoever calls anything here holds the event's turn."""

    database: Database
    posting: Posting
    accounts: AccountReader
    limiter: RateLimiter
    clock: Clock
    turns: Turns = field(default_factory=Turns)

    @asynccontextmanager
    async def current(self, delay_id: str) -> AsyncIterator[DelayedEvent | None]:
        """An event as it is now, and its turn; None if there is none of this ID.

        What was sent before a crash, or was overtaken, is over.
        """
        async with self.turns.of(delay_id):
            async with self.database.read() as tx:
                found = await tables.by_id(tx, delay_id)
            if found is None or found.finalised is not None:
                yield found
                return
            end = await self._sent_before(found)
            if end is None and await self._is_overtaken(found):
                end = Finalised(Outcome.ERROR, None, self.clock.now_ms(), error=decide.overtaken().body())
            if end is not None:
                await self.finalise(found, end)
                async with self.database.read() as tx:
                    found = await tables.by_id(tx, delay_id)
            yield found

    async def _sent_before(self, delayed: DelayedEvent) -> Finalised | None:
        if not delayed.is_begun:
            return None
        # With the pen: what was written a moment ago counts.
        async with self.database.write(wait=False) as tx:
            event_id = await self.posting.writer.sent.find(tx, _transaction(delayed))
        if event_id is None:
            return None
        now_ms = self.clock.now_ms()
        return Finalised(Outcome.SEND, Reason.DELAY if delayed.send_ts <= now_ms else Reason.ACTION, now_ms, event_id)

    async def _is_overtaken(self, delayed: DelayedEvent) -> bool:
        """Whether somebody else has changed the state that the event would change, since it was scheduled."""
        event = delayed.event
        room = None if event.state_key is None else await self.posting.reader.room(event.room_id)
        if room is None or event.state_key is None:
            return False
        event_id = room.state.get((event.type, event.state_key))
        found = {} if event_id is None else await self.posting.reader.found((event_id,))
        return any(
            each.pdu.sender != delayed.user_id
            and each.ordering is not None
            and not each.is_history
            and each.position > delayed.began
            for each in found.values()
        )

    async def send(self, delayed: DelayedEvent, reason: Reason) -> EventId:
        """Send an event that waits, and write that down; returns once both are durable. Raises Refusal: it waits on."""
        requester = await self._requester(delayed)
        command = _command(delayed)
        if delayed.is_limited:
            self.limiter.take(Rate.MESSAGE, delayed.user_id)
        async with self.database.write(wait=False) as tx:
            await tables.mark_begun(tx, delayed.delay_id)
        event_id = await self.posting.post(requester, command)
        await self.finalise(delayed, Finalised(Outcome.SEND, reason, self.clock.now_ms(), event_id))
        return event_id

    async def _requester(self, delayed: DelayedEvent) -> Requester:
        """Its sender, as he is now. Raises Refusal."""
        account = await self.accounts.account(delayed.user_id)
        if account is None or account.is_deactivated:
            raise Forbidden("This account has ended.", "M_USER_DEACTIVATED")
        if account.is_locked:
            raise locked_account()
        return Requester(
            delayed.user_id,
            DeviceId(delayed.device_id) if delayed.device_id else None,
            0,
            kind=Kind.GUEST if account.is_guest else Kind.USER,
            is_admin=account.is_admin,
            is_suspended=account.is_suspended,
            rate_limited=delayed.is_limited,
        )

    async def finalise(self, delayed: DelayedEvent, end: Finalised) -> None:
        """Write down how an event ended."""
        async with self.database.write() as tx:
            await tables.finalise(tx, delayed.delay_id, end)

    async def fail(self, delayed: DelayedEvent, error: Mapping[str, Any]) -> None:
        """Write down that an event could not be sent when it was due. error: a standard error body."""
        await self.finalise(delayed, Finalised(Outcome.ERROR, Reason.DELAY, self.clock.now_ms(), error=error))


def _transaction(delayed: DelayedEvent) -> Transaction:
    return Transaction(delayed.user_id, delayed.device_id, DELAYED, delayed.delay_id)


def _command(delayed: DelayedEvent) -> SendEvent:
    event = delayed.event
    content, redacts = event.content, None
    if event.type == event_types.REDACTION and event.state_key is None:
        content, redacts = redaction_of(content)
    return SendEvent(
        event.room_id,
        delayed.user_id,
        event.type,
        content,
        event.state_key,
        redacts,
        _transaction(delayed),
        event.ts,
        event.sticky,
    )
