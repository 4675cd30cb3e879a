"""The rows of rooms as plain values, and the arithmetic of places in a timeline. What features upstairs may see of tables.

A live event logged at position P stands at the ordering P * 2^24; history fetched before it gets P * 2^24 - 1, - 2, …
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.storage import Position

ORDERING_SHIFT = 24
FOREVER = (1 << 63) - 1
REJECTED = 1
SOFT_FAILED = 2
OUTLIER = 4
UNAUTHORISED = 8
"""Beside REJECTED: its own auth events do not allow it, so that it may not even win in a resolution of state."""
HIDDEN = 16
"""A redaction whose target is not here, or which may not redact it: part of the graph, and nobody is shown it."""
EXPIRED = 32
"""Its content was taken from the disk because of its age; what the graph needs of it is still here."""
NOT_SHOWN = REJECTED | SOFT_FAILED | HIDDEN


def ordering_of(position: int) -> int:
    """The place in a room's timeline of a live event logged at this position."""
    return position << ORDERING_SHIFT


def position_of(ordering: int) -> int:
    """The position that an ordering belongs to: history just before a live event shares its position."""
    return -(-ordering >> ORDERING_SHIFT)


def is_history(ordering: int) -> bool:
    """Whether an ordering was given to an event of the past."""
    return bool(ordering & ((1 << ORDERING_SHIFT) - 1))


@dataclass(frozen=True, slots=True)
class RoomRow:
    """A room as stored. extremities: event_id → depth; None if it is the newest event of the timeline, alone."""

    room_nid: int
    room_id: RoomId
    version: str
    is_public: bool
    extremities: Mapping[EventId, int] | None


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as stored. ordering is None outside the timeline."""

    event_nid: int
    event_id: EventId
    room_nid: int
    ordering: int | None
    depth: int
    flags: int
    replaces_nid: int | None
    redacted_by_nid: int | None
    json: bytes


@dataclass(frozen=True, slots=True)
class MembershipRow:
    """A user's membership in a room. stripped: JSON list, only where we do not have the room's state.

    by_server: it was this server that forgot the room: whoever was not told yet that he left it is still told that.
    """

    room_id: RoomId
    user_id: UserId
    membership: str
    event_id: EventId
    position: Position
    sender: UserId
    forgotten: bool
    stripped: bytes | None
    by_server: bool = False


class NewEvent(msgspec.Struct, frozen=True):
    """What is to be stored of one event."""

    event_id: EventId
    ordering: int | None
    depth: int
    flags: int
    json: bytes
    replaces_nid: int | None = None


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """A receipt. thread_id '' is the unthreaded one; ordering is None while we do not have the event."""

    user_id: UserId
    receipt_type: str
    thread_id: str
    event_id: EventId
    ordering: int | None
    ts: int
    position: Position
