"""What is kept for a while."""

from watchword.base.clock import ManualClock
from watchword.server.oauth.upstream.attempts import Kept


def test_a_thing_is_taken_once() -> None:
    kept: Kept[int] = Kept(ManualClock())
    kept.keep("a", 1)
    assert (kept.look("a"), kept.take("a"), kept.take("a")) == (1, 1, None)


def test_a_thing_expires() -> None:
    clock = ManualClock()
    kept: Kept[int] = Kept(clock)
    kept.keep("a", 1)
    clock.advance(900_000)
    assert kept.look("a") is None
    kept.keep("b", 2)
    assert len(kept._things) == 1


def test_the_oldest_goes_first() -> None:
    kept: Kept[int] = Kept(ManualClock(), 2)
    for number, name in enumerate("abc"):
        kept.keep(name, number)
    assert [kept.look(name) for name in "abc"] == [None, 1, 2]
