"""Follows the log for other servers: finds out once per change whom it concerns, and keeps the cursors of all.

Theory of operation. `followed` is the position up to which every change has been offered to the outboxes concerned. What
is kept on disk is less and lags behind: one position `F` for all healthy destinations together (everything at or before
it was acknowledged by them), and a row of its own for each destination that is behind. After a crash, changes after `F`
are offered again, and a destination that was behind reads the log from its own row. So some things may be sent twice,
which receivers recognise by their IDs, and nothing is left out. A healthy destination costs no write at all.

The log is kept for the slowest destination, but not for one that has been failing longer than `give_up_ms`.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from functools import partial

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import StorageError
from watchword.protocol.ids import EventId, RoomId, ServerName
from watchword.server.changes import Change, EventAppended, PresenceChanged, TypingChanged
from watchword.server.federation import tables
from watchword.server.federation.backoff import Backoff
from watchword.server.federation.outbox import Item, Outbox, item_of
from watchword.server.federation.ports import StickyOut
from watchword.server.federation.routes import Routes
from watchword.server.federation.sender import Sender
from watchword.server.federation.settings import FederationSettings
from watchword.storage import Database, Log, Logged, Position

logger = logging.getLogger(__name__)

FOLLOWER = "federation"
_CHUNK = 200
_SAVE_EVERY_MS = 1_000
_NEWCOMER_AGAIN_MS = (2_000, 20_000)


class FederationFollower:
    """One per server. `start`, then run `run` as long as the server lives."""

    def __init__(
        self,
        database: Database,
        log: Log[Change],
        sender: Sender,
        routes: Routes,
        backoff: Backoff,
        settings: FederationSettings,
        clock: Clock,
    ) -> None:
        self._database = database
        self._log = log
        self._sender = sender
        self._routes = routes
        self._backoff = backoff
        self._settings = settings
        self._clock = clock
        self._followed = Position(0)
        self._saved = Position(0)
        self._saved_behind: dict[ServerName, Position] = {}
        self._changed = asyncio.Event()
        sender.refill = self.refill
        sender.on_progress = self._changed.set

    async def start(self) -> None:
        """Find out who was owed what before the last stop."""
        async with self._database.read() as tx:
            self._followed = self._saved = await tables.progress(tx, FOLLOWER)
            rows = await tables.destinations(tx, limits.destinations_owed_max)
        for row in rows:
            if row.behind_after is not None:
                self._saved_behind[row.server_name] = row.behind_after
                self._sender.restore(Outbox(row.server_name, resume_after=row.behind_after))

    async def run(self) -> None:
        """Follow for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_saving())
            while True:
                await self._log.wait(self._followed)
                chunk = await self._log.read(self._followed, _CHUNK)
                for logged in chunk:
                    servers = await self._destinations(logged)
                    if servers:
                        self._sender.offer(servers, item_of(logged.position, logged.change))
                    newcomer = await self._newcomer(logged)
                    if newcomer is not None:
                        self._tell_newcomer(*newcomer)
                    self._followed = logged.position
                self._changed.set()
                if len(chunk) == _CHUNK:
                    # Far behind, there is always a next chunk: let others have their turn.
                    await self._clock.sleep(0)

    async def _destinations(self, logged: Logged[Change]) -> Collection[ServerName]:
        try:
            return await self._routes.destinations(logged.change, logged.position)
        except Exception:
            # One change that cannot be routed must not stop all those after it.
            logger.exception("A change was not routed.", extra={"position": logged.position})
            return ()

    async def _newcomer(self, logged: Logged[Change]) -> tuple[ServerName, Sequence[Item]] | None:
        try:
            return await self._routes.for_newcomer(logged.change, logged.position)
        except Exception:
            logger.exception("A server that came was not told what is sticky.", extra={"position": logged.position})
            return None

    def _tell_newcomer(self, server_name: ServerName, items: Sequence[Item]) -> None:
        """Tell a server what is sticky from before it came, and tell it again.

        It may not know yet that it has come: it is still busy with the answer to its join. What it has got it knows again.
        """
        for item in items:
            self._sender.offer((server_name,), item)
        for wait_ms in _NEWCOMER_AGAIN_MS:
            self._clock.call_later(wait_ms, partial(self._tell_again, server_name, items))

    def _tell_again(self, server_name: ServerName, items: Sequence[Item]) -> None:
        for item in items:
            if isinstance(item.change, EventAppended) and self._routes.sticky.is_sticky(item.change):
                # At a place of now: nothing before it is owed once more.
                self._sender.offer((server_name,), item_of(self._followed, item.change))

    # Reading again

    async def refill(self, outbox: Outbox) -> None:
        """Read from the log what an outbox is owed after its `resume_after`.

        More events than `catch_up_pdus_max`: only the newest of each room, and what is sticky; the peer fetches the others as
        it needs them.
        """
        assert outbox.resume_after is not None, outbox.server_name
        after = outbox.resume_after
        found = _Refill(self._settings.catch_up_pdus_max, self._routes.sticky)
        while True:
            goal = self._followed
            chunk = [logged for logged in await self._log.read(after, _CHUNK) if logged.position <= goal]
            for logged in chunk:
                after = logged.position
                if isinstance(logged.change, TypingChanged | PresenceChanged):
                    continue
                if outbox.server_name in await self._destinations(logged):
                    found.add(item_of(logged.position, logged.change))
                newcomer = await self._newcomer(logged)
                if newcomer is not None and newcomer[0] == outbox.server_name:
                    for item in newcomer[1]:
                        found.add(item)
                if len(found) >= outbox.pending_max:
                    outbox.refill(found.items(), after)
                    return
            # No await between this check and the refill: a change offered meanwhile would be lost.
            if not chunk and goal == self._followed:
                outbox.refill(found.items(), None)
                return
            await self._clock.sleep(0)

    # Cursors

    async def _keep_saving(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.save()
            except StorageError as error:
                # What is on the disk is older: after a crash more would be sent twice, and nothing left out.
                logger.warning("Cursors were not saved.", extra={"cause": str(error)})
                self._changed.set()
            await self._clock.sleep(_SAVE_EVERY_MS)

    async def save(self) -> None:
        """Write what has moved since the last time."""
        behind: dict[ServerName, Position] = {}
        position = self._followed
        for outbox in self._sender.outboxes():
            owed_after = outbox.owed_after
            if owed_after is None:
                continue
            if outbox.resume_after is not None or self._backoff.failures(outbox.server_name):
                behind[outbox.server_name] = owed_after
            else:
                position = min(position, owed_after)
        moved = {name: owed for name, owed in behind.items() if self._saved_behind.get(name) != owed}
        cleared = [name for name in self._saved_behind if name not in behind]
        if position == self._saved and not moved and not cleared:
            return
        async with self._database.write() as tx:
            for name, owed in moved.items():
                await tables.save_behind(tx, name, owed)
            for name in cleared:
                await tables.save_behind(tx, name, None)
            await tables.save_progress(tx, FOLLOWER, position)
            await self._log.move_cursor(tx, FOLLOWER, self._needed_after(position, behind))
        self._saved, self._saved_behind = position, behind

    def _needed_after(self, position: Position, behind: dict[ServerName, Position]) -> Position:
        """The log is not needed up to here."""
        oldest = self._clock.now_ms() - self._settings.give_up_ms
        for name, owed in behind.items():
            since = self._backoff.failing_since_ts(name)
            if since is None or since >= oldest:
                position = min(position, owed)
        return position


class _Refill:
    """Collects what a destination has missed, in the order of the log."""

    def __init__(self, pdus_max: int, sticky: StickyOut) -> None:
        self._pdus_max = pdus_max
        self._sticky = sticky
        self._sure: dict[EventId, Item] = {}
        self._pdus: list[Item] = []
        self._newest: dict[RoomId, Item] = {}
        self._edus: dict[object, Item] = {}
        self._is_far_behind = False

    def __len__(self) -> int:
        return len(self._edus) + (len(self._newest) + len(self._sure) if self._is_far_behind else len(self._pdus))

    def add(self, item: Item) -> None:
        if not isinstance(item.change, EventAppended):
            self._edus.pop(item.key, None)
            self._edus[item.key] = item
            return
        self._newest[item.change.room_id] = item
        if self._sticky.is_sticky(item.change):
            self._sure[item.change.event_id] = item
        if not self._is_far_behind:
            self._pdus.append(item)
            if len(self._pdus) > self._pdus_max:
                self._is_far_behind = True
                self._pdus.clear()

    def items(self) -> Sequence[Item]:
        pdus: Collection[Item] = self._pdus
        if self._is_far_behind:
            # "Large volumes of events to send MUST NOT cause the sticky event to be dropped".
            pdus = {item.key: item for item in (*self._newest.values(), *self._sure.values())}.values()
        return sorted((*pdus, *self._edus.values()), key=lambda item: item.position)
