"""State resolution 1, of room version 1 only. It is known to fall back to older state; it must be so, for all agree on it.

Deliberately absent: any improvement. Spec: rooms/v1#state-resolution
"""

from collections.abc import Iterable, Mapping
from hashlib import sha1

from watchword.protocol import event_types
from watchword.protocol.auth_difference import MissingAuthEvent
from watchword.protocol.auth_event_selection import auth_state_keys
from watchword.protocol.auth_rules import check_auth
from watchword.protocol.auth_state import POWER_LEVELS_KEY
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId
from watchword.protocol.room_versions import RoomVersion

Conflicts = dict[StateKey, list[Pdu]]


def resolve(
    unconflicted: Mapping[StateKey, EventId],
    conflicted: Mapping[StateKey, set[EventId]],
    events: Mapping[EventId, Pdu],
    version: RoomVersion,
) -> dict[StateKey, EventId]:
    """The merged state. Here only *different* events are a conflict: one that some states lack is taken over.

    events: the conflicted ones, and those of the unconflicted state that authorise them. Raises MissingAuthEvent.
    """
    resolved = dict(unconflicted)
    conflicts: Conflicts = {}
    for key, event_ids in conflicted.items():
        if len(event_ids) == 1:
            (resolved[key],) = event_ids
        else:
            conflicts[key] = sorted(_present(event_ids, events), key=_oldest_first)
    passes = (
        [key for key in conflicts if key == POWER_LEVELS_KEY],
        [key for key in conflicts if key[0] == event_types.JOIN_RULES],
        [key for key in conflicts if key[0] == event_types.MEMBER],
    )
    for keys in passes:
        chosen = {key: _last_allowed_in_turn(conflicts[key], resolved, events, version) for key in keys}
        for key, pdu in chosen.items():
            resolved[key] = pdu.event_id
            del conflicts[key]
    chosen = {key: _newest_allowed(candidates, resolved, events, version) for key, candidates in conflicts.items()}
    resolved.update((key, pdu.event_id) for key, pdu in chosen.items())
    return resolved


def _oldest_first(pdu: Pdu) -> tuple[int, int]:
    """Ascending depth, then descending SHA-1 of the event ID."""
    return pdu.depth, -int.from_bytes(sha1(pdu.event_id.encode(), usedforsecurity=False).digest())


def _last_allowed_in_turn(
    candidates: list[Pdu], resolved: Mapping[StateKey, EventId], events: Mapping[EventId, Pdu], version: RoomVersion
) -> Pdu:
    """Each in the state that the one before makes; the first that is not allowed ends it."""
    chosen = candidates[0]
    for pdu in candidates[1:]:
        if check_auth(pdu, _auth_state(pdu, resolved, events, version, chosen), version) is not None:
            break
        chosen = pdu
    return chosen


def _newest_allowed(
    candidates: list[Pdu], resolved: Mapping[StateKey, EventId], events: Mapping[EventId, Pdu], version: RoomVersion
) -> Pdu:
    """The newest that is allowed; the oldest if none is."""
    for pdu in reversed(candidates):
        if check_auth(pdu, _auth_state(pdu, resolved, events, version), version) is None:
            return pdu
    return candidates[0]


def _auth_state(
    pdu: Pdu,
    resolved: Mapping[StateKey, EventId],
    events: Mapping[EventId, Pdu],
    version: RoomVersion,
    instead: Pdu | None = None,
) -> dict[StateKey, Pdu]:
    """The part of the state so far that authorises the event. instead: one to be taken as already in the state."""
    keys = auth_state_keys(pdu.type, pdu.state_key, pdu.sender, pdu.content, version)
    found = _present((resolved[key] for key in keys if key in resolved), events)
    state = {key: event for event in found if (key := event.state_address) is not None}
    if instead is not None and instead.state_address is not None:
        state[instead.state_address] = instead
    return state


def _present(event_ids: Iterable[EventId], events: Mapping[EventId, Pdu]) -> list[Pdu]:
    wanted = list(event_ids)
    missing = [event_id for event_id in wanted if event_id not in events]
    if missing:
        raise MissingAuthEvent(missing)
    return [events[event_id] for event_id in wanted]
