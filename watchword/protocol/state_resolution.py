"""State resolution: every server merges the same forks of a room into the same state.

This module finds what is in conflict and picks the algorithm of the room version: 1 (`state_resolution_v1`), 2 or 2.1
(`state_resolution_v2`). Deliberately absent: fetching events, and caching results.

Spec: server-server-api#room-state-resolution
"""

from collections.abc import Collection, Mapping, Sequence

from watchword.protocol import state_resolution_v1, state_resolution_v2
from watchword.protocol.auth_difference import AuthCycle, MissingAuthEvent
from watchword.protocol.events import Pdu, StateKey, StateMap
from watchword.protocol.ids import EventId
from watchword.protocol.room_versions import RoomVersion, StateResolution

__all__ = ["AuthCycle", "MissingAuthEvent", "conflicted", "resolve_state"]


def resolve_state(
    states: Sequence[StateMap],
    events: Mapping[EventId, Pdu],
    version: RoomVersion,
    *,
    auth_difference: Collection[EventId] | None = None,
    rejected: Collection[EventId] = (),
) -> dict[StateKey, EventId]:
    """Merge diverged room states into the one that every server will choose.

    states: one (type, state_key) → event_id map per forward extremity; their order does not matter.
    events: every conflicted event and its whole auth chain; if `auth_difference` is not given, those of every other event
    of the states too. Of the unconflicted state also the events that authorise conflicted ones (create, power levels,
    join rules, members): which, the error says. In version 12 always the create event.
    auth_difference: as from `auth_difference.auth_difference`, when the caller has it from an index.
    rejected: events whose use as auth events is forbidden; those failing their own auth events must not occur at all.
    Raises MissingAuthEvent, naming absent ids, and AuthCycle. Cost: n log n in conflicted events.
    Spec: rooms/v1#state-resolution, rooms/v2#state-resolution, rooms/v12#state-resolution
    """
    unconflicted, in_conflict = conflicted(states)
    if not in_conflict:
        return unconflicted
    if version.state_resolution is StateResolution.V1:
        return state_resolution_v1.resolve(unconflicted, in_conflict, events, version)
    conflict = state_resolution_v2.Conflict(states, unconflicted, in_conflict, auth_difference)
    return state_resolution_v2.resolve(conflict, events, version, rejected)


def conflicted(states: Sequence[StateMap]) -> tuple[dict[StateKey, EventId], dict[StateKey, set[EventId]]]:
    """What all states agree on, and the different events of the keys that they do not (or not all) agree on.

    Spec: rooms/v2#definitions
    """
    if not states:
        return {}, {}
    first = states[0]
    keys: set[StateKey] = set()
    for other in states[1:]:
        if other is first:
            continue
        its = other.get
        keys.update([key for key, event_id in first.items() if its(key) != event_id])
        keys.update(other.keys() - first.keys())
    unconflicted = dict(first)
    for key in keys:
        unconflicted.pop(key, None)
    return unconflicted, {key: {state[key] for state in states if key in state} for key in keys}
