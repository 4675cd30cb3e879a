"""Sends notifications to push gateways: one queue a pusher, in order, one request at a time for each.

Theory of operation. What is to be told waits in memory, bounded; the follower keeps its cursor behind the oldest of it.
Each attempt ends in one transaction: the outcome for the journal, and either the position up to which all is settled, or
when to try again. So after a crash nothing is lost and, but for an answer that never came, nothing is told twice. A
gateway that does not answer is left alone twice as long each time; what waits longer than a day is told to nobody.

Spec: push-gateway-api#homeserver-behaviour
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import PeerError
from watchword.edge.fetch import Outgoing
from watchword.protocol.ids import EventId, UserId
from watchword.protocol.push_rules import NOTHING, Actions
from watchword.server.push import tables
from watchword.server.push.commands import JournalEntry, Pusher, Removed, Subject
from watchword.server.push.decide import is_final, is_rejected, notification, wait_ms
from watchword.server.push.ports import Gateways
from watchword.server.push.pushers import Pushers
from watchword.storage import Database, Position

logger = logging.getLogger(__name__)

_HEADERS = {"content-type": "application/json"}

Ask = Callable[[], Awaitable["Subject | None"]]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell. event_id: None to tell only how many rooms are unread.

    subject: looks up what to say; None if it is not to be told any more. since_ms: monotonic.
    """

    position: Position
    event_id: EventId | None
    actions: Actions = NOTHING
    subject: Ask | None = None
    since_ms: int = 0


@dataclass(slots=True)
class _Queue:
    """What one pusher is owed. told: the number of unread rooms that the gateway heard last."""

    pusher: Pusher
    waiting: deque[Notice] = field(default_factory=deque)
    task: "asyncio.Task[None] | None" = None
    told: int | None = None


