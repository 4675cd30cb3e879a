"""The spots, in memory: made, looked at, overwritten by whoever saw the last revision, forgotten.

Deliberately absent: who may make one (the door knows) and what is in them.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import Conflict, LimitExceeded, NotFound, Refusal, TooLarge


@dataclass(slots=True)
class Session:
    """One spot. expires_ts: milliseconds since 1970. sequence_token: another one after every write.

    maker: who made it, or from where. answered: transaction ID → the token that the write was answered with, or the refusal.
    """

    session_id: str
    data: bytes
    content_type: str
    expires_ts: int
    changed_ts: int
    maker: str = ""
    revision: int = 1
    answered: dict[str, str | Refusal] = field(default_factory=dict)

    @property
    def sequence_token(self) -> str:
        """Which revision of the data this is."""
        return str(self.revision)


class RendezvousSessions:
    """All of them. The oldest must not make room for new ones: a stranger could throw out whoever is signing in."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def make(self, data: bytes, content_type: str, maker: str = "") -> Session:
        """A new spot with its first data. maker: nobody takes them all. Raises TooLarge, LimitExceeded."""
        _check_size(data)
        self._forget_expired()
        own = sum(session.maker == maker for session in self._sessions.values())
        if len(self._sessions) >= limits.rendezvous_sessions_max or own >= limits.rendezvous_sessions_of_one_max:
            raise LimitExceeded(limits.rendezvous_lifetime_ms)
        now_ms = self._clock.now_ms()
        session = Session(self._entropy.token(), data, content_type, now_ms + limits.rendezvous_lifetime_ms, now_ms, maker)
        self._sessions[session.session_id] = session
        return session

    def get(self, session_id: str) -> Session:
        """A spot that has not expired. Raises NotFound."""
        session = self._sessions.get(session_id)
        if session is None or session.expires_ts <= self._clock.now_ms():
            self._sessions.pop(session_id, None)
            raise NotFound("There is no such rendezvous session, or its time is over.")
        return session

    def write(self, session_id: str, sequence_token: str, data: bytes, content_type: str) -> Session:
        """Overwrite what the writer saw last. Raises NotFound, TooLarge, Conflict M_CONCURRENT_WRITE."""
        session = self.get(session_id)
        _check_size(data)
        if sequence_token != session.sequence_token:
            raise Conflict("M_CONCURRENT_WRITE", "The other device has written since: look at what it wrote.")
        session.data, session.content_type = data, content_type
        session.revision += 1
        session.changed_ts = self._clock.now_ms()
        return session

    def write_once(self, session_id: str, txn_id: str, sequence_token: str, data: bytes) -> str:
        """`write`, answered again as before if the transaction ID comes again; the new sequence token. Raises as `write`."""
        session = self.get(session_id)
        answer = session.answered.get(txn_id)
        if answer is None:
            if len(session.answered) >= limits.rendezvous_writes_max:
                raise LimitExceeded(limits.rendezvous_lifetime_ms)
            try:
                answer = self.write(session_id, sequence_token, data, "application/json").sequence_token
            except (Conflict, TooLarge) as refusal:
                answer = refusal
            session.answered[txn_id] = answer
        if isinstance(answer, Refusal):
            raise answer
        return answer

    def delete(self, session_id: str) -> None:
        """End a spot. Raises NotFound."""
        del self._sessions[self.get(session_id).session_id]

    def left_ms(self, session: Session) -> int:
        """How long a spot will be there."""
        return max(0, session.expires_ts - self._clock.now_ms())

    def _forget_expired(self) -> None:
        # All live equally long: the first of them ends first.
        now_ms = self._clock.now_ms()
        while self._sessions and next(iter(self._sessions.values())).expires_ts <= now_ms:
            self._sessions.popitem(last=False)


def _check_size(data: bytes) -> None:
    if len(data) > limits.rendezvous_data_bytes_max:
        raise TooLarge(f"At most {limits.rendezvous_data_bytes_max} bytes fit here.")
