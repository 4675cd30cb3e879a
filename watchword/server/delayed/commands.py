"""The words of delayed events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from watchword.protocol.ids import EventId, UserId
from watchword.server.rooms.commands import LaterEvent


@dataclass(frozen=True, slots=True)
class DelaySettings:
    """What an operator allows. scheduled_max: events of one user that wait at once."""

    delay_ms_max: int = 86_400_000
    scheduled_max: int = 100


class Form(Enum):
    """The three ways in which clients ask, which differ in the names of an error."""

    STABLE = "stable"
    UNSTABLE = "unstable"
    QUERY = "query"


class Action(Enum):
    """What may be done with an event that waits."""

    SEND = "send"
    CANCEL = "cancel"
    RESTART = "restart"


class Outcome(Enum):
    """What became of an event."""

    SEND = "send"
    CANCEL = "cancel"
    ERROR = "error"


class Reason(Enum):
    """What ended the wait: somebody who knows the ID, or time. Neither where others overtook it."""

    ACTION = "action"
    DELAY = "delay"


@dataclass(frozen=True, slots=True)
class Finalised:
    """The end of a delayed event. error: a standard error body."""

    outcome: Outcome
    reason: Reason | None
    ts: int
    event_id: EventId | None = None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class DelayedEvent:
    """One delayed event. number: in order of scheduling; 0 for one that is not stored yet.

    running_since: when its delay began. began: the position of the log when it was scheduled. is_begun: sending it was tried,
    and may have happened. is_limited: whether its sender's rate is.
    """

    delay_id: str
    user_id: UserId
    device_id: str
    event: LaterEvent
    running_since: int
    began: int
    is_limited: bool = True
    is_begun: bool = False
    number: int = 0
    finalised: Finalised | None = None

    @property
    def send_ts(self) -> int:
        """When it is due."""
        return self.running_since + self.event.delay_ms


class Order(Enum):
    """The time that a list is ordered by."""

    SEND_TS = "send_ts"
    ORIGIN_SERVER_TS = "origin_server_ts"
    RUNNING_SINCE = "running_since"


Place = tuple[int, int]
"""Where in a list: the time that it is ordered by, and the number of the event."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Which events of a user are to be listed. start: the first place that is not listed. delay_ids: none for all."""

    user_id: UserId
    start: Place
    backwards: bool = False
    order: Order = Order.SEND_TS
    is_finalised: bool | None = None
    room_id: str | None = None
    type: str | None = None
    outcome: Outcome | None = None
    reason: Reason | None = None
    delay_ids: Sequence[str] = ()
