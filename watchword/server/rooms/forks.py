"""Where events that do not simply follow the room's end belong: the state before them, and what they do to the current one.

The shell around `protocol.state_resolution`: it finds the states after the events that an event cites, and gives
resolution the few events that it needs. The whole chains of a large room are never loaded: differences are found among
numbers, by walks that stop where nothing in conflict can lie below.
Deliberately absent: whether an event is allowed (`intake`).

Spec: server-server-api#room-state-resolution
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from watchword.base import limits
from watchword.base.errors import WatchwordError
from watchword.protocol.auth_difference import MissingAuthEvent
from watchword.protocol.events import Pdu, StateKey, StateMap
from watchword.protocol.ids import EventId
from watchword.protocol.room_versions import StateResolution
from watchword.protocol.state_resolution import conflicted, resolve_state
from watchword.server.rooms import graph_tables, records, tables
from watchword.server.rooms.append import Fork
from watchword.server.rooms.history import state_after, with_event
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import EventStore
from watchword.storage import ReadTx

_ROUNDS_MAX = 100
_CHAIN_LOADED_MAX = 5_000
_HIDDEN_STEPS_MAX = 100


class UnresolvableState(WatchwordError):
    """Events that resolution needs are not here, which no event should have been accepted without."""


@dataclass(frozen=True)
class Forks:
    """Finds states. Every `tx` sees what was written last in the room, whose lock is held."""

    events: EventStore

    async def state_before(self, tx: ReadTx, room: Room, prev_events: Collection[EventId]) -> StateMap | None:
        """The state before an event that cites these; not to be changed. None if the state after one of them is not known.

        Raises UnresolvableState.
        """
        if room.extremities.keys() == set(prev_events):
            return room.state
        states = []
        for event_id in prev_events:
            state = await self.state_after(tx, room, event_id)
            if state is None:
                return None
            states.append(state)
        return await self.resolve(tx, room, states)

    async def state_after(self, tx: ReadTx, room: Room, event_id: EventId) -> StateMap | None:
        """The state after one event; None if it is not known."""
        if event_id in room.extremities:
            return room.state if len(room.extremities) == 1 else room.forks[event_id]
        event = await self.events.one(tx, event_id)
        if event is None or event.flags & records.OUTLIER:
            return None
        return await state_after(tx, room.room_nid, event, room)

    async def fork(self, tx: ReadTx, room: Room, pdu: Pdu, before: StateMap, *, is_cited: bool = False) -> Fork | None:
        """What an allowed event with this state before it does to the room; None if there is no room for its branch.

        is_cited: events that are here cite it already: it comes late and is no extremity.
        Raises UnresolvableState.
        """
        ended = await self._ended(tx, room, pdu)
        if is_cited and not ended:
            return unmoved(room, before)
        remaining = {event_id: depth for event_id, depth in room.extremities.items() if event_id not in ended}
        if len(remaining) >= limits.extremities_max:
            return None if pdu.state_key is not None else unmoved(room, before)
        after = with_event(before, pdu)
        if not remaining:
            return Fork(before, after, {pdu.event_id: pdu.depth})
        states: dict[EventId, StateMap] = {}
        for event_id in remaining:
            # The room's own map goes on changing: a fork keeps a copy.
            states[event_id] = dict(room.state) if len(room.extremities) == 1 else room.forks[event_id]
        if not is_cited:
            states[pdu.event_id] = dict(after) if after is room.state else after
            remaining[pdu.event_id] = pdu.depth
        same = {id(state) for state in states.values()} == {id(state) for state in room.forks.values()}
        # A message on a branch changes no state: what was resolved stays so.
        resolved = room.state if same else await self.resolve(tx, room, list(states.values()))
        return Fork(before, resolved, remaining, states if len(remaining) > 1 else {})

    async def _ended(self, tx: ReadTx, room: Room, pdu: Pdu) -> set[EventId]:
        """Which extremities the event comes after: those it cites, directly or through events that are not shown."""
        ended: set[EventId] = set()
        waiting = list(pdu.prev_events)
        seen = set(waiting)
        for _ in range(_HIDDEN_STEPS_MAX):
            if not waiting:
                break
            event_id = waiting.pop()
            if event_id in room.extremities:
                ended.add(event_id)
                continue
            event = await self.events.one(tx, event_id)
            if event is not None and event.flags & (records.REJECTED | records.SOFT_FAILED):
                waiting.extend(cited for cited in event.pdu.prev_events if cited not in seen)
                seen.update(event.pdu.prev_events)
        return ended

    async def resolve(self, tx: ReadTx, room: Room, states: Sequence[StateMap]) -> StateMap:
        """One state from several of a room; the same object if they are equal. Raises UnresolvableState.

        Spec: rooms/v12#state-resolution
        """
        distinct: list[StateMap] = []
        for state in states:
            if not any(state is other or state == other for other in distinct):
                distinct.append(state)
        if len(distinct) < 2:
            return distinct[0] if distinct else {}
        unconflicted, conflicts = conflicted(distinct)
        resolution = _Loading(self.events, tx, room)
        difference = await resolution.begin(distinct, unconflicted, conflicts)
        for _ in range(_ROUNDS_MAX):
            try:
                return resolve_state(
                    distinct,
                    resolution.pdus,
                    room.version,
                    auth_difference=difference,
                    rejected=resolution.rejected,
                )
            except MissingAuthEvent as missing:
                await resolution.load_missing(missing.event_ids)
        raise UnresolvableState("State resolution asked for more and more events.")


def unmoved(room: Room, before: StateMap) -> Fork:
    """An event that changes neither the extremities nor the current state."""
    return Fork(before, room.state, room.extremities, room.forks)


class _Loading:
    """The events that one resolution has been given."""

    def __init__(self, events: EventStore, tx: ReadTx, room: Room) -> None:
        self._events = events
        self._tx = tx
        self._room = room
        self.pdus: dict[EventId, Pdu] = {}
        self.rejected: set[EventId] = set()

    async def begin(
        self, states: Sequence[StateMap], unconflicted: StateMap, conflicts: Mapping[StateKey, set[EventId]]
    ) -> Collection[EventId] | None:
        """Load what is in conflict; the auth difference, or None where the algorithm has none."""
        in_conflict = set().union(*conflicts.values())
        algorithm = self._room.version.state_resolution
        known = {event_id: nid for event_id, (nid, _) in (await tables.known_events(self._tx, in_conflict)).items()}
        if len(known) < len(in_conflict):
            raise UnresolvableState("An event of a room's state is not here.")
        if algorithm is StateResolution.V1:
            await self._load(known.values())
            return None
        chains = []
        for state in states:
            seeds = {known[state[key]] for key in conflicts if key in state}
            chains.append(seeds | await graph_tables.auth_chain(self._tx, seeds))
        everything = set[int]().union(*chains)
        difference = everything.difference(chains[0].intersection(*chains))
        if difference:
            difference -= await self._unconflicted_chain(unconflicted, set(known.values()), min(difference))
        if algorithm is StateResolution.V2_1:
            await self._load(everything)
        else:
            await self._load(difference.union(known.values()))
        names = await tables.event_ids_by_nid(self._tx, difference)
        return set(names.values())

    async def _unconflicted_chain(self, unconflicted: StateMap, in_conflict: set[int], floor: int) -> set[int]:
        """What the unconflicted state's auth chains hold, from floor up: what lies below cannot lead up to it."""
        current = self._room.state
        others = {event_id for key, event_id in unconflicted.items() - current.items()}
        seeds = {nid for nid, _ in (await tables.known_events(self._tx, others)).values()}
        agreed: set[EventId] | None = None
        for nid, event_id in await graph_tables.line_events(self._tx, self._room.room_nid, floor):
            if nid not in in_conflict:
                agreed = set(unconflicted.values()) if agreed is None else agreed
                if event_id in agreed:
                    seeds.add(nid)
        return seeds | await graph_tables.auth_chain(self._tx, seeds, floor)

    async def _load(self, nids: Collection[int]) -> None:
        rows = await tables.events_by_nid(self._tx, nids)
        for event in await self._events.decoded(self._tx, list(rows.values())):
            self.pdus[event.event_id] = event.pdu
            if event.flags & records.REJECTED:
                self.rejected.add(event.event_id)

    async def load_missing(self, event_ids: Collection[EventId]) -> None:
        """Load what was asked for, and what it will lead to if that is not too much."""
        known = {nid for nid, _ in (await tables.known_events(self._tx, event_ids)).values()}
        if len(known) < len(event_ids):
            raise UnresolvableState("An event of an auth chain is not here.")
        chain = await graph_tables.auth_chain(self._tx, known)
        await self._load(known | chain if len(chain) <= _CHAIN_LOADED_MAX else known)
