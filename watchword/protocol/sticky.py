"""Sticky events: message events that servers and clients are sure to get while they are sticky, which is an hour at most.

What is sticky is said at the top level of an event, under the name that the proposal wants one day or the one in use. Clients
look where they know to look: whatever is told of an event is told under the names that go with its own.
Deliberately absent: what is done for such events (`server/rooms`, `server/sync`, `server/federation`).

Spec: proposals/4354
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

DURATION_MS_MAX = 3_600_000


class Naming(NamedTuple):
    """The names that go together. key: of the event, and of the section of a sync response. remaining: in `unsigned`."""

    key: str
    remaining: str
    query: str


STABLE = Naming("sticky", "sticky_duration_remaining_ms", "sticky_duration_ms")
IN_USE = Naming("msc4354_sticky", "msc4354_sticky_duration_ttl_ms", "org.matrix.msc4354.sticky_duration_ms")


class Sticky(NamedTuple):
    """How long an event wants to be sticky, and under which names."""

    duration_ms: int
    naming: Naming = IN_USE


def sticky_of(json: Mapping[str, Any]) -> Sticky | None:
    """What an event says, held to an hour; None if it is not sticky."""
    # Nearly no event is: this is asked of each that is sent.
    if "msc4354_sticky" not in json and "sticky" not in json:
        return None
    for naming in (IN_USE, STABLE):
        value = json.get(naming.key)
        if value is None:
            continue
        duration_ms = value.get("duration_ms") if isinstance(value, dict) else None
        if isinstance(duration_ms, int) and not isinstance(duration_ms, bool) and duration_ms >= 0:
            return Sticky(min(duration_ms, DURATION_MS_MAX), naming)
    return None


def expiry(sticky: Sticky, origin_server_ts: int, received_ts: int) -> int:
    """When an event ceases to be sticky. Who lies about when it began gains nothing."""
    return min(origin_server_ts, received_ts) + sticky.duration_ms
