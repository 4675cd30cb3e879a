"""Files go with the events that showed them: follows the log, notes what local users' events show, and, when such an event is
redacted, deletes what its sender uploaded for it and no other event shows.

Only events that are not encrypted: of the others nobody here knows. A round now and then looks at every event that is noted,
for those that went without a redaction of their own (a ban that took all that somebody said, events that expired).
Deliberately absent: deciding what a redaction may do (`rooms`), and deleting (`media.removal`).
"""

import asyncio
import logging
from collections.abc import Sequence

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import StorageError
from watchword.protocol import event_types
from watchword.protocol.ids import EventId
from watchword.server.changes import Change, EventAppended, EventsExpired
from watchword.server.media.removal import Removal
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.records import EXPIRED
from watchword.server.rooms.stored import StoredEvent
from watchword.storage import Database, Log, Logged, Position

logger = logging.getLogger(__name__)

NAME = "media"
_SHOWING = frozenset(("m.room.message", "m.sticker"))
_PAGE = 500
_CURSOR_LAG_MAX = 1_000
# What comes together is written together; but before somebody thinks better of it and redacts.
_GATHER_MS = 100
_REFUSED_PAUSE_MS = 1_000


class MediaFollower:
    """One per server. Run `run` as long as the server lives."""

    def __init__(self, database: Database, log: Log[Change], clock: Clock, rooms: RoomReader, removal: Removal) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._rooms = rooms
        self._removal = removal
        self._saved = Position(0)
        self._after = ""

    async def run(self) -> None:
        """Follow, and look through what is noted now and then, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_through())
            await self._follow()

    async def _follow(self) -> None:
        concerned = asyncio.Event()

        def heard(logged: Logged[Change]) -> None:
            if _concerns(logged.change) or logged.position - self._saved >= _CURSOR_LAG_MAX:
                concerned.set()

        async with self._database.read() as tx:
            cursor = self._saved = await self._log.cursor(tx, NAME)
        self._log.listen(heard)
        while True:
            concerned.clear()
            try:
                batch = await self._log.read(cursor, _PAGE)
                await self.act(batch)
            except StorageError as error:
                logger.warning("The database refused; media follow their events again soon.", extra={"cause": str(error)})
                await self._clock.sleep(_REFUSED_PAUSE_MS)
                continue
            if batch:
                cursor = batch[-1].position
            else:
                await concerned.wait()
                await self._clock.sleep(_GATHER_MS)

    async def act(self, batch: Sequence[Logged[Change]]) -> None:
        """Act on some changes and remember that they were acted on. Idempotent."""
        events = [logged.change for logged in batch if isinstance(logged.change, EventAppended) and _concerns(logged.change)]
        if not any(_concerns(change) for _, change in batch) and (
            not batch or batch[-1].position - self._saved < _CURSOR_LAG_MAX
        ):
            return
        found = await self._rooms.found([event.event_id for event in events])
        shown = [stored.pdu for stored in found.values() if stored.pdu.type in _SHOWING and b"mxc://" in stored.json]
        redacted = [stored.pdu.redacts for stored in found.values() if stored.pdu.redacts is not None]
        expired = [event_id for _, change in batch if isinstance(change, EventsExpired) for event_id in change.event_ids]
        gone = await self._gone([*redacted, *expired])
        if not shown and not gone and batch[-1].position - self._saved < _CURSOR_LAG_MAX:
            return
        async with self._database.write() as tx:
            for pdu in shown:
                await self._removal.note_event(tx, pdu.event_id, pdu.sender, pdu.content)
            hashes = [sha256 for event_id in gone for sha256 in await self._removal.forget_event(tx, event_id)]
            await self._log.move_cursor(tx, NAME, batch[-1].position)
        self._saved = batch[-1].position
        await self._removal.reap(hashes)

    async def _look_through(self) -> None:
        while True:
            await self._clock.sleep(limits.media_sweep_ms)
            try:
                await self.look_through()
            except StorageError as error:
                logger.warning("The database refused; noted events are looked at later.", extra={"cause": str(error)})

    async def look_through(self) -> None:
        """Delete what events showed that are gone by now: one page of them."""
        page = await self._removal.showing_events(self._after, limits.media_sweep_rows_max)
        self._after = page[-1] if len(page) == limits.media_sweep_rows_max else ""
        gone = await self._gone(page)
        if not gone:
            return
        async with self._database.write() as tx:
            hashes = [sha256 for event_id in gone for sha256 in await self._removal.forget_event(tx, event_id)]
        dropped = await self._removal.reap(hashes)
        logger.info("Files went with their events.", extra={"events": len(gone), "files": dropped})

    async def _gone(self, event_ids: Sequence[EventId]) -> list[EventId]:
        """Those that are redacted, or not here any more. A redaction that did not take effect leaves its target as it is."""
        if not event_ids:
            return []
        found = await self._rooms.found(event_ids)
        return [event_id for event_id in event_ids if event_id not in found or _is_gone(found[event_id])]


def _is_gone(event: StoredEvent) -> bool:
    return event.redacted_by_nid is not None or bool(event.flags & EXPIRED)


def _concerns(change: Change) -> bool:
    if isinstance(change, EventsExpired):
        return True
    if not isinstance(change, EventAppended):
        return False
    return change.type == event_types.REDACTION or (change.sender_is_local and change.type in _SHOWING)
