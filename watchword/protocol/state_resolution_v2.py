"""State resolution 2 («Reloaded», room versions 2-11) and 2.1 (room version 12).

First the events that can take a right away (power events), ordered so that who ranks higher goes first and causes precede
effects, are applied one after the other wherever the authorisation rules allow; then the rest, ordered by the power
levels they were sent under. 2.1 begins from nothing instead of the unconflicted state and takes in the events between
conflicted ones, so that a state cannot fall back to before them.

Where the text leaves room, this does what the servers of the network do: causes are followed only inside the full
conflicted set. Deliberately absent: walks over whole auth chains (`auth_difference`).

Spec: rooms/v2#state-resolution, rooms/v12#state-resolution
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from math import inf

from watchword.protocol import event_types
from watchword.protocol.auth_difference import AuthCycle, MissingAuthEvent, auth_difference, conflicted_subgraph
from watchword.protocol.auth_event_selection import auth_state_keys
from watchword.protocol.auth_rules import check
from watchword.protocol.auth_state import (
    CREATE_KEY,
    JOIN_RULES_KEY,
    POWER_LEVELS_KEY,
    AuthState,
    parse_power_levels,
    stated_membership,
)
from watchword.protocol.events import Pdu, StateKey, StateMap
from watchword.protocol.ids import EventId
from watchword.protocol.power_levels import PowerLevels
from watchword.protocol.room_versions import RoomVersion, StateResolution


@dataclass(frozen=True, slots=True)
class Conflict:
    """What is to be resolved. auth_difference: None if it is to be found by walking."""

    states: Sequence[StateMap]
    unconflicted: Mapping[StateKey, EventId]
    conflicted: Mapping[StateKey, set[EventId]]
    auth_difference: Collection[EventId] | None


def resolve(
    conflict: Conflict, events: Mapping[EventId, Pdu], version: RoomVersion, rejected: Collection[EventId]
) -> dict[StateKey, EventId]:
    """The merged state. Raises MissingAuthEvent and AuthCycle."""
    from_nothing = version.state_resolution is StateResolution.V2_1
    full = _full_conflicted_set(conflict, events, with_subgraph=from_nothing)
    base: Mapping[StateKey, EventId] = {} if from_nothing else conflict.unconflicted
    resolution = _Resolution(events, version, rejected, full, base)
    first = resolution.power_ordering()
    resolution.apply(first)
    resolution.apply(resolution.mainline_ordering(full.difference(first)))
    resolution.state.update(conflict.unconflicted)
    return resolution.state


def _full_conflicted_set(conflict: Conflict, events: Mapping[EventId, Pdu], *, with_subgraph: bool) -> set[EventId]:
    found: set[EventId] = set().union(*conflict.conflicted.values())
    subgraph = conflicted_subgraph(found, events) if with_subgraph else set()
    difference = conflict.auth_difference
    if difference is None:
        difference = auth_difference(conflict.states, conflict.unconflicted, conflict.conflicted, events)
    full = found.union(subgraph, difference)
    missing = full - events.keys()
    if missing:
        raise MissingAuthEvent(missing)
    return full


def is_power_event(pdu: Pdu) -> bool:
    """Whether this state event may remove someone's ability to do something. Spec: rooms/v2#definitions"""
    if pdu.type in (event_types.POWER_LEVELS, event_types.JOIN_RULES):
        return True
    return pdu.type == event_types.MEMBER and pdu.sender != pdu.state_key and pdu.content.get("membership") in ("leave", "ban")


