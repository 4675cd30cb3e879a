import pytest

from watchword.base import limits
from watchword.protocol.ids import EventId
from watchword.server.push.commands import Unread
from watchword.server.push.tally import MAIN, Mark, ReadUpTo, Tally


def mark(ordering: int, thread: str = MAIN, *, loud: bool = False) -> Mark:
    return Mark(ordering, EventId(f"${ordering}"), thread, loud)


def a_tally(*marks: Mark, read: ReadUpTo | None = None) -> Tally:
    tally = Tally(read or ReadUpTo(), 0)
    for each in marks:
        tally.add(each)
    tally.close(max((each.ordering for each in marks), default=0), 1)
    return tally


def test_events_count_by_thread_and_loudness() -> None:
    tally = a_tally(mark(1), mark(2, loud=True), mark(3, "$root", loud=True))
    assert tally.unread == Unread(2, 1, {"$root": (1, 1)})


def test_what_is_read_already_does_not_count() -> None:
    tally = a_tally(mark(1), mark(2), mark(3, "$root"), mark(4, "$root"), read=ReadUpTo(1, {"$root": 3}))
    assert tally.unread == Unread(1, 0, {"$root": (1, 0)})


def test_a_receipt_takes_away_what_it_covers() -> None:
    tally = a_tally(mark(1), mark(2, loud=True), mark(3, "$root"))
    assert tally.read_to(ReadUpTo(1))
    tally.close(3, 2)
    assert tally.unread == Unread(1, 1, {"$root": (1, 0)})
    assert tally.read_to(ReadUpTo(3))
    tally.close(3, 3)
    assert tally.unread.is_nothing


def test_a_receipt_in_one_thread_leaves_the_others() -> None:
    tally = a_tally(mark(1), mark(2, "$root"))
    assert tally.read_to(ReadUpTo(0, {"$root": 2}))
    tally.close(2, 2)
    assert tally.unread == Unread(1, 0, {})


def test_one_s_own_event_reads_its_thread() -> None:
    tally = a_tally(mark(1), mark(2, "$root"))
    tally.note_own(MAIN)
    tally.note_own("$other")
    tally.close(3, 2)
    assert tally.unread == Unread(0, 0, {"$root": (1, 0)})
    assert not tally.unread.is_nothing


def test_a_redaction_takes_one_event_away() -> None:
    tally = a_tally(mark(1, loud=True), mark(2))
    assert tally.marked(EventId("$1"))
    tally.take_away([EventId("$1"), EventId("$unknown")])
    tally.close(2, 2)
    assert tally.unread == Unread(1, 0)
    assert not tally.marked(EventId("$1"))


def test_memory_is_bounded_and_counts_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "unread_marks_max", 4)
    tally = a_tally(*(mark(ordering) for ordering in range(1, 11)), mark(11, "$root"))
    assert tally.unread == Unread(10, 0, {"$root": (1, 0)})
    assert not tally.marked(EventId("$1"))
    assert tally.read_to(ReadUpTo(11))
    tally.close(11, 2)
    assert tally.unread.is_nothing


def test_what_is_not_remembered_is_counted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "unread_marks_max", 4)
    tally = a_tally(*(mark(ordering) for ordering in range(1, 11)))
    assert not tally.read_to(ReadUpTo(3))