class PushSender:
    """The queues. Work goes on inside the task group that `start` is given."""

    def __init__(
        self,
        database: Database,
        pushers: Pushers,
        gateways: Gateways,
        unread_rooms: Callable[[UserId], Awaitable[int]],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._database = database
        self._pushers = pushers
        self._gateways = gateways
        self._unread_rooms = unread_rooms
        self._clock = clock
        self._entropy = entropy
        self._queues: dict[int, _Queue] = {}
        self._active = asyncio.Semaphore(limits.push_active_max)
        self._of_user: dict[UserId, tuple[asyncio.Semaphore, int]] = {}
        self._group: asyncio.TaskGroup | None = None

    def start(self, group: asyncio.TaskGroup) -> None:
        """Work inside this group from now on."""
        self._group = group

    def know(self, pushers: Iterable[Pusher], forgotten: Iterable[int] = ()) -> None:
        """Take over new and changed pushers; drop those that are gone with all they were owed."""
        for pusher_id in forgotten:
            queue = self._queues.pop(pusher_id, None)
            if queue is not None and queue.task is not None and queue.task is not asyncio.current_task():
                queue.task.cancel()
        for pusher in pushers:
            queue = self._queues.get(pusher.pusher_id)
            if queue is None:
                self._queues[pusher.pusher_id] = _Queue(pusher)
            elif queue.pusher.pushkey_ts != pusher.pushkey_ts or queue.pusher.form != pusher.form:
                # It was set again, perhaps with another gateway: no reason to wait any longer.
                if queue.task is not None:
                    queue.task.cancel()
                queue.task = None
                queue.pusher = replace(pusher, delivered=queue.pusher.delivered)
                self._wake(queue)

    def offer(self, pusher: Pusher, notice: Notice) -> None:
        """Tell a pusher something; of a full queue the oldest goes."""
        queue = self._queues.get(pusher.pusher_id)
        if queue is None or (notice.event_id is not None and notice.position <= queue.pusher.delivered):
            return
        if notice.event_id is None and any(waiting.event_id is None for waiting in queue.waiting):
            return
        if len(queue.waiting) >= limits.push_pending_max:
            queue.waiting.popleft()
        queue.waiting.append(replace(notice, since_ms=self._clock.monotonic_ms()))
        self._wake(queue)

    def owed_after(self) -> Position | None:
        """The position after which something still waits; None if nothing does."""
        positions = [queue.waiting[0].position for queue in self._queues.values() if queue.waiting]
        return Position(min(positions) - 1) if positions else None

    def _wake(self, queue: _Queue) -> None:
        if queue.task is None and queue.waiting:
            assert self._group is not None, "not started"
            queue.task = self._group.create_task(self._work(queue))

    async def _work(self, queue: _Queue) -> None:
        me = asyncio.current_task()
        try:
            while queue.waiting:
                await self._clock.sleep(queue.pusher.retry_after_ts - self._clock.now_ms())
                async with self._turn(queue.pusher.key.user_id), self._active:
                    await self._supervised(queue, queue.waiting[0])
        finally:
            if queue.task is me:
                queue.task = None

    @asynccontextmanager
    async def _turn(self, user_id: UserId) -> AsyncIterator[None]:
        """Wait until few enough gateways of a user are being told: whoever has many slow ones holds up himself alone."""
        turns, users = self._of_user.get(user_id, (asyncio.Semaphore(limits.push_active_of_one_max), 0))
        self._of_user[user_id] = turns, users + 1
        try:
            async with turns:
                yield
        finally:
            users = self._of_user[user_id][1] - 1
            if users:
                self._of_user[user_id] = turns, users
            else:
                del self._of_user[user_id]

    async def _supervised(self, queue: _Queue, notice: Notice) -> None:
        try:
            await self._attempt(queue, notice)
        except Exception:
            # One notification that cannot be told must not stop the others, nor those of other pushers.
            logger.exception("A notification was not told.", extra={"user_id": queue.pusher.key.user_id})
            self._done(queue, notice)

    async def _attempt(self, queue: _Queue, notice: Notice) -> None:
        pusher = queue.pusher
        if self._clock.monotonic_ms() - notice.since_ms > limits.push_age_ms_max:
            await self._settle(queue, notice, "too old")
            return
        subject = None if notice.subject is None else await notice.subject()
        unread = await self._unread_rooms(pusher.key.user_id)
        if subject is None and (notice.event_id is not None or unread == queue.told):
            self._done(queue, notice)
            return
        try:
            answer = await self._gateways.fetch_json(_request(pusher, notification(pusher, subject, notice.actions, unread)))
        except PeerError as error:
            await self._failed(queue, notice, error)
            return
        queue.told = unread
        if is_rejected(answer, pusher.key.pushkey):
            logger.info("A push gateway gave a pusher up.", extra={"user_id": pusher.key.user_id, "app_id": pusher.key.app_id})
            self._queues.pop(pusher.pusher_id, None)
            queue.waiting.clear()
            await self._pushers.delete(pusher.key, Removed.REJECTED)
            return
        queue.pusher = replace(queue.pusher, failures=0, retry_after_ts=0)
        await self._settle(queue, notice, "told")

    async def _failed(self, queue: _Queue, notice: Notice, error: PeerError) -> None:
        failures = queue.pusher.failures + 1
        pause_ms = wait_ms(failures, error.retry_after_ms, self._entropy.fraction())
        queue.pusher = replace(queue.pusher, failures=failures, retry_after_ts=self._clock.now_ms() + pause_ms)
        logger.info(
            "A push gateway did not take a notification.",
            extra={"app_id": queue.pusher.key.app_id, "status": error.status, "failures": failures, "pause_ms": pause_ms},
        )
        outcome = f"failed: {error.reason}" if error.status is None else f"failed: {error.status}"
        if is_final(error.status):
            await self._settle(queue, notice, outcome)
        else:
            await self._write(queue.pusher, notice, outcome, None)

    async def _settle(self, queue: _Queue, notice: Notice, outcome: str) -> None:
        """Nothing more is to be done about a notice."""
        self._done(queue, notice)
        await self._write(queue.pusher, notice, outcome, notice.position)

    def _done(self, queue: _Queue, notice: Notice) -> None:
        if queue.waiting and queue.waiting[0] is notice:
            queue.waiting.popleft()
        if notice.event_id is not None:
            queue.pusher = replace(queue.pusher, delivered=max(queue.pusher.delivered, notice.position))

    async def _write(self, pusher: Pusher, notice: Notice, outcome: str, position: Position | None) -> None:
        entry = JournalEntry(self._clock.now_ms(), notice.event_id, outcome)
        async with self._database.write() as tx:
            settled = position if notice.event_id is not None else None
            await tables.settle(tx, pusher.pusher_id, settled, pusher.failures, pusher.retry_after_ts)
            await tables.write_journal(tx, pusher.pusher_id, entry, limits.push_journal_max)


def _request(pusher: Pusher, body: Mapping[str, Any]) -> Outgoing:
    try:
        encoded = orjson.dumps(body)
    except TypeError:
        # Events of old room versions may hold numbers of any size.
        encoded = json.dumps(body).encode()
    return Outgoing(
        "POST",
        pusher.form.data["url"],
        _HEADERS,
        encoded,
        timeout_ms=limits.push_timeout_ms,
        bytes_max=limits.push_answer_bytes_max,
    )