@dataclass(slots=True)
class _Resolution:
    """One resolution under way. state: what has been resolved so far; the other containers are memos."""

    events: Mapping[EventId, Pdu]
    version: RoomVersion
    rejected: Collection[EventId]
    full: Collection[EventId]
    base: Mapping[StateKey, EventId]
    state: dict[StateKey, EventId] = field(init=False)
    levels: dict[tuple[EventId | None, EventId | None], PowerLevels] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = dict(self.base)

    def event(self, event_id: EventId) -> Pdu:
        pdu = self.events.get(event_id)
        if pdu is None:
            raise MissingAuthEvent({event_id, *self._missing()})
        return pdu

    def _missing(self) -> Iterable[EventId]:
        """Everything absent that authorising the conflicted events may ask for, so that one more try is enough."""
        for event_id in self.full:
            pdu = self.events[event_id]
            needed = auth_state_keys(pdu.type, pdu.state_key, pdu.sender, pdu.content, self.version)
            for other in (*pdu.auth_events, *(self.base[key] for key in needed if key in self.base)):
                if other not in self.events:
                    yield other

    def create_of(self, pdu: Pdu) -> Pdu | None:
        """The create event that an event's room ID names (version 12), or that it cites."""
        if self.version.room_id_is_create_hash:
            return self.event(EventId("$" + pdu.room_id[1:]))
        return self._cited(pdu, CREATE_KEY)

    def _cited(self, pdu: Pdu, key: StateKey) -> Pdu | None:
        for event_id in pdu.auth_events:
            cited = self.event(event_id)
            if cited.type == key[0] and cited.state_key == key[1]:
                return cited
        return None

    def _levels(self, power_levels: Pdu | None, create: Pdu | None) -> PowerLevels:
        key = (_id_of(power_levels), _id_of(create))
        levels = self.levels.get(key)
        if levels is None:
            levels = self.levels[key] = parse_power_levels(power_levels, create, self.version)
        return levels

    # Reverse topological power ordering

    def power_ordering(self) -> list[EventId]:
        """The power events and their causes within the full conflicted set, causes first, then by rank, time and ID.

        Spec: rooms/v2#definitions (reverse topological power ordering)
        """
        causes = self._causes()
        effects: dict[EventId, list[EventId]] = {}
        for event_id, its_causes in causes.items():
            for cause in its_causes:
                effects.setdefault(cause, []).append(event_id)
        waiting_for = {event_id: len(its_causes) for event_id, its_causes in causes.items()}
        ready = [self._rank(event_id) for event_id, count in waiting_for.items() if not count]
        heapify(ready)
        ordered = []
        while ready:
            event_id = heappop(ready)[-1]
            ordered.append(event_id)
            for effect in effects.get(event_id, ()):
                waiting_for[effect] -= 1
                if not waiting_for[effect]:
                    heappush(ready, self._rank(effect))
        if len(ordered) < len(causes):
            raise AuthCycle("Auth events form a circle.")
        return ordered

    def _causes(self) -> dict[EventId, set[EventId]]:
        """Each power event, and whatever it leads to within the full conflicted set, with its direct causes there."""
        full = self.full
        causes: dict[EventId, set[EventId]] = {}
        waiting = [event_id for event_id in full if is_power_event(self.events[event_id])]
        while waiting:
            event_id = waiting.pop()
            if event_id not in causes:
                causes[event_id] = {cited for cited in self.events[event_id].auth_events if cited in full}
                waiting.extend(causes[event_id])
        return causes

    def _rank(self, event_id: EventId) -> tuple[int, int, EventId]:
        """The key of the ordering; the sender's level is that of the event's own auth events."""
        pdu = self.events[event_id]
        power_levels = self._cited(pdu, POWER_LEVELS_KEY)
        needs_create = power_levels is None or self.version.privileged_creators
        levels = self._levels(power_levels, self.create_of(pdu) if needs_create else None)
        return -levels.user_level(pdu.sender), pdu.origin_server_ts, event_id

    # Mainline ordering

    def mainline_ordering(self, event_ids: Iterable[EventId]) -> list[EventId]:
        """By the power levels that an event was sent under, older ones first, then by time and ID.

        Spec: rooms/v2#definitions (mainline ordering)
        """
        positions: dict[EventId, float] = {}
        current = self.state.get(POWER_LEVELS_KEY)
        while current is not None:
            if current in positions:
                raise AuthCycle("Power levels form a circle.")
            positions[current] = len(positions)
            parent = self._cited(self.event(current), POWER_LEVELS_KEY)
            current = _id_of(parent)

        def key(event_id: EventId) -> tuple[float, int, EventId]:
            pdu = self.events[event_id]
            return -self._position(pdu, positions), pdu.origin_server_ts, event_id

        return sorted(event_ids, key=key)

    def _position(self, pdu: Pdu, positions: dict[EventId, float]) -> float:
        """Where the closest power-levels ancestor stands in the mainline; ∞ if none does. Remembers for those passed."""
        passed: dict[EventId, None] = {}
        position = inf
        parent = self._cited(pdu, POWER_LEVELS_KEY)
        while parent is not None:
            known = positions.get(parent.event_id)
            if known is not None:
                position = known
                break
            if parent.event_id in passed:
                raise AuthCycle("Power levels form a circle.")
            passed[parent.event_id] = None
            parent = self._cited(parent, POWER_LEVELS_KEY)
        positions.update(dict.fromkeys(passed, position))
        return position

    # Iterative auth checks

    def apply(self, event_ids: Iterable[EventId]) -> None:
        """Take each event into the state if the state so far allows it. Spec: rooms/v2#definitions (iterative auth checks)"""
        for event_id in event_ids:
            pdu = self.events[event_id]
            key = pdu.state_address
            if key is not None and check(pdu, self._auth_state(pdu)) is None:
                self.state[key] = event_id

    def _auth_state(self, pdu: Pdu) -> AuthState:
        """The state so far; for keys missing there, the event's own auth events unless rejected."""
        own = {
            (cited.type, cited.state_key): cited
            for cited in map(self.event, pdu.auth_events)
            if cited.event_id not in self.rejected
        }

        def look_up(key: StateKey) -> Pdu | None:
            event_id = self.state.get(key)
            return own.get(key) if event_id is None else self.event(event_id)

        create = self.create_of(pdu) if self.version.room_id_is_create_hash else look_up(CREATE_KEY)
        power_levels = look_up(POWER_LEVELS_KEY)
        return AuthState.build(
            self.version,
            create,
            power_levels,
            look_up(JOIN_RULES_KEY),
            lambda user_id: stated_membership(look_up((event_types.MEMBER, user_id))),
            lambda token: look_up((event_types.THIRD_PARTY_INVITE, token)),
            self._levels(power_levels, create),
        )


def _id_of(pdu: Pdu | None) -> EventId | None:
    return None if pdu is None else pdu.event_id
