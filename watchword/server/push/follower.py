"""Follows the log for pushers: tells of events and of what was read, and drops pushers whose session ended.

Where nobody has a pusher this costs nothing; else only rooms with users who have one are looked at.
"""

import asyncio
import logging

from watchword.base.clock import Clock
from watchword.base.errors import StorageError
from watchword.protocol.ids import UserId
from watchword.server.changes import (
    AccountDeactivated,
    Change,
    DeviceDeleted,
    EventAppended,
    OutOfBandMembership,
    PushersChanged,
    ReceiptChanged,
)
from watchword.server.push import tables
from watchword.server.push.audience import Audience
from watchword.server.push.commands import Pusher
from watchword.server.push.pushers import Pushers
from watchword.server.push.sender import Notice, PushSender
from watchword.storage import Database, Log, Logged, Position

logger = logging.getLogger(__name__)

NAME = "push"
_PAGE = 500
_SAVE_EVERY_MS = 1_000
_CURSOR_LAG_MAX = 1_000


class PushFollower:
    """One per server. Run `run` as long as the server lives. followed: the position up to which all was looked at."""

    def __init__(
        self,
        database: Database,
        log: Log[Change],
        clock: Clock,
        audience: Audience,
        pushers: Pushers,
        sender: PushSender,
    ) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._audience = audience
        self._pushers = pushers
        self._sender = sender
        self._by_user: dict[UserId, list[Pusher]] = {}
        self.followed = Position(0)
        self._saved = Position(0)

    async def run(self) -> None:
        """Follow for ever."""
        await self._read_pushers()
        async with asyncio.TaskGroup() as group:
            self._sender.start(group)
            group.create_task(self._keep_saving())
            while True:
                batch = await self._log.read(self.followed, _PAGE)
                if not batch:
                    await self._log.wait(self.followed)
                    continue
                for logged in batch:
                    await self._supervised(logged)

    async def _read_pushers(self) -> None:
        async with self._database.read() as tx:
            self.followed = self._saved = await self._log.cursor(tx, NAME)
            last = 0
            while page := await tables.pushers_after(tx, last, _PAGE):
                for pusher in page:
                    self._by_user.setdefault(pusher.key.user_id, []).append(pusher)
                self._sender.know(page)
                last = page[-1].pusher_id

    async def _supervised(self, logged: Logged[Change]) -> None:
        try:
            await self._act(logged)
        except Exception:
            # One change that cannot be acted on must not stop all those after it.
            logger.exception("A change was not told to pushers.", extra={"position": logged.position})
        self.followed = logged.position

    async def _act(self, logged: Logged[Change]) -> None:
        match logged.change:
            case EventAppended() as event if self._by_user:
                for user_id, notice in await self._audience.of_event(logged.position, event, self._by_user.keys()):
                    self._offer(user_id, notice)
            case OutOfBandMembership(user_id=user_id, membership="invite") as invite if user_id in self._by_user:
                self._offer(user_id, await self._audience.of_invite(logged.position, invite))
            case ReceiptChanged(user_id=user_id) if user_id in self._by_user:
                self._offer(user_id, Notice(logged.position, None))
            case PushersChanged(user_id=user_id):
                await self._pushers_changed(user_id)
            case DeviceDeleted(user_id=user_id, device_id=device_id) if user_id in self._by_user:
                await self._pushers.delete_of_session(user_id, device_id)
                await self._pushers_changed(user_id)
            case AccountDeactivated(user_id=user_id) if user_id in self._by_user:
                await self._pushers.delete_of_session(user_id, None)
                await self._pushers_changed(user_id)
            case _:
                pass

    async def _pushers_changed(self, user_id: UserId) -> None:
        pushers = list(await self._pushers.of(user_id))
        old = self._by_user.pop(user_id, [])
        kept = {pusher.pusher_id for pusher in pushers}
        self._sender.know(pushers, [pusher.pusher_id for pusher in old if pusher.pusher_id not in kept])
        if pushers:
            self._by_user[user_id] = pushers

    def _offer(self, user_id: UserId, notice: Notice | None) -> None:
        if notice is not None:
            for pusher in self._by_user.get(user_id, ()):
                self._sender.offer(pusher, notice)

    # The cursor

    async def _keep_saving(self) -> None:
        while True:
            await self._clock.sleep(_SAVE_EVERY_MS)
            try:
                await self.save()
            except StorageError as error:
                logger.warning("A cursor was not saved.", extra={"cause": str(error)})

    async def save(self) -> None:
        """Write how far all is settled. Where nobody has pushers, seldom: to read the log again costs little."""
        owed = self._sender.owed_after()
        position = self.followed if owed is None else min(owed, self.followed)
        if position == self._saved or (not self._by_user and position - self._saved < _CURSOR_LAG_MAX):
            return
        async with self._database.write() as tx:
            await self._log.move_cursor(tx, NAME, position)
        self._saved = position
