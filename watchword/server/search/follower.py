"""Follows the log for the indexes of messages and of people, in batches behind the writer; and takes in what is not logged:
history that was fetched later.

Reading, folding and deciding happen before the transaction, which then only writes. Whoever asks does not wait for the
next batch: he has it done at once (`catch_up`), so that he finds what was said before he asked.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import StorageError
from watchword.server.changes import Change, EventAppended, EventsExpired, RoomPurged
from watchword.server.search import tables
from watchword.server.search.indexing import NOTED_TYPES, Clear, MessageIndex
from watchword.server.search.indexing import Step as MessageStep
from watchword.server.search.people_index import PeopleIndex
from watchword.server.search.people_index import Step as PeopleStep
from watchword.storage import Database, Log, Logged, Position, ReadTx

logger = logging.getLogger(__name__)

NAME = "search"
PAST, HISTORY = "past", "history"
"""The walks: down from the newest event that was there at first, and up through what comes without being logged."""

_GATHER_MS = 500
_CURSOR_LAG_MAX = 2_000
_HISTORY_SPAN = 5_000


@dataclass(slots=True)
class _Work:
    """What a batch comes to."""

    messages: list[MessageStep] = field(default_factory=list)
    people: list[PeopleStep] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.messages or self.people)


class SearchFollower:
    """One per server. followed: the position up to which everything is in the indexes."""

    def __init__(self, database: Database, log: Log[Change], clock: Clock, messages: MessageIndex, people: PeopleIndex) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._messages = messages
        self._people = people
        self._turn = asyncio.Lock()
        self.followed = Position(0)
        self._saved = Position(0)
        self._history = 0

    async def start(self) -> None:
        """Find out where the last run ended; the first begins at the end of the log."""
        async with self._database.read() as tx:
            past = await tables.progress(tx, PAST)
            self.followed = self._saved = await self._log.cursor(tx, NAME)
            self._history = await tables.progress(tx, HISTORY) or 0
            newest = await self._messages.catalogue.last_event_nid(tx)
        if past is None:
            self.followed, self._history = self._log.position, newest
            async with self._database.write() as tx:
                await tables.save_progress(tx, PAST, newest + 1)
                await tables.save_progress(tx, HISTORY, newest)
                await self._log.move_cursor(tx, NAME, self.followed)
            self._saved = self.followed
        await self._people.start()

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            await self._log.wait(self.followed)
            await self._clock.sleep(_GATHER_MS)
            try:
                await self.catch_up()
            except StorageError as error:
                logger.warning("The indexes of search wait for the database.", extra={"cause": str(error)})

    async def catch_up(self) -> None:
        """Return once what is durable now is in the indexes."""
        until = self._log.position
        while self.followed < until:
            async with self._turn:
                if self.followed < until:
                    await self._step()
        async with self._turn:
            while await self._history_step():
                pass

    async def _step(self) -> None:
        batch = await self._log.read(self.followed, limits.search_batch_max)
        if not batch:
            self.followed = self._log.position
            return
        work = _Work()
        async with self._database.read() as tx:
            for logged in batch:
                await self._look(tx, logged, work)
        await self._write(work, batch[-1].position)
        self.followed = batch[-1].position

    async def _look(self, tx: ReadTx, logged: Logged[Change], work: _Work) -> None:
        try:
            work.people += await self._people.steps(tx, logged.change)
            work.messages += await self._message_steps(tx, logged.change)
        except StorageError:
            raise
        except Exception:
            # One change that cannot be understood must not stop all those after it.
            logger.exception("A change was not indexed.", extra={"position": logged.position})

    async def _message_steps(self, tx: ReadTx, change: Change) -> Sequence[MessageStep]:
        if isinstance(change, EventsExpired):
            return await self._expired(tx, change)
        if isinstance(change, RoomPurged):
            room_nid = await self._messages.catalogue.names.find(tx, change.room_id)
            return () if room_nid is None else (Clear(room_nid),)
        if not isinstance(change, EventAppended) or change.type not in NOTED_TYPES:
            return ()
        event = await self._messages.rooms.events.one(tx, change.event_id)
        room_nid = await self._messages.catalogue.names.find(tx, change.room_id)
        if event is None or room_nid is None:
            return ()
        return await self._messages.steps(tx, event.nid, room_nid, event.pdu)

    async def _expired(self, tx: ReadTx, change: EventsExpired) -> Sequence[MessageStep]:
        """What says nothing any more is found no more."""
        found = await self._messages.rooms.events.many(tx, change.event_ids)
        room_nid = await self._messages.catalogue.names.find(tx, change.room_id)
        if room_nid is None:
            return ()
        steps: list[MessageStep] = []
        for event in found.values():
            steps += await self._messages.steps(tx, event.nid, room_nid, event.pdu)
        return steps

    async def _write(self, work: _Work, position: Position) -> None:
        if not work and position - self._saved < _CURSOR_LAG_MAX:
            return
        await self._clear(work.messages)
        async with self._database.write() as tx:
            await self._messages.take(tx, work.messages)
            await self._people.take(tx, work.people)
            await self._log.move_cursor(tx, NAME, position)
        self._saved = position

    async def _clear(self, steps: Sequence[MessageStep]) -> None:
        for room_nid in dict.fromkeys(step.room_nid for step in steps if isinstance(step, Clear)):
            more = True
            while more:
                async with self._database.write() as tx:
                    more = await self._messages.clear_some(tx, room_nid)

    async def _history_step(self) -> bool:
        """Take in some of what was fetched of the past; whether there may be more."""
        catalogue = self._messages.catalogue
        async with self._database.read() as tx:
            newest = await catalogue.last_event_nid(tx)
            # Numbers of events that were deleted are given again.
            after = min(self._history, newest)
            until = min(newest, after + _HISTORY_SPAN)
            if until == self._history:
                return False
            found = await catalogue.history_between(tx, after, until)
            steps = await self._messages.all_steps(tx, found)
        for start in range(0, max(1, len(steps)), limits.search_batch_max):
            part = steps[start : start + limits.search_batch_max]
            if part or until - self._history >= _HISTORY_SPAN:
                async with self._database.write() as tx:
                    await self._messages.take(tx, part)
                    if start + limits.search_batch_max >= len(steps):
                        await tables.save_progress(tx, HISTORY, until)
        self._history = until
        return until < newest
