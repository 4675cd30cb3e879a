"""What one user has not read in one room, counted up to a place in its timeline. Pure bookkeeping.

The newest events that count are remembered one by one, so that a receipt or a redaction takes away exactly what it should.
If there are more of them, what cannot be taken away exactly is counted anew by whoever owns the tally.
Deliberately absent: which events count.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from watchword.base import limits
from watchword.protocol.ids import EventId
from watchword.server.push.commands import NOTHING_UNREAD, Unread

MAIN = "main"
"""The name of the main timeline among threads. Spec: client-server-api#threaded-read-receipts"""


@dataclass(frozen=True, slots=True)
class ReadUpTo:
    """Places in the timeline up to which a user has read: in all threads, and further in some of them."""

    everywhere: int = 0
    threads: Mapping[str, int] = field(default_factory=dict)

    def of(self, thread: str) -> int:
        """Up to where in this thread."""
        return max(self.everywhere, self.threads.get(thread, 0))


class Mark(NamedTuple):
    """An event that counts."""

    ordering: int
    event_id: EventId
    thread: str
    loud: bool


class Tally:
    """The counts.

    ordering: the event that was looked at last; position: up to where the log was. stale: a receipt moved since.
    """

    __slots__ = ("_counts", "_forgotten", "_marks", "ordering", "position", "read", "stale", "unread")

    def __init__(self, read: ReadUpTo, ordering: int) -> None:
        self.read = read
        self.ordering = ordering
        self.position = 0
        self.stale = False
        self.unread = NOTHING_UNREAD
        self._counts: dict[str, list[int]] = {}
        self._marks: list[Mark] = []
        # Of which threads marks were dropped: what is remembered of them is not all.
        self._forgotten: set[str] = set()

    def add(self, mark: Mark) -> None:
        """Count an event, newer than all before."""
        if mark.ordering <= self.read.of(mark.thread):
            return
        count = self._counts.setdefault(mark.thread, [0, 0])
        count[0] += 1
        count[1] += mark.loud
        self._marks.append(mark)
        if len(self._marks) > limits.unread_marks_max:
            dropped = len(self._marks) // 2
            self._forgotten.update(mark.thread for mark in self._marks[:dropped])
            del self._marks[:dropped]

    def note_own(self, thread: str) -> None:
        """The user himself sent the event that comes next: he has read the thread up to there."""
        if self._counts.pop(thread, None) is not None:
            self._forgotten.discard(thread)
            self._marks = [mark for mark in self._marks if mark.thread != thread]

    def marked(self, event_id: EventId) -> bool:
        """Whether an event is known to count."""
        return any(mark.event_id == event_id for mark in self._marks)

    def take_away(self, event_ids: Iterable[EventId]) -> None:
        """Events were redacted. Those that are not remembered stay counted until the user reads."""
        gone = set(event_ids)
        self._keep([mark for mark in self._marks if mark.event_id not in gone])

    def read_to(self, read: ReadUpTo) -> bool:
        """Receipts moved. False if the room must be counted anew."""
        self.read = read
        for thread in list(self._counts):
            if read.of(thread) >= self.ordering:
                self.note_own(thread)
            elif thread in self._forgotten:
                return False
        self._keep([mark for mark in self._marks if mark.ordering > read.of(mark.thread)])
        return True

    def close(self, ordering: int, position: int) -> None:
        """All events up to here were looked at."""
        self.ordering = max(self.ordering, ordering)
        self.position = position
        self.stale = False
        if not self._counts:
            self.unread = NOTHING_UNREAD
            return
        main = self._counts.get(MAIN, (0, 0))
        threads = {thread: (count[0], count[1]) for thread, count in self._counts.items() if thread != MAIN}
        self.unread = Unread(main[0], main[1], threads)

    def _keep(self, marks: list[Mark]) -> None:
        if len(marks) == len(self._marks):
            return
        kept = set(marks)
        for mark in self._marks:
            if mark in kept:
                continue
            count = self._counts[mark.thread]
            count[0] -= 1
            count[1] -= mark.loud
            if not count[0]:
                del self._counts[mark.thread]
        self._marks = marks
