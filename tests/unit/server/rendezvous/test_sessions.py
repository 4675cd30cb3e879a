import pytest

from watchword.base import limits
from watchword.base.clock import ManualClock
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import Conflict, LimitExceeded, NotFound, TooLarge
from watchword.server.rendezvous.sessions import RendezvousSessions

_TYPE = "text/plain"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def sessions(clock: ManualClock) -> RendezvousSessions:
    return RendezvousSessions(clock, SeededEntropy(1))


def test_what_is_left_is_found_until_its_time_is_over(sessions: RendezvousSessions, clock: ManualClock) -> None:
    session = sessions.make(b"hello", _TYPE)
    clock.advance(limits.rendezvous_lifetime_ms - 1)
    assert sessions.get(session.session_id).data == b"hello"
    assert sessions.left_ms(session) == 1
    clock.advance(1)
    with pytest.raises(NotFound):
        sessions.get(session.session_id)


def test_only_who_saw_the_last_revision_may_write(sessions: RendezvousSessions) -> None:
    session = sessions.make(b"1", _TYPE)
    seen = session.sequence_token
    sessions.write(session.session_id, seen, b"2", _TYPE)
    assert session.sequence_token != seen
    with pytest.raises(Conflict, match="M_CONCURRENT_WRITE"):
        sessions.write(session.session_id, seen, b"3", _TYPE)
    assert sessions.get(session.session_id).data == b"2"


def test_the_same_data_again_is_another_revision(sessions: RendezvousSessions) -> None:
    session = sessions.make(b"1", _TYPE)
    first = session.sequence_token
    assert sessions.write(session.session_id, first, b"1", _TYPE).sequence_token != first


def test_a_repeated_transaction_is_answered_as_before(sessions: RendezvousSessions) -> None:
    session = sessions.make(b"1", _TYPE)
    seen = session.sequence_token
    answer = sessions.write_once(session.session_id, "a", seen, b"2")
    sessions.write_once(session.session_id, "b", answer, b"3")
    assert sessions.write_once(session.session_id, "a", seen, b"2") == answer
    assert sessions.get(session.session_id).data == b"3"


def test_a_repeated_transaction_that_was_refused_stays_refused(sessions: RendezvousSessions) -> None:
    session = sessions.make(b"1", _TYPE)
    for token in ("0", session.sequence_token):
        with pytest.raises(Conflict):
            sessions.write_once(session.session_id, "a", token, b"2")


def test_a_session_that_was_ended_is_gone(sessions: RendezvousSessions) -> None:
    session_id = sessions.make(b"", _TYPE).session_id
    sessions.delete(session_id)
    with pytest.raises(NotFound):
        sessions.delete(session_id)


def test_too_much_is_refused_and_changes_nothing(sessions: RendezvousSessions) -> None:
    much = b"x" * (limits.rendezvous_data_bytes_max + 1)
    with pytest.raises(TooLarge):
        sessions.make(much, _TYPE)
    session = sessions.make(much[1:], _TYPE)
    with pytest.raises(TooLarge):
        sessions.write(session.session_id, session.sequence_token, much, _TYPE)
    with pytest.raises(TooLarge):
        sessions.write_once(session.session_id, "a", session.sequence_token, much)
    assert session.revision == 1


def test_a_full_house_takes_nobody_until_somebody_leaves(sessions: RendezvousSessions, clock: ManualClock) -> None:
    first = sessions.make(b"first", _TYPE)
    for number in range(limits.rendezvous_sessions_max - 1):
        sessions.make(b"", _TYPE, f"maker {number}")
    with pytest.raises(LimitExceeded):
        sessions.make(b"", _TYPE)
    assert sessions.get(first.session_id).data == b"first"
    clock.advance(limits.rendezvous_lifetime_ms)
    assert sessions.make(b"", _TYPE)


def test_nobody_writes_for_ever(sessions: RendezvousSessions) -> None:
    session = sessions.make(b"", _TYPE)
    for number in range(limits.rendezvous_writes_max):
        sessions.write_once(session.session_id, str(number), session.sequence_token, b"")
    with pytest.raises(LimitExceeded):
        sessions.write_once(session.session_id, "one more", session.sequence_token, b"")


def test_nobody_takes_all_the_spots(sessions: RendezvousSessions, clock: ManualClock) -> None:
    for _ in range(limits.rendezvous_sessions_of_one_max):
        sessions.make(b"1", _TYPE, "@greedy:here.example")
    with pytest.raises(LimitExceeded):
        sessions.make(b"1", _TYPE, "@greedy:here.example")
    sessions.make(b"1", _TYPE, "@alice:here.example")
    clock.advance(limits.rendezvous_lifetime_ms)
    sessions.make(b"1", _TYPE, "@greedy:here.example")
