"""Takes from the disk what is older than its room is to keep: content, relations, places in the timeline.

What the graph needs of an event stays, as after a redaction: other events and other servers cite it, it is never fetched
again, and the state before it is still known. State events stay whole. The newest event of a room keeps its place, for the
room goes on from it, but not its content. Everything happens in small steps under the room's lock; between two rounds views
hide what is too old already.
Deliberately absent: whether it is worth keeping (`retention_policy`).

Spec: proposals/1763
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import StorageError
from watchword.protocol.canonical_json import encode
from watchword.protocol.ids import EventId, RoomId
from watchword.protocol.redaction import redact
from watchword.server.changes import Change, EventsExpired
from watchword.server.rooms import graph_tables, records, retention_tables, tables
from watchword.server.rooms.retention_policy import RETENTION, RetentionSettings
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.writer import RoomWriter
from watchword.storage import Log, Tx

logger = logging.getLogger(__name__)

_FULL_EVERY = 24


class _Wished(msgspec.Struct, frozen=True):
    content: dict[str, object]


_decode = msgspec.json.Decoder(_Wished).decode


@dataclass(frozen=True, slots=True)
class Horizon:
    """Before when the events of a room are too old: for views."""

    settings: RetentionSettings
    clock: Clock

    def __call__(self, room: Room) -> int:
        """A time; 0 if everything is kept. Costs a look-up."""
        if not self.settings.enabled:
            return 0
        lifetime = self.settings.lifetime(room.content(RETENTION))
        return 0 if lifetime is None else self.clock.now_ms() - lifetime


@dataclass
class Retention:
    """Sweeps. Run `run` once; it ends at once if nothing is to be swept."""

    writer: RoomWriter
    log: Log[Change]
    clock: Clock
    settings: RetentionSettings
    _done: dict[int, tuple[int, int]] = field(default_factory=dict)
    _rounds: int = 0

    async def run(self) -> None:
        """Sweep now and then, for ever."""
        while self.settings.enabled:
            try:
                await self.sweep()
            except StorageError as error:
                logger.warning("The database refused; what is too old goes later.", extra={"cause": str(error)})
            await self.clock.sleep(limits.retention_sweep_ms)

    async def sweep(self) -> int:
        """One round over all rooms; how many events went."""
        if self._rounds % _FULL_EVERY == 0:
            # What came late, from the past, may be older than what was looked at.
            self._done.clear()
        self._rounds += 1
        count = after = 0
        while page := await self._wishes(after):
            after = page[-1].room_nid
            for wish in page:
                lifetime = self.settings.lifetime({} if wish.event is None else _decode(wish.event).content)
                if lifetime is not None:
                    count += await self._sweep_room(wish.room_nid, wish.room_id, self.clock.now_ms() - lifetime)
            await self.clock.sleep(0)
        if count:
            logger.info("Events that were too old went.", extra={"count": count})
        return count

    async def _wishes(self, after: int) -> Sequence[retention_tables.RoomWish]:
        async with self.writer.database.read() as tx:
            type_nid = await self.writer.names.find(tx, RETENTION) or 0
            key_nid = await self.writer.names.find(tx, "") or 0
            return await retention_tables.wishes(tx, type_nid, key_nid, after, limits.retention_rooms_page)

    async def _sweep_room(self, room_nid: int, room_id: RoomId, before_ts: int) -> int:
        count = 0
        after = self._done.get(room_nid, (-1, -1))
        while True:
            async with self.writer.database.read() as tx:
                page = await retention_tables.old_events(tx, room_nid, after, before_ts, limits.retention_events_at_once)
            if not page:
                self._done[room_nid] = after
                return count
            after = page[-1]
            count += await self._expire(room_id, page)
            await self.clock.sleep(0)

    async def _expire(self, room_id: RoomId, page: Sequence[tuple[int, int]]) -> int:
        async with self.writer.registry.locked(room_id) as room:
            if room is None:
                return 0
            with suppress(StorageError):
                # What changed lately must be on the disk before it is read there.
                await self.writer.registry.settled(room_id)
            async with self.writer.database.read() as view:
                rows = await tables.events_by_nid(view, [nid for _, nid in page])
                events = await self.writer.events.decoded(view, list(rows.values()))
            times = {nid: ts for ts, nid in page}
            old = [event for event in events if event.pdu.state_key is None and event.ordering is not None]
            if not old:
                return 0
            async with self.writer.appending(room) as (tx, durable):
                await self.log.append(tx, EventsExpired(room_id, [event.event_id for event in old]))
                for event in old:
                    await self._expire_one(tx, room, event, times[event.nid])
                self._forget(tx, room, [event.event_id for event in old])
        await durable()
        return len(old)

    async def _expire_one(self, tx: Tx, room: Room, event: StoredEvent, ts: int) -> None:
        assert event.ordering is not None, event.event_id
        await self.writer.appender.index.forget(tx, room.room_nid, event)
        pruned = encode(redact(event.pdu.json, room.version), room.version.strict_canonical_json)
        if event.event_id in room.extremities or event.position >= room.last_position:
            await retention_tables.expire_event(tx, event.nid, pruned, event.ordering)
            return
        if not await graph_tables.overlays(tx, (event.nid,)):
            # Without a place on the line, the state before it must be written down: it was the line's.
            await tables.insert_overlay(tx, event.nid, event.position - 1, {})
        await retention_tables.expire_event(tx, event.nid, pruned, None)
        await retention_tables.forget_time(tx, room.room_nid, ts, event.nid)
        await retention_tables.forget_gaps(tx, room.room_nid, event.ordering)

    def _forget(self, tx: Tx, room: Room, event_ids: Sequence[EventId]) -> None:
        self.writer.events.forget(event_ids)
        tx.after_commit(lambda: self.writer.events.forget(event_ids))
        room.forget_recent()


def is_expired(event: StoredEvent) -> bool:
    """Whether an event's content was taken from the disk because of its age."""
    return bool(event.flags & records.EXPIRED)
