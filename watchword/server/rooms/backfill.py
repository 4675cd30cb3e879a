"""Fetches history that is not here: what comes before a gap in a room's timeline, from servers that are in the room.

Where gaps are is known from `missing_events`: events that ours cite. What a server sends is believed only as far as it leads
up to those, is signed, and is allowed by its auth events and the state before it. It gets places just before the event that
cites it, is not logged, and changes no current state: so no incremental /sync gives it, nor says `limited` for its sake; who
wants to see it pages back. The state before the oldest of a batch is what the server says; those after it are worked out, and
written down each as what is laid over the state before the one below it.

Spec: server-server-api#backfilling-and-retrieving-missing-events
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import PeerError
from watchword.protocol.events import Pdu, StateMap
from watchword.protocol.ids import EventId, RoomId, ServerName, domain_of
from watchword.server.rooms import graph_tables, records, tables
from watchword.server.rooms.append import OldPdu
from watchword.server.rooms.fetching import Asking, Budget, CannotFetch, Fetching, leading_up_to
from watchword.server.rooms.forks import UnresolvableState
from watchword.server.rooms.history import difference, state_after, with_event
from watchword.server.rooms.incoming import Verified
from watchword.server.rooms.intake import Intake
from watchword.server.rooms.own_auth import OwnAuth
from watchword.server.rooms.room import Room
from watchword.storage import Tx

logger = logging.getLogger(__name__)

_GAP_EVENTS_MAX = 20


@dataclass(frozen=True, slots=True)
class Gap:
    """Missing events that come before one place in the timeline."""

    event_ids: Sequence[EventId]
    before_ordering: int


@dataclass(frozen=True, slots=True)
class _Placed:
    """An event of the batch that has its place: its number, and the state before it."""

    nid: int
    before: StateMap


@dataclass(frozen=True)
class Backfiller:
    """Fills gaps. Fits `pages.Backfill`."""

    intake: Intake
    fetching: Fetching
    server_name: ServerName
    clock: Clock
    _pauses: dict[RoomId, int] = field(default_factory=dict)

    async def fetch_before(self, room: Room, ordering: int) -> bool:
        """Fetch some events that come before a place in the timeline; whether any came."""
        if not room.is_alive or self._pauses.get(room.room_id, 0) > self.clock.monotonic_ms():
            return False
        gap = await self._gap(room, ordering)
        if gap is None:
            return False
        async with room.receiving:
            # Whoever had the lock before may have filled it.
            gap = await self._gap(room, ordering)
            if gap is None:
                return True
            for server in self._servers(room, gap):
                if await self._fetch_from(Asking(server, room, Budget(self.clock)), gap):
                    self._pauses.pop(room.room_id, None)
                    return True
        self._pause(room.room_id)
        return False

    def _pause(self, room_id: RoomId) -> None:
        """Leave a room's gaps alone for a while: nobody could fill them."""
        now_ms = self.clock.monotonic_ms()
        for other in [each for each, until_ms in self._pauses.items() if until_ms <= now_ms]:
            del self._pauses[other]
        self._pauses[room_id] = now_ms + limits.backfill_pause_ms

    async def _gap(self, room: Room, ordering: int) -> Gap | None:
        """The gap nearest before a place."""
        async with self.intake.writer.database.read() as tx:
            rows = await tables.missing_before(tx, room.room_nid, ordering, _GAP_EVENTS_MAX)
        if not rows:
            return None
        return Gap([event_id for event_id, before in rows if before == rows[0][1]], rows[0][1])

    def _servers(self, room: Room, gap: Gap) -> list[ServerName]:
        """Whom to ask: servers with many users first, for they are likely to have been there long."""
        named = [domain_of(event_id) for event_id in gap.event_ids]
        by_size = sorted(room.members.servers, key=lambda name: (-room.members.servers[name], name))
        candidates = dict.fromkeys([*(name for name in named if name in room.members.servers), *by_size])
        return [name for name in candidates if name != self.server_name][: limits.backfill_servers_max]

    async def _fetch_from(self, asking: Asking, gap: Gap) -> bool:
        room = asking.room
        try:
            asking.budget.spend()
            raws = await self.fetching.servers.backfill(asking.server, room.room_id, gap.event_ids, limits.backfill_page_max)
            found = await self.fetching.checks.take(raws[: limits.backfill_page_max], asking.kind, references_bounded=False)
            batch = await self._new(leading_up_to(gap.event_ids, found))
            if not batch:
                return False
            await self.fetching.auth_events(asking, [event.pdu for event in batch])
            told = await self._told(asking, batch)
        except (PeerError, CannotFetch) as error:
            extra = {"room_id": room.room_id, "server_name": asking.server, "cause": str(error)}
            logger.info("History could not be fetched.", extra=extra)
            return False
        return await self._store(room, gap, batch, told)

    async def _new(self, batch: Sequence[Verified]) -> list[Verified]:
        """Those that have no place yet."""
        async with self.intake.writer.database.read() as tx:
            known = await tables.known_events(tx, [event.pdu.event_id for event in batch])
        return [event for event in batch if event.pdu.event_id not in known or known[event.pdu.event_id][1] & records.OUTLIER]

    async def _told(self, asking: Asking, batch: Sequence[Verified]) -> Mapping[EventId, StateMap]:
        """The state before the events of the batch that build on what is not here."""
        told: dict[EventId, StateMap] = {}
        inside = {event.pdu.event_id for event in batch}
        for event in batch:
            outside = [each for each in event.pdu.prev_events if each not in inside]
            if not outside:
                continue
            async with self.intake.writer.database.read() as tx:
                known = await tables.known_events(tx, outside)
            if any(known.get(each, (0, records.OUTLIER))[1] & records.OUTLIER for each in outside):
                told[event.pdu.event_id] = await self.fetching.state_before(asking, event.pdu)
        return told

    async def _store(self, room: Room, gap: Gap, batch: Sequence[Verified], told: Mapping[EventId, StateMap]) -> bool:
        writer = self.intake.writer
        async with writer.registry.locked(room.room_id) as locked:
            if locked is None or not locked.is_alive:
                return False
            async with writer.appending(locked) as (tx, durable):
                count = await _Placing(self.intake, tx, locked, gap, told).place(batch)
        await durable()
        return count > 0


