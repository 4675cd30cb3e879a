"""Which events are sticky now: in memory, because there are few and each lasts an hour at most; on disk for the next start.

A room without such events costs a look-up that finds nothing. What becomes sticky is known here the moment it is durable; what
is soft-failed waits aside, until the room allows it (`append`).
Deliberately absent: who is told (`sync`), which servers (`sticky_for_servers`).

Spec: proposals/4354
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.sticky import Naming, Sticky, expiry, sticky_of
from watchword.server.rooms import records, sticky_tables, tables
from watchword.server.rooms.stored import EventStore, StoredEvent
from watchword.storage import Database, Tx

logger = logging.getLogger(__name__)

_LOADED_AT_ONCE = 500


class StickyEntry(NamedTuple):
    """A sticky event. position: from where on clients are told of it."""

    position: int
    expires_ts: int
    sender: UserId
    naming: Naming


@dataclass(slots=True)
class _Room:
    """The sticky events of a room. newest: the last position of one. aside: soft-failed ones, and until when they matter."""

    entries: dict[EventId, StickyEntry] = field(default_factory=dict)
    aside: dict[EventId, int] = field(default_factory=dict)
    newest: int = 0
    first_expiry: int = records.FOREVER


_NOTHING: Mapping[EventId, StickyEntry] = {}


class StickyEvents:
    """Knows them. newest: the last position of any."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rooms: dict[RoomId, _Room] = {}
        self.newest = 0

    async def start(self, database: Database, events: EventStore) -> None:
        """Read back what is sticky still."""
        after_nid, now_ms = 0, self._clock.now_ms()
        while True:
            async with database.read() as tx:
                rows = await sticky_tables.unexpired(tx, now_ms, after_nid, _LOADED_AT_ONCE)
                found = await tables.events_by_nid(tx, [row.event_nid for row in rows])
                for row in rows:
                    if row.event_nid in found:
                        stored = (await events.decoded(tx, [found[row.event_nid]]))[0]
                        self._take(row, stored.pdu)
            if len(rows) < _LOADED_AT_ONCE:
                return
            after_nid = rows[-1].event_nid

    def _take(self, row: sticky_tables.StickyRow, pdu: Pdu) -> None:
        sticky = sticky_of(pdu.json)
        if sticky is None:
            return
        if row.position:
            self._keep(pdu, StickyEntry(row.position, row.expires_ts, pdu.sender, sticky.naming))
        else:
            self._rooms.setdefault(row.room_id, _Room()).aside[pdu.event_id] = row.expires_ts

    # Reading

    def of(self, room_id: RoomId) -> Mapping[EventId, StickyEntry]:
        """The sticky events of a room; not to be changed."""
        room = self._rooms.get(room_id)
        if room is None:
            return _NOTHING
        if room.first_expiry <= self._clock.now_ms():
            self._expire(room_id, room)
        return room.entries

    def newest_of(self, room_id: RoomId) -> int:
        """The position of the newest sticky event of a room; 0 if it has none."""
        room = self._rooms.get(room_id)
        return 0 if room is None else room.newest

    def between(self, room_id: RoomId, after: int, until: int) -> Sequence[EventId]:
        """Those of which clients are told in a span of positions, in its order."""
        if self.newest_of(room_id) <= after:
            return ()
        found = [(entry.position, event_id) for event_id, entry in self.of(room_id).items() if after < entry.position <= until]
        return [event_id for _, event_id in sorted(found)]

    def rooms_since(self, position: int) -> list[RoomId]:
        """Rooms with sticky events of which clients are told after a position."""
        if self.newest <= position:
            return []
        return [room_id for room_id, room in self._rooms.items() if room.newest > position]

    def rooms(self) -> list[RoomId]:
        """Rooms that have, or had, sticky events."""
        return list(self._rooms)

    def aside(self, room_id: RoomId) -> Sequence[EventId]:
        """Soft-failed events that are shown once the room allows them."""
        room = self._rooms.get(room_id)
        if room is None or not room.aside:
            return ()
        now_ms = self._clock.now_ms()
        room.aside = {event_id: expires_ts for event_id, expires_ts in room.aside.items() if expires_ts > now_ms}
        return list(room.aside)

    def unexpired(self, pdu: Pdu) -> Sticky | None:
        """Whether an event that has just come is sticky; costs next to nothing for all the others."""
        sticky = sticky_of(pdu.json)
        if sticky is None or self._expiry(pdu, sticky) <= self._clock.now_ms():
            return None
        return sticky

    def _expiry(self, pdu: Pdu, sticky: Sticky) -> int:
        return expiry(sticky, pdu.origin_server_ts, self._clock.now_ms())

    # Writing

    async def note(self, tx: Tx, room_nid: int, event: StoredEvent, sticky: Sticky, position: int) -> None:
        """An event that is shown is sticky; clients are told from a position on."""
        pdu = event.pdu
        room = self._rooms.get(pdu.room_id)
        if room is not None and len(self.of(pdu.room_id)) >= limits.sticky_events_per_room_max:
            logger.info("A room has too many sticky events; one is like any other.", extra={"room_id": pdu.room_id})
            return
        entry = StickyEntry(position, self._expiry(pdu, sticky), pdu.sender, sticky.naming)
        await sticky_tables.save(tx, event.nid, room_nid, position, entry.expires_ts)
        tx.after_commit(partial(self._keep, pdu, entry))

    def _keep(self, pdu: Pdu, entry: StickyEntry) -> None:
        room = self._rooms.setdefault(pdu.room_id, _Room())
        room.aside.pop(pdu.event_id, None)
        room.entries[pdu.event_id] = entry
        room.newest = max(room.newest, entry.position)
        room.first_expiry = min(room.first_expiry, entry.expires_ts)
        self.newest = max(self.newest, entry.position)

    async def put_aside(self, tx: Tx, room_nid: int, event: StoredEvent, sticky: Sticky) -> None:
        """A soft-failed event may be shown yet."""
        pdu = event.pdu
        room = self._rooms.setdefault(pdu.room_id, _Room())
        if len(room.aside) >= limits.sticky_events_per_room_max:
            return
        expires_ts = self._expiry(pdu, sticky)
        await sticky_tables.save(tx, event.nid, room_nid, 0, expires_ts)
        # At once: the room may allow it before this is durable.
        room.aside[pdu.event_id] = expires_ts
        tx.after_failure(lambda: room.aside.pop(pdu.event_id, None))

    async def forget(self, tx: Tx, event: StoredEvent) -> None:
        """An event was redacted: it is like any other."""
        room = self._rooms.get(event.pdu.room_id)
        if room is None or (event.event_id not in room.entries and event.event_id not in room.aside):
            return
        await sticky_tables.delete(tx, event.nid)
        tx.after_commit(partial(self._drop, event.pdu.room_id, event.event_id))

    def _drop(self, room_id: RoomId, event_id: EventId) -> None:
        room = self._rooms.get(room_id)
        if room is not None:
            room.entries.pop(event_id, None)
            room.aside.pop(event_id, None)

    async def sweep(self, tx: Tx) -> None:
        """Drop what is over."""
        await sticky_tables.delete_expired(tx, self._clock.now_ms(), limits.sticky_events_swept_at_once)
        for room_id, room in list(self._rooms.items()):
            self._expire(room_id, room)

    def _expire(self, room_id: RoomId, room: _Room) -> None:
        now_ms = self._clock.now_ms()
        # A new object: views go on with the old one.
        room.entries = {event_id: entry for event_id, entry in room.entries.items() if entry.expires_ts > now_ms}
        room.aside = {event_id: expires_ts for event_id, expires_ts in room.aside.items() if expires_ts > now_ms}
        room.first_expiry = min((entry.expires_ts for entry in room.entries.values()), default=records.FOREVER)
        if not room.entries and not room.aside:
            self._rooms.pop(room_id, None)
