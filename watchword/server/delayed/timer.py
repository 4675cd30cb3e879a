"""Sends delayed events when they are due: one timer for all, and one event at a time in each room.

Whatever a room's server, policy or neighbours need to be asked delays that room alone. The database says what is due; in memory
are only the rooms at work, and when to look next.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import PeerError, ProtocolError, Refusal, StorageError
from watchword.protocol.ids import RoomId, UserId
from watchword.server.changes import AccountDeactivated, Change, EventAppended
from watchword.server.delayed import tables
from watchword.server.delayed.commands import DelayedEvent, Reason
from watchword.server.delayed.sending import DelayedSending
from watchword.storage import Database, Log, Logged

logger = logging.getLogger(__name__)

_LOOK_AGAIN_MS = 60_000
_REFUSED_PAUSE_MS = 1_000


@dataclass(frozen=True, slots=True)
class _StateSent:
    """Somebody changed state that events may be waiting to change."""

    room_id: RoomId
    address: tuple[str, str]
    sender: UserId


class DelayedTimer:
    """Run `run` as long as the server lives."""

    def __init__(self, database: Database, log: Log[Change], sending: DelayedSending, clock: Clock) -> None:
        self._database = database
        self._sending = sending
        self._clock = clock
        self._stirred = asyncio.Event()
        self._busy: set[RoomId] = set()
        self._next_ts: int | None = None
        self._rooms_of_state: set[RoomId] = set()
        self._noted: deque[_StateSent | UserId] = deque(maxlen=limits.delayed_notes_max)
        log.listen(self._heard)

    def scheduled(self, delayed: DelayedEvent) -> None:
        """An event waits from now on."""
        if delayed.event.state_key is not None:
            self._rooms_of_state.add(delayed.event.room_id)
        if self._next_ts is None or delayed.send_ts < self._next_ts:
            self._stirred.set()

    def _heard(self, logged: Logged[Change]) -> None:
        # What is not noted (a full list, a crash) is found out when the event is due.
        match logged.change:
            case EventAppended(room_id=room_id, type=kind, state_key=str(key), sender=sender) if (
                room_id in self._rooms_of_state
            ):
                self._noted.append(_StateSent(room_id, (kind, key), sender))
                self._stirred.set()
            case AccountDeactivated(user_id=user_id):
                self._noted.append(user_id)
                self._stirred.set()
            case _:
                pass

    async def run(self) -> None:
        """Send what is due, for ever. Raises StorageError where it cannot even look."""
        self._busy.clear()
        await self._recover()
        async with asyncio.TaskGroup() as group:
            while True:
                self._stirred.clear()
                # Whatever is scheduled while we look stirs us.
                self._next_ts = None
                await self._act_on_notes()
                self._next_ts = await self._look(group)
                await self._rest()

    async def _recover(self) -> None:
        """Find out about what was being sent when the server stopped."""
        async with self._database.read() as tx:
            self._rooms_of_state |= await tables.rooms_of_state(tx)
            begun = await tables.begun(tx, limits.delayed_begun_max)
        for delay_id in begun:
            async with self._sending.current(delay_id):
                pass

    async def _act_on_notes(self) -> None:
        while self._noted:
            note = self._noted.popleft()
            if isinstance(note, _StateSent):
                await self._call_off(note)
            else:
                async with self._database.write() as tx:
                    await tables.delete_of(tx, note)

    async def _call_off(self, note: _StateSent) -> None:
        async with self._database.read() as tx:
            found = await tables.state_of_others(tx, note.room_id, note.address, note.sender, limits.delayed_at_once)
        for delay_id in found:
            async with self._sending.current(delay_id):
                pass

    async def _look(self, group: asyncio.TaskGroup) -> int | None:
        """Begin with what is due; when to look again, None for whenever something happens."""
        free = limits.delayed_rooms_at_once - len(self._busy)
        if free <= 0:
            return None
        async with self._database.read() as tx:
            due = await tables.due(tx, self._clock.now_ms(), self._busy, limits.delayed_at_once)
        by_room: dict[RoomId, list[str]] = {}
        for delay_id, room_id in due:
            by_room.setdefault(room_id, []).append(delay_id)
        for room_id, delay_ids in list(by_room.items())[:free]:
            self._busy.add(room_id)
            group.create_task(self._send_in_room(room_id, delay_ids))
        if len(by_room) >= free:
            return None
        async with self._database.read() as tx:
            return await tables.next_due(tx, self._busy)

    async def _rest(self) -> None:
        """Until something is due or happens. A while at most: the clock of the wall may be set."""
        wait_ms = _LOOK_AGAIN_MS
        if self._next_ts is not None:
            wait_ms = max(0, min(wait_ms, self._next_ts - self._clock.now_ms()))
        call_off = self._clock.call_later(wait_ms, self._stirred.set)
        try:
            await self._stirred.wait()
        finally:
            call_off()

    async def _send_in_room(self, room_id: RoomId, delay_ids: list[str]) -> None:
        try:
            for delay_id in delay_ids:
                await self._send(delay_id)
        except StorageError as error:
            logger.warning("The database refused; delayed events are sent soon.", extra={"cause": str(error)})
            await self._clock.sleep(_REFUSED_PAUSE_MS)
        finally:
            self._busy.discard(room_id)
            self._stirred.set()

    async def _send(self, delay_id: str) -> None:
        async with self._sending.current(delay_id) as delayed:
            # It may have been put off since we looked.
            if delayed is None or delayed.finalised is not None or delayed.send_ts > self._clock.now_ms():
                return
            try:
                await self._sending.send(delayed, Reason.DELAY)
                return
            except StorageError:
                raise
            except Refusal as refusal:
                error = refusal.body()
            except PeerError:
                error = {"errcode": "M_UNKNOWN", "error": "Another server could not be reached."}
            except ProtocolError:
                error = {"errcode": "M_BAD_JSON", "error": "The event holds something that Matrix forbids."}
            except Exception:
                # One event that trips over something of ours must not be tried for ever.
                logger.exception("A delayed event could not be sent.", extra={"room_id": delayed.event.room_id})
                error = {"errcode": "M_UNKNOWN", "error": "Something went wrong in this server."}
            await self._sending.fail(delayed, error)
