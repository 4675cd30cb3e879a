"""Whether events are allowed by the auth events that they themselves cite, and in which order to ask; pure.

This is the fourth check on receipt. The state before an event, and the current state, are asked elsewhere (`intake`).

Spec: server-server-api#checks-performed-on-receipt-of-a-pdu
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from watchword.protocol import event_types
from watchword.protocol.auth_rules import check, check_auth_events
from watchword.protocol.auth_state import (
    CREATE_KEY,
    JOIN_RULES_KEY,
    POWER_LEVELS_KEY,
    AuthState,
    parse_power_levels,
    stated_membership,
)
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId, RoomId
from watchword.protocol.power_levels import PowerLevels
from watchword.protocol.room_versions import RoomVersion


def create_id_of(room_id: RoomId) -> EventId:
    """The create event that a room ID of version 12 names. Spec: rooms/v12#room-ids"""
    return EventId("$" + room_id[1:])


@dataclass(slots=True)
class OwnAuth:
    """Judges events of one room, each after its auth events. Power levels are parsed once per event that sets them.

    pdus: every event that may be cited, and in version 12 the create event. rejected: those that were rejected.
    """

    version: RoomVersion
    pdus: dict[EventId, Pdu] = field(default_factory=dict)
    rejected: set[EventId] = field(default_factory=set)
    _levels: dict[tuple[EventId | None, EventId | None], PowerLevels] = field(default_factory=dict)

    def lacks(self, pdu: Pdu) -> list[EventId]:
        """Which of the events that judging this one needs are not here."""
        return [event_id for event_id in needed_for(pdu, self.version) if event_id not in self.pdus]

    def judge(self, pdu: Pdu) -> str | None:
        """Why the event is to be rejected, or None. Everything that it needs must be here."""
        if pdu.type == event_types.CREATE:
            return check_auth_events(pdu, [self.pdus[cited] for cited in pdu.auth_events], self.version, pdu) or check(
                pdu, AuthState.of({}, self.version)
            )
        cited = [self.pdus[event_id] for event_id in pdu.auth_events]
        create = self._create(pdu, cited)
        if create is None:
            return "The create event is not among the auth events."
        reason = check_auth_events(pdu, cited, self.version, create, self.rejected)
        return reason or check(pdu, self._state(cited, create))

    def _create(self, pdu: Pdu, cited: Sequence[Pdu]) -> Pdu | None:
        if self.version.room_id_is_create_hash:
            return self.pdus[create_id_of(pdu.room_id)]
        return next((event for event in cited if event.state_address == CREATE_KEY), None)

    def _state(self, cited: Sequence[Pdu], create: Pdu) -> AuthState:
        state: dict[StateKey, Pdu] = {event.state_address: event for event in cited if event.state_address is not None}
        state[CREATE_KEY] = create
        power_levels = state.get(POWER_LEVELS_KEY)
        key = (None if power_levels is None else power_levels.event_id, create.event_id)
        levels = self._levels.get(key)
        if levels is None:
            levels = self._levels[key] = parse_power_levels(power_levels, create, self.version)
        return AuthState.build(
            self.version,
            create,
            power_levels,
            state.get(JOIN_RULES_KEY),
            lambda user_id: stated_membership(state.get((event_types.MEMBER, user_id))),
            lambda token: state.get((event_types.THIRD_PARTY_INVITE, token)),
            levels,
        )

    def take(self, pdu: Pdu) -> str | None:
        """Judge an event and remember it for those that cite it."""
        reason = self.judge(pdu)
        self.pdus[pdu.event_id] = pdu
        if reason is not None:
            self.rejected.add(pdu.event_id)
        return reason


def needed_for(pdu: Pdu, version: RoomVersion) -> list[EventId]:
    """The events without which this one cannot be judged."""
    if version.room_id_is_create_hash and pdu.type != event_types.CREATE:
        return [*pdu.auth_events, create_id_of(pdu.room_id)]
    return list(pdu.auth_events)


def causes_first(pdus: Iterable[Pdu], causes_of: Callable[[Pdu], Collection[EventId]]) -> list[Pdu]:
    """Each event after those of the given ones that it cites, otherwise in the given order.

    Events of a circle, which only opaque event IDs make possible, are left out, and so is what comes after them.
    """
    given: Mapping[EventId, Pdu] = {pdu.event_id: pdu for pdu in pdus}
    effects: dict[EventId, list[EventId]] = {}
    waiting_for: dict[EventId, int] = {}
    for event_id, pdu in given.items():
        causes = {cited for cited in causes_of(pdu) if cited in given}
        waiting_for[event_id] = len(causes)
        for cause in causes:
            effects.setdefault(cause, []).append(event_id)
    ready = [event_id for event_id, count in waiting_for.items() if not count]
    ordered: list[Pdu] = []
    for event_id in ready:  # grows while it is walked
        ordered.append(given[event_id])
        for effect in effects.get(event_id, ()):
            waiting_for[effect] -= 1
            if not waiting_for[effect]:
                ready.append(effect)
    return ordered
