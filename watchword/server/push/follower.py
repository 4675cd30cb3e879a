"""Follows the log for pushers: tells of events and of what was read, and drops pushers whose session ended.

Where nobody has a pusher this costs nothing; else only rooms with users who have one that is switched on are looked at.
"""

import asyncio
import logging
from collections.abc import Sequence

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
from watchword.server.push.commands import EMAIL, HTTP, Pusher
from watchword.server.push.digests import Digests
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
        digests: Digests | None,
    ) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._audience = audience
        self._pushers = pushers
        self._sender = sender
        self._digests = digests
        # All pushers, and those that are switched on, of users who have some.
        self._owned: dict[UserId, list[Pusher]] = {}
        self._by_user: dict[UserId, list[Pusher]] = {}
        self.followed = Position(0)
        self._saved = Position(0)

    async def run(self) -> None:
        """Follow for ever."""
        await self._read_pushers()
        async with asyncio.TaskGroup() as group:
            self._sender.start(group)
            if self._digests is not None:
                group.create_task(self._digests.run())
            group.create_task(self._keep_saving())
            while True:
                batch = await self._log.read(self.followed, _PAGE)
                if not batch:
                    await self._log.wait(self.followed)
                    continue
                for logged in batch:
                    await self._supervised(logged)

    async def _read_pushers(self) -> None:
        if self._digests is not None:
            await self._digests.read()
        found: dict[UserId, list[Pusher]] = {}
        async with self._database.read() as tx:
            self.followed = self._saved = await self._log.cursor(tx, NAME)
            last = 0
            while page := await tables.pushers_after(tx, last, _PAGE):
                for pusher in page:
                    found.setdefault(pusher.key.user_id, []).append(pusher)
                last = page[-1].pusher_id
        for user_id, pushers in found.items():
            self._know(user_id, pushers)

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
                    await self._offer(user_id, notice)
            case OutOfBandMembership(user_id=user_id, membership="invite") as invite if user_id in self._by_user:
                await self._offer(user_id, await self._audience.of_invite(logged.position, invite))
            case ReceiptChanged(user_id=user_id) if user_id in self._by_user:
                await self._offer(user_id, Notice(logged.position, None))
            case PushersChanged(user_id=user_id):
                self._know(user_id, await self._pushers.of(user_id))
            case DeviceDeleted(user_id=user_id, device_id=device_id) if user_id in self._owned:
                await self._pushers.delete_of_session(user_id, device_id)
                self._know(user_id, await self._pushers.of(user_id))
            case AccountDeactivated(user_id=user_id) if user_id in self._owned:
                await self._pushers.delete_of_session(user_id, None)
                self._know(user_id, await self._pushers.of(user_id))
            case _:
                pass

    def _know(self, user_id: UserId, pushers: Sequence[Pusher]) -> None:
        """These are all pushers of a user now."""
        old = self._owned.pop(user_id, [])
        awake = [pusher for pusher in pushers if pusher.form.enabled]
        self._by_user.pop(user_id, None)
        if pushers:
            self._owned[user_id] = list(pushers)
        if awake:
            self._by_user[user_id] = awake
        of_gateways = [pusher for pusher in awake if pusher.form.kind == HTTP]
        asleep = {pusher.pusher_id for pusher in old} - {pusher.pusher_id for pusher in of_gateways}
        self._sender.know(of_gateways, asleep)
        if self._digests is not None:
            gone = {pusher.pusher_id for pusher in old} - {pusher.pusher_id for pusher in pushers}
            self._digests.know([pusher for pusher in pushers if pusher.form.kind == EMAIL], gone)

    async def _offer(self, user_id: UserId, notice: Notice | None) -> None:
        if notice is None:
            return
        for pusher in self._by_user.get(user_id, ()):
            if pusher.form.kind == HTTP:
                self._sender.offer(pusher, notice)
            elif self._digests is not None:
                await self._digests.hear(pusher, notice)

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
