"""Fetches from other servers what an event needs before it can be judged: auth events, earlier events, the state before it.

Whatever comes is verified and judged by its own auth events; a server that answers with too much, with nothing of use, or
for ever, costs a bounded number of calls and no more than its own event.
Deliberately absent: locks (`receiver` lets one at a time do this per room, and never under the room's lock).

Spec: server-server-api#retrieving-events, server-server-api#backfilling-and-retrieving-missing-events
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import PeerError, RemoteProtocolError, WatchwordError
from watchword.protocol import event_types
from watchword.protocol.events import Pdu, StateKey, StateMap, event_id_of
from watchword.protocol.ids import EventId, ServerName
from watchword.server.rooms import records, tables
from watchword.server.rooms.append import Appender
from watchword.server.rooms.incoming import IncomingChecks, RoomKind, Verified
from watchword.server.rooms.own_auth import OwnAuth, causes_first, needed_for
from watchword.server.rooms.ports import RemoteServers
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import EventStore
from watchword.storage import Database

logger = logging.getLogger(__name__)


class CannotFetch(WatchwordError):
    """The other server did not give what was needed. Its text is for the log and for that server."""


@dataclass(slots=True)
class Budget:
    """How often, and until when, other servers may still be asked for the sake of one transaction."""

    clock: Clock
    calls: int = limits.intake_calls_max
    until_ms: int = field(init=False)

    def __post_init__(self) -> None:
        self.until_ms = self.clock.monotonic_ms() + limits.intake_ms_max

    def spend(self) -> None:
        """Raise CannotFetch if there is nothing left."""
        self.calls -= 1
        if self.calls < 0 or self.clock.monotonic_ms() > self.until_ms:
            raise CannotFetch("Too much would have to be fetched first.")


@dataclass(frozen=True, slots=True)
class Asking:
    """Who is asked, about which room, and how much more."""

    server: ServerName
    room: Room
    budget: Budget

    @property
    def kind(self) -> RoomKind:
        """The room, for the first checks."""
        return RoomKind(self.room.room_id, self.room.version)


@dataclass(frozen=True)
class Fetching:
    """Fetches. Raises CannotFetch; everything that stands is stored as outliers before a method returns."""

    database: Database
    events: EventStore
    appender: Appender
    checks: IncomingChecks
    servers: RemoteServers

    # Auth events

    async def auth_events(self, asking: Asking, pdus: Sequence[Pdu]) -> None:
        """Have here what judging these events needs."""
        pool: dict[EventId, Verified] = {}
        wanted = await self._unknown(self._needs(asking, pdus), pool)
        if not wanted:
            return
        first = next((pdu for pdu in pdus if wanted & set(needed_for(pdu, asking.room.version))), None)
        if first is not None:
            raws = await self._ask_auth_chain(asking, first.event_id)
            await self._pool(asking, raws, pool)
        for _ in range(limits.events_fetched_singly_max):
            wanted = await self._unknown(self._needs(asking, [*pdus, *(event.pdu for event in pool.values())]), pool)
            if not wanted:
                break
            raw = await self._ask_event(asking, min(wanted))
            before = len(pool)
            await self._pool(asking, [raw], pool)
            if len(pool) == before:
                raise CannotFetch("An auth event is not what it was asked for as.")
        if wanted:
            raise CannotFetch("Too many auth events would have to be fetched.")
        await self.store(asking.room, pool.values())

    def _needs(self, asking: Asking, pdus: Iterable[Pdu]) -> set[EventId]:
        return {event_id for pdu in pdus for event_id in needed_for(pdu, asking.room.version)}

    async def _unknown(self, event_ids: set[EventId], pool: Mapping[EventId, Verified]) -> set[EventId]:
        wanted = {event_id for event_id in event_ids - pool.keys() if self.events.cached(event_id) is None}
        if not wanted:
            return wanted
        async with self.database.read() as tx:
            return wanted - (await tables.known_events(tx, wanted)).keys()

    async def _pool(
        self,
        asking: Asking,
        raws: Sequence[Mapping[str, Any]],
        pool: dict[EventId, Verified],
        lacking: set[EventId] | None = None,
    ) -> None:
        """Verify those events that are new. lacking: as in `IncomingChecks.take`."""
        if len(raws) > limits.auth_chain_events_max:
            raise CannotFetch("An auth chain is too long.")
        pool.update(await self.checks.take(await self._new(asking, raws), asking.kind, pool, lacking=lacking))

    async def _new(self, asking: Asking, raws: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Those that are not stored, so that nothing is verified twice. IDs are cheap beside signatures."""
        ids = {}
        for raw in raws:
            try:
                ids[event_id_of(raw, asking.room.version)] = raw
            except (RemoteProtocolError, KeyError, TypeError, AttributeError):
                continue
        async with self.database.read() as tx:
            known = await tables.known_events(tx, ids)
        return [raw for event_id, raw in ids.items() if event_id not in known]

    async def store(self, room: Room, events: Iterable[Verified]) -> None:
        """Judge events by their own auth events and store them as outliers; those whose auth events are absent are dropped."""
        given = {event.pdu.event_id: event for event in events}
        ordered = causes_first((event.pdu for event in given.values()), lambda pdu: needed_for(pdu, room.version))
        needed = {event_id for pdu in ordered for event_id in needed_for(pdu, room.version)} - given.keys()
        auth = OwnAuth(room.version)
        async with self.database.read() as tx:
            for event_id, event in (await self.events.many(tx, needed)).items():
                auth.pdus[event_id] = event.pdu
                if event.flags & records.REJECTED:
                    auth.rejected.add(event_id)
        rows = []
        for pdu in ordered:
            if not auth.lacks(pdu):
                rejected = auth.take(pdu) is not None
                flags = records.REJECTED | records.UNAUTHORISED if rejected else 0
                rows.append((pdu, given[pdu.event_id].json, flags))
        await self.store_outliers(room.room_nid, rows)

    async def store_outliers(self, room_nid: int, rows: Sequence[tuple[Pdu, bytes, int]]) -> None:
        """Store judged events, each after its auth events, a part at a time, so that others can write in between."""
        for start in range(0, len(rows), limits.events_stored_at_once):
            async with self.database.write() as tx:
                await self.appender.append_outliers(tx, room_nid, rows[start : start + limits.events_stored_at_once])

    # Earlier events

    async def missing_events(self, asking: Asking, pdu: Pdu) -> list[Verified]:
        """Events that lead up to one, oldest first; only such as it really builds on."""
        room = asking.room
        asking.budget.spend()
        min_depth = max(0, min(room.extremities.values(), default=0) - limits.missing_events_page_max)
        earliest = list(room.extremities)[: limits.prev_events_max]
        try:
            raws = await self.servers.get_missing_events(
                asking.server, room.room_id, earliest, [pdu.event_id], limits.missing_events_page_max, min_depth
            )
        except PeerError as error:
            logger.info("Missing events were not given.", extra={"room_id": room.room_id, "cause": str(error)})
            return []
        found = await self.checks.take(raws[: limits.missing_events_page_max], asking.kind)
        return leading_up_to(pdu.prev_events, found)

    # The state before an event

    async def state_before(self, asking: Asking, pdu: Pdu) -> StateMap:
        """The state before an event as another server says, every event of it here and judged by its auth events.

        What is not signed is left out. But what only cannot be checked now, as a key cannot be had, may well be true: without
        it the state would lack a member, or a ban, for ever; so then there is none.
        """
        asking.budget.spend()
        try:
            state_ids, chain_ids = await self.servers.state_ids(asking.server, asking.room.room_id, pdu.event_id)
        except PeerError as error:
            raise CannotFetch("The state before the event was not given.") from error
        if len(state_ids) > limits.state_events_max or len(chain_ids) > limits.auth_chain_events_max:
            raise CannotFetch("The state before the event is too large.")
        pool: dict[EventId, Verified] = {}
        lacking: set[EventId] = set()
        unknown = await self._unknown({*state_ids, *chain_ids}, pool)
        if len(unknown) > limits.events_fetched_singly_max:
            asking.budget.spend()
            try:
                state, chain = await self.servers.state(asking.server, asking.room.room_id, pdu.event_id)
            except PeerError as error:
                raise CannotFetch("The state before the event was not given.") from error
            await self._pool(asking, [*state, *chain], pool, lacking)
        else:
            for event_id in sorted(unknown):
                await self._pool(asking, [await self._ask_event(asking, event_id)], pool, lacking)
        await self.store(asking.room, pool.values())
        if lacking & unknown:
            raise CannotFetch("Keys that the state before the event is signed with could not be had.")
        return await self._state_of(asking, state_ids)

    async def _state_of(self, asking: Asking, state_ids: Collection[EventId]) -> StateMap:
        """The map of a list of state events, without what their own auth events do not allow."""
        state: dict[StateKey, EventId] = {}
        async with self.database.read() as tx:
            found = await self.events.many(tx, set(state_ids))
        for event_id, event in found.items():
            address = event.pdu.state_address
            if address is None or event.pdu.room_id != asking.room.room_id or event.flags & records.UNAUTHORISED:
                continue
            if address in state:
                raise CannotFetch("The state before the event names one address twice.")
            state[address] = event_id
        create_id = state.get((event_types.CREATE, ""))
        if create_id is None or create_id != asking.room.state.get((event_types.CREATE, "")):
            raise CannotFetch("The state before the event does not begin as the room does.")
        return state

    # Asking

    async def _ask_auth_chain(self, asking: Asking, event_id: EventId) -> Sequence[Mapping[str, Any]]:
        asking.budget.spend()
        try:
            return await self.servers.event_auth(asking.server, asking.room.room_id, event_id)
        except PeerError as error:
            logger.info("An auth chain was not given.", extra={"room_id": asking.room.room_id, "cause": str(error)})
            return ()

    async def _ask_event(self, asking: Asking, event_id: EventId) -> Mapping[str, Any]:
        asking.budget.spend()
        try:
            return await self.servers.event(asking.server, event_id)
        except PeerError as error:
            raise CannotFetch("An event that is needed was not given.") from error


def leading_up_to(event_ids: Collection[EventId], found: Mapping[EventId, Verified]) -> list[Verified]:
    """Those of the found events that these build on, oldest first."""
    reached: dict[EventId, Pdu] = {}
    waiting = list(event_ids)
    while waiting:
        event_id = waiting.pop()
        event = found.get(event_id)
        if event is not None and event_id not in reached:
            reached[event_id] = event.pdu
            waiting.extend(event.pdu.prev_events)
    return [found[pdu.event_id] for pdu in causes_first(reached.values(), lambda pdu: pdu.prev_events)]
