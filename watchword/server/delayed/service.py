"""Scheduling events, and doing something with them before they are due.

Spec: proposals/4140
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import BadRequest, LimitExceeded, NotFound, Refusal, RemoteProtocolError, TooLarge
from watchword.edge.requester import Requester
from watchword.protocol import canonical_json, event_types
from watchword.protocol.ids import UserId
from watchword.server.changes import Change
from watchword.server.delayed import decide, tables
from watchword.server.delayed.commands import (
    Action,
    DelayedEvent,
    DelaySettings,
    Finalised,
    Form,
    Listing,
    Outcome,
    Reason,
)
from watchword.server.delayed.sending import DelayedSending
from watchword.server.rooms.commands import LaterEvent
from watchword.server.rooms.posting import redaction_of, require_not_suspended
from watchword.storage import Database, Log, Tx

_NONE = "There is no such delayed event."


def _nobody(delayed: DelayedEvent) -> None:
    return None


@dataclass
class DelayedEvents:
    """Fits `rooms.ports.DelayedSends`. on_scheduled: told of each event that waits from now on."""

    database: Database
    log: Log[Change]
    settings: DelaySettings
    sending: DelayedSending
    clock: Clock
    entropy: Entropy
    on_scheduled: Callable[[DelayedEvent], None] = _nobody

    async def schedule(self, requester: Requester, later: LaterEvent, form: Form = Form.QUERY) -> str:
        """Keep an event until its time; its ID. The same request again gives the same. Raises Refusal."""
        too_long = decide.too_long(self.settings, later.delay_ms, form)
        if too_long is not None:
            raise too_long
        room = await self.sending.posting.reader.room(later.room_id)
        content = _checked(requester, later, strict=room is None or room.version.strict_canonical_json)
        now_ms = self.clock.now_ms()
        delayed = DelayedEvent(
            self.entropy.token(24),
            requester.user_id,
            requester.device_id or "",
            later,
            running_since=now_ms,
            began=self.log.position,
            is_limited=requester.rate_limited,
        )
        async with self.database.write() as tx:
            earlier = None if later.transaction is None else await tables.by_transaction(tx, later.transaction)
            if earlier is not None:
                return earlier
            count, first_ts = await tables.waiting_of(tx, requester.user_id)
            if count >= self.settings.scheduled_max:
                wait_ms = max(1, first_ts - now_ms)
                raise LimitExceeded(wait_ms, "The maximum number of delayed events has been reached.")
            await tables.insert(tx, delayed, content)
            await tables.forget_surplus(
                tx, requester.user_id, limits.delayed_events_kept_max, limits.delayed_events_forgotten_at_once
            )
            tx.after_commit(lambda: self.on_scheduled(delayed))
        return delayed.delay_id

    async def act(self, delay_id: str, action: Action) -> None:
        """Send, cancel or restart an event; nothing if that was done before. Raises Refusal."""
        async with self.sending.current(delay_id) as delayed:
            if delayed is None:
                raise NotFound(_NONE)
            verdict = decide.judge(delayed, action)
            if isinstance(verdict, Refusal):
                raise verdict
            if not verdict:
                return
            now_ms = self.clock.now_ms()
            match action:
                case Action.SEND:
                    await self.sending.send(delayed, Reason.ACTION)
                case Action.CANCEL:
                    await self.sending.finalise(delayed, Finalised(Outcome.CANCEL, Reason.ACTION, now_ms))
                case Action.RESTART:
                    async with self.database.write() as tx:
                        await tables.restart(tx, delay_id, now_ms)

    async def one(self, user_id: UserId, delay_id: str) -> DelayedEvent:
        """A user's own event. Raises NotFound, the same for what is absent and what is another's."""
        async with self.database.read() as tx:
            found = await tables.by_id(tx, delay_id)
        if found is None or found.user_id != user_id:
            raise NotFound(_NONE)
        return found

    async def listed(self, listing: Listing) -> dict[str, Any]:
        """A page of a user's events, and what continues it."""
        async with self.database.read() as tx:
            found = await tables.listed(tx, listing, limits.delayed_events_page + 1)
        shown = found[: limits.delayed_events_page]
        body: dict[str, Any] = {"delayed_events": [decide.described(each) for each in shown]}
        if len(found) > len(shown):
            body["prev_batch" if listing.backwards else "next_batch"] = decide.token(listing, shown[-1])
        return body

    async def forget_old(self, tx: Tx) -> None:
        """Drop what was over long ago."""
        before_ts = self.clock.now_ms() - limits.delayed_events_kept_ms
        await tables.forget_before(tx, before_ts, limits.delayed_events_forgotten_at_once)


def _checked(requester: Requester, later: LaterEvent, *, strict: bool) -> bytes:
    """The content of an event that may be scheduled, encoded. Power levels count when it is sent. Raises Refusal.

    strict: whether its room takes canonical JSON alone.
    """
    if later.type == event_types.REDACTION and later.state_key is None:
        redaction_of(later.content)
    else:
        require_not_suspended(requester)
    names = (later.type, later.state_key or "")
    if any(len(name.encode()) > limits.identifier_bytes_max for name in names):
        raise TooLarge("The type or the state key is too long.")
    try:
        content = canonical_json.encode(later.content, strict)
    except RemoteProtocolError as error:
        raise BadRequest("M_BAD_JSON", "The content cannot be sent: it is not canonical JSON.") from error
    if len(content) > limits.event_bytes_max:
        raise TooLarge("The event is too large.")
    return content
