"""Walks over the graph of auth events: whole auth chains, their difference, and the conflicted state subgraph.

Each walk visits an event at most once, so that whatever a peer sends, cycles included, costs no more than its size.
Storage may know the difference from an index; then `auth_difference` is not called.
Deliberately absent: what the result is used for (`state_resolution_v2`).

Spec: rooms/v12#state-resolution
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from watchword.base.errors import RemoteProtocolError, WatchwordError
from watchword.protocol.events import Pdu, StateKey, StateMap
from watchword.protocol.ids import EventId


class MissingAuthEvent(WatchwordError):
    """Events that resolution needs were not given. event_ids: those found out so far; fetch them and resolve again."""

    def __init__(self, event_ids: Iterable[EventId]) -> None:
        self.event_ids = frozenset(event_ids)
        super().__init__(f"{len(self.event_ids)} events are missing, such as {min(self.event_ids, default='')}")


class AuthCycle(RemoteProtocolError):
    """Events cite each other as auth events in a circle, which only opaque event IDs (versions 1 and 2) make possible."""


def auth_chains(start: Iterable[EventId], events: Mapping[EventId, Pdu]) -> set[EventId]:
    """These events and all that they cite, directly or not. Raises MissingAuthEvent naming every absent one."""
    seen = set(start)
    waiting = list(seen)
    missing = []
    while waiting:
        event_id = waiting.pop()
        pdu = events.get(event_id)
        if pdu is None:
            missing.append(event_id)
            continue
        for cited in pdu.auth_events:
            if cited not in seen:
                seen.add(cited)
                waiting.append(cited)
    if missing:
        raise MissingAuthEvent(missing)
    return seen


def auth_difference(
    states: Sequence[StateMap],
    unconflicted: StateMap,
    conflicted: Mapping[StateKey, Collection[EventId]],
    events: Mapping[EventId, Pdu],
) -> set[EventId]:
    """The events that are in the auth chains of some of the states, but not of all.

    An event of a state counts in that state's chain itself, as servers have it. unconflicted, conflicted: as from
    `state_resolution.conflicted`. Cost: linear in the chains of the conflicted events, and, if those differ, of all.
    """
    chains = [auth_chains((state[key] for key in conflicted if key in state), events) for state in states]
    difference = set[EventId]().union(*chains).difference(chains[0].intersection(*chains))
    # What is in the chain of an event that all states share is in the chains of all.
    return difference - auth_chains(unconflicted.values(), events) if difference else difference


def conflicted_subgraph(conflicted: Collection[EventId], events: Mapping[EventId, Pdu]) -> set[EventId]:
    """All events on paths of auth events from one conflicted event to another, ends included (if there is such a path).

    Spec: rooms/v12#definitions
    """
    reachable = auth_chains(conflicted, events)
    citing: dict[EventId, list[EventId]] = {}
    for event_id in reachable:
        for cited in events[event_id].auth_events:
            citing.setdefault(cited, []).append(event_id)
    # All of `reachable` descends from a conflicted event; what is left is to reach one. Go backwards from them.
    found = set(conflicted)
    waiting = list(found)
    while waiting:
        for event_id in citing.get(waiting.pop(), ()):
            if event_id not in found:
                found.add(event_id)
                waiting.append(event_id)
    return found
