"""Finding the event of a room that was sent nearest to a time, for users and for other servers.

Times are what senders claim, and need not rise with the timeline: they are kept in a table of their own, which is filled in
steps behind the writer. Where history is missing between the time and the nearest event that is here, other servers are
asked; what is nearer is fetched from the gap's end, so that the timeline stays whole.

Spec: client-server-api#get_matrixclientv1roomsroomidtimestamp_to_event,
server-server-api#get_matrixfederationv1timestamp_to_eventroomid
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import NotFound, PeerError, StorageError
from watchword.protocol.ids import EventId, RoomId, ServerName, UserId
from watchword.server.rooms import catalogue_tables, tables
from watchword.server.rooms.pages import Backfill
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.records import FOREVER
from watchword.server.rooms.room import Room
from watchword.server.rooms.served_events import ServedEvents
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.view import Reader
from watchword.storage import Database, ReadTx

logger = logging.getLogger(__name__)

_SWEEP = "times"
_STEP = 500
_STEPS_AT_ONCE = 100
_EVERY_MS = 10_000
_PAUSE_MS = 20
_PAGE = 50
_PAGES_MAX = 20

Sees = Callable[[ReadTx, Sequence[StoredEvent]], Awaitable[Sequence[StoredEvent]]]
"""Those of these events that somebody may see."""


class RemoteTimes(Protocol):
    """Asks other servers. Fitted by `federation.client.FederationClient`."""

    async def timestamp_to_event(self, server: ServerName, room_id: RoomId, ts: int, *, backwards: bool) -> tuple[EventId, int]:
        """The event that is nearest to a time, in one direction, and its own time. Raises PeerError."""
        ...


class Wanted(NamedTuple):
    """What is looked for: the first event at or after a time, or the last at or before it."""

    ts: int
    backwards: bool

    def allows(self, ts: int) -> bool:
        """Whether a time lies in the direction asked for."""
        return ts <= self.ts if self.backwards else ts >= self.ts

    def distance(self, ts: int) -> int:
        """How far from the time asked for."""
        return abs(ts - self.ts)

    @property
    def opposite(self) -> "Wanted":
        """What lies just on the other side of the time."""
        return Wanted(self.ts + 1, False) if self.backwards else Wanted(self.ts - 1, True)


@dataclass(frozen=True)
class Timestamps:
    """Finds events by time. servers: None where no other server can be asked."""

    database: Database
    reader: RoomReader
    served: ServedEvents
    backfill: Backfill
    servers: RemoteTimes | None
    clock: Clock

    # The table

    async def run(self) -> None:
        """Keep the table of times, for ever."""
        while True:
            try:
                while not await self._step():
                    await self.clock.sleep(_PAUSE_MS)
            except StorageError as error:
                logger.warning("The table of times waits for the database.", extra={"cause": str(error)})
            await self.clock.sleep(_EVERY_MS)

    async def _step(self) -> bool:
        """Take in some events; whether these were the last."""
        async with self.database.read() as tx:
            newest = await catalogue_tables.last_event_nid(tx)
            # Numbers of events that were deleted are given again.
            after = min(await catalogue_tables.swept(tx, _SWEEP), newest)
        if after == newest:
            return True
        until = min(newest, after + _STEP)
        async with self.database.write() as write:
            await catalogue_tables.insert_times(write, after, until)
            await catalogue_tables.save_swept(write, _SWEEP, until)
        return until == newest

    async def _catch_up(self) -> None:
        for _ in range(_STEPS_AT_ONCE):
            if await self._step():
                return

    # Questions

    async def for_user(self, user_id: UserId, room_id: RoomId, wanted: Wanted) -> tuple[EventId, int]:
        """The event and its time. Raises Forbidden, NotFound."""
        room = await self.reader.readable_room(room_id, user_id)

        async def sees(tx: ReadTx, events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
            view = await self.reader.view(tx, room, Reader(user_id))
            await self.reader.sights.look_at(tx, view, events)
            return [event for event in events if view.sees(event)]

        await self._catch_up()
        found = await self._nearest(room, wanted, sees)
        if await self._fetched_nearer(room, wanted, found):
            await self._catch_up()
            found = await self._nearest(room, wanted, sees)
        return _answer(found, wanted)

    async def for_server(self, origin: ServerName, room_id: RoomId, wanted: Wanted) -> tuple[EventId, int]:
        """The same for another server: of what is here. Raises Forbidden, NotFound."""
        room = await self.served.room_for(origin, room_id)

        async def sees(tx: ReadTx, events: Sequence[StoredEvent]) -> Sequence[StoredEvent]:
            return await self.served.seen_by(tx, room, origin, events)

        await self._catch_up()
        return _answer(await self._nearest(room, wanted, sees), wanted)

    async def _nearest(self, room: Room, wanted: Wanted, sees: Sees) -> StoredEvent | None:
        """The nearest event that somebody may see; looks at a bounded number of those that he may not."""
        fetch = catalogue_tables.shown_until if wanted.backwards else catalogue_tables.shown_from
        edge = (FOREVER, FOREVER) if wanted.backwards else (-1, -1)
        for _ in range(_PAGES_MAX):
            async with self.database.read() as tx:
                rows = await fetch(tx, room.room_nid, wanted.ts, edge, _PAGE)
                if not rows:
                    return None
                edge = (rows[-1][0], rows[-1][2])
                by_nid = await tables.events_by_nid(tx, [nid for _, _, nid in rows])
                places = {nid: (ts, ordering) for ts, ordering, nid in rows}
                events = await self.reader.events.decoded(tx, [by_nid[nid] for nid in places if nid in by_nid])
                seen = await sees(tx, events)
            if seen:
                best = max if wanted.backwards else min
                return best(seen, key=lambda event: places[event.nid])
        return None

    # Gaps

    async def _fetched_nearer(self, room: Room, wanted: Wanted, found: StoredEvent | None) -> bool:
        """Fetch history if other servers know a nearer event where some is missing here; whether any came."""
        if self.servers is None or not room.is_alive or await self._gap(room, wanted) is None:
            return False
        nearest = await self._asked(room, wanted)
        if nearest is None or (
            found is not None and wanted.distance(nearest[1]) >= wanted.distance(found.pdu.origin_server_ts)
        ):
            return False
        fetched = False
        for _ in range(limits.timestamp_backfill_rounds_max):
            if (await self.reader.found((nearest[0],))).get(nearest[0]) is not None and await self._is_placed(nearest[0]):
                break
            place = await self._gap(room, wanted)
            if place is None or not await self.backfill.fetch_before(room, place):
                break
            fetched = True
            await self._catch_up()
        return fetched

    async def _is_placed(self, event_id: EventId) -> bool:
        event = (await self.reader.found((event_id,))).get(event_id)
        return event is not None and event.ordering is not None

    async def _gap(self, room: Room, wanted: Wanted) -> int | None:
        """The place before which history is missing that may hold the event; None if nothing is missing there.

        Where events on both sides of the time are here, and in the order of their times, it must be between them. Clocks
        differ: otherwise it may be anywhere.
        """
        async with self.database.read() as tx:
            near = await self._place(tx, room, wanted)
            far = await self._place(tx, room, wanted.opposite)
            low, high = (near, far) if wanted.backwards else (far, near)
            if low is None or high is None or low >= high:
                low, high = 0, FOREVER
            elif not wanted.backwards:
                first = await catalogue_tables.first_missing_from(tx, room.room_nid, low + 1)
                return first if first is not None and first <= high else None
            last = await tables.missing_before(tx, room.room_nid, high, 1)
        return last[0][1] if last and last[0][1] > low else None

    async def _place(self, tx: ReadTx, room: Room, wanted: Wanted) -> int | None:
        fetch = catalogue_tables.shown_until if wanted.backwards else catalogue_tables.shown_from
        edge = (FOREVER, FOREVER) if wanted.backwards else (-1, -1)
        rows = await fetch(tx, room.room_nid, wanted.ts, edge, 1)
        return rows[0][1] if rows else None

    async def _asked(self, room: Room, wanted: Wanted) -> tuple[EventId, int] | None:
        """What the servers that have the most users in the room say; the first answer that can be true."""
        assert self.servers is not None
        counts = room.members.servers
        by_size = sorted(counts, key=lambda name: (-counts[name], name))
        for server in [name for name in by_size if name != self.reader.server_name][: limits.backfill_servers_max]:
            try:
                event_id, ts = await self.servers.timestamp_to_event(
                    server, room.room_id, wanted.ts, backwards=wanted.backwards
                )
            except PeerError as error:
                logger.info("A server knew no event by its time.", extra={"server_name": server, "cause": error.reason})
                continue
            if wanted.allows(ts):
                return event_id, ts
        return None


def _answer(found: StoredEvent | None, wanted: Wanted) -> tuple[EventId, int]:
    if found is None:
        direction = "backward" if wanted.backwards else "forward"
        raise NotFound(f"Unable to find event from {wanted.ts} in {direction} direction.")
    return found.event_id, found.pdu.origin_server_ts
