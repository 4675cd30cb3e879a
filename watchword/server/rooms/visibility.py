"""Who may see which event, pure: a reader's memberships and the room's history visibility as intervals on the line.

The state that counts is the one at the event. The event that changes the visibility, and the reader's own membership
change, are judged by the state before or after, whichever allows more.

Spec: client-server-api#room-history-visibility
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from watchword.protocol import event_types
from watchword.protocol.events import Pdu
from watchword.protocol.ids import UserId

_END = (1 << 63) - 1
"""The end of what goes on."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value that holds from position start (inclusive) until position end (exclusive)."""

    start: int
    end: int
    value: str


@dataclass(frozen=True, slots=True)
class History:
    """One value of the room's state over time, oldest first."""

    intervals: Sequence[Interval]
    default: str | None

    def at(self, position: int) -> str | None:
        """The value after the change at a position."""
        index = bisect_right(self.intervals, position, key=_start) - 1
        if index < 0 or self.intervals[index].end <= position:
            return self.default
        return self.intervals[index].value

    def holds_after(self, position: int, value: str) -> bool:
        """Whether it has this value at any position after the given one."""
        return any(interval.value == value and interval.end > position + 1 for interval in self.intervals)


def _start(interval: Interval) -> int:
    return interval.start


@dataclass(frozen=True, slots=True)
class Sight:
    """What one reader may see of one room.

    all_visible: a short cut: the reader is joined, and the visibility was never narrower than `shared`.
    """

    user_id: UserId
    membership: History
    visibility: History
    all_visible: bool = False

    def joined_after(self) -> int:
        """The position behind which the reader is joined for good, on the line; the end of all if he is not."""
        start = _END
        for interval in reversed(self.membership.intervals):
            if interval.value != "join" or interval.end != start:
                break
            start = interval.start
        return start

    def absent_before(self) -> int:
        """The position before which the reader had no membership, on the line."""
        intervals = self.membership.intervals
        return intervals[0].start if intervals else _END

    def sees(self, pdu: Pdu, position: int, *, overlay: "Overlay | None" = None) -> bool:
        """Whether the reader may see an event at this position. overlay: what its state says otherwise than the line."""
        if self.all_visible:
            return True
        if overlay is not None and overlay.unknown:
            return False
        before = self.sees_message(position, overlay)
        if before or pdu.state_key is None:
            return before
        if pdu.type == event_types.HISTORY_VISIBILITY and pdu.state_key == "":
            return self._judge(position, visibility_of(pdu.content), self._membership(position - 1, overlay))
        if pdu.type == event_types.MEMBER and pdu.state_key == self.user_id:
            return self._judge(
                position, self._visibility(position - 1, overlay), _text(pdu.content.get("membership")), own=True
            )
        return False

    def sees_message(self, position: int, overlay: "Overlay | None" = None) -> bool:
        """Whether the reader may see what is no state at this position: by the state before it alone."""
        if self.all_visible:
            return True
        if overlay is not None and overlay.unknown:
            return False
        visibility, membership = self._visibility(position - 1, overlay), self._membership(position - 1, overlay)
        return self._judge(position, visibility, membership)

    def message_spans(self) -> list[tuple[int, int]]:
        """Where the reader may see what is no state, by the line alone: positions after the first, up to the second.

        Between two changes of his membership or of the visibility, he sees all or nothing.
        """
        intervals = (*self.membership.intervals, *self.visibility.intervals)
        ends = sorted({0, _END, *(interval.start for interval in intervals), *(interval.end for interval in intervals)})
        spans: list[tuple[int, int]] = []
        for after, until in pairwise(ends):
            if not self.sees_message(after + 1):
                continue
            goes_on = bool(spans) and spans[-1][1] == after
            spans.append((spans.pop()[0] if goes_on else after, until))
        return spans

    def membership_at(self, pdu: Pdu, position: int, overlay: "Overlay | None" = None) -> str:
        """The reader's own membership at an event, for `unsigned.membership`; `leave` if he had none."""
        if pdu.type == event_types.MEMBER and pdu.state_key == self.user_id:
            return _text(pdu.content.get("membership")) or "leave"
        return self._membership(position - 1, overlay) or "leave"

    def _judge(self, position: int, visibility: str | None, membership: str | None, *, own: bool = False) -> bool:
        if visibility == "world_readable" or membership == "join":
            return True
        if own and membership in ("leave", "ban", "invite", "knock"):
            # The reader's own kick, ban or invite was told to him in any case.
            return True
        if visibility == "shared":
            return self.membership.holds_after(position - 1, "join")
        return visibility == "invited" and membership == "invite"

    def _visibility(self, position: int, overlay: "Overlay | None") -> str | None:
        if overlay is not None and overlay.visibility is not None:
            return overlay.visibility
        return self.visibility.at(position)

    def _membership(self, position: int, overlay: "Overlay | None") -> str | None:
        if overlay is not None and overlay.membership is not None:
            return overlay.membership
        return self.membership.at(position)


@dataclass(frozen=True, slots=True)
class Overlay:
    """Where an event's own state differs from the line: the two values that sight depends on, None where it does not."""

    visibility: str | None = None
    membership: str | None = None
    unknown: bool = False


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def visibility_of(content: Mapping[str, object]) -> str:
    """The history visibility that a content means. Spec: client-server-api#room-history-visibility"""
    value = content.get("history_visibility")
    return value if value in ("invited", "joined", "shared", "world_readable") else "shared"
