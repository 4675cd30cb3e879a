"""What moderation takes in and keeps. Frozen; plain values."""

from dataclasses import dataclass
from enum import Enum

from watchword.protocol.ids import EventId, RoomId, UserId


class Kind(Enum):
    """What is reported."""

    ROOM = "room"
    EVENT = "event"
    USER = "user"


@dataclass(frozen=True, slots=True)
class NewReport:
    """Somebody finds something inappropriate. Of room_id, event_id, user_id only those that the kind has.

    event: the reported event as the reporter saw it, as JSON. Spec: client-server-api#reporting-content
    """

    kind: Kind
    reporter: UserId
    reason: str
    room_id: RoomId | None = None
    event_id: EventId | None = None
    user_id: UserId | None = None
    event: bytes | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A report in the queue. handled_ts: None while nobody has dealt with it."""

    report_id: int
    what: NewReport
    received_ts: int
    handled_ts: int | None = None
    handled_by: UserId | None = None


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """Which reports, in which order of age. None: any. start: how many of the first ones to pass over."""

    kind: Kind | None = None
    handled: bool | None = None
    reporter: UserId | None = None
    room_id: RoomId | None = None
    oldest_first: bool = False
    start: int = 0
    limit: int = 100