class _Placing:
    """One batch being written."""

    def __init__(self, intake: Intake, tx: Tx, room: Room, gap: Gap, told: Mapping[EventId, StateMap]) -> None:
        self._intake = intake
        self._tx = tx
        self._room = room
        self._gap = gap
        self._told = told
        self._placed: dict[EventId, _Placed] = {}
        self._after: dict[EventId, StateMap] = {}
        self._last: _Placed | None = None

    async def place(self, batch: Sequence[Verified]) -> int:
        """Place the batch, oldest first, just before the gap's end; how many."""
        base_position = records.position_of(self._gap.before_ordering) - 1
        floor = records.ordering_of(base_position)
        lowest = await graph_tables.lowest_ordering_between(self._tx, self._room.room_nid, floor, self._gap.before_ordering)
        top = self._gap.before_ordering if lowest is None else lowest
        if top - len(batch) <= floor:
            return 0
        for number, event in enumerate(batch):
            try:
                await self._place_one(event, top - len(batch) + number, base_position)
            except UnresolvableState as error:
                logger.warning("An old event could not be placed.", extra={"cause": str(error)})
        await tables.delete_missing(self._tx, self._room.room_nid, self._placed)
        return len(self._placed)

    async def _place_one(self, event: Verified, ordering: int, base_position: int) -> None:
        pdu, room = event.pdu, self._room
        before = await self._before(pdu)
        if before is None:
            return
        flags = await self._flags(pdu, before)
        if self._last is None:
            on_line = await tables.state_at(self._tx, room.room_nid, base_position)
            base, overlay = base_position, difference(on_line, before)
        else:
            base, overlay = -self._last.nid, difference(self._last.before, before)
        old = OldPdu(pdu, event.json, flags, ordering, before, base, overlay)
        nid = await self._intake.writer.appender.append_old(self._tx, room, old)
        self._last = self._placed[pdu.event_id] = _Placed(nid, before)
        self._after[pdu.event_id] = before if flags & records.REJECTED else with_event(before, pdu)
        known = await tables.known_events(self._tx, pdu.prev_events)
        missing = [each for each in pdu.prev_events if known.get(each, (0, records.OUTLIER))[1] & records.OUTLIER]
        if missing:
            noted = missing[: limits.missing_events_noted_max]
            await tables.insert_missing(self._tx, room.room_nid, noted, ordering)

    async def _before(self, pdu: Pdu) -> StateMap | None:
        states: list[StateMap] = [self._told[pdu.event_id]] if pdu.event_id in self._told else []
        for event_id in pdu.prev_events:
            if event_id in self._after:
                states.append(self._after[event_id])
                continue
            event = await self._intake.writer.events.one(self._tx, event_id)
            if event is not None and not event.flags & records.OUTLIER:
                states.append(await state_after(self._tx, self._room.room_nid, event))
        if not states and pdu.prev_events:
            return None
        return await self._intake.forks.resolve(self._tx, self._room, states)

    async def _flags(self, pdu: Pdu, before: StateMap) -> int:
        auth = OwnAuth(self._room.version)
        cited = await self._intake.writer.events.many(self._tx, pdu.auth_events)
        create_id = self._room.state.get(("m.room.create", ""))
        if create_id is not None:
            cited.update(await self._intake.writer.events.many(self._tx, (create_id,)))
        for event_id, event in cited.items():
            auth.pdus[event_id] = event.pdu
            if event.flags & records.REJECTED:
                auth.rejected.add(event_id)
        if auth.lacks(pdu) or auth.judge(pdu) is not None:
            return records.REJECTED | records.UNAUTHORISED
        if await self._intake.reason_against(self._tx, self._room, pdu, before) is not None:
            return records.REJECTED
        return 0
