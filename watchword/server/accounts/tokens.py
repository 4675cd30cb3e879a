"""What is stored of tokens, how a bad one is answered, and those that were looked up, in memory, by hash.

Whatever ends or changes a token forgets its user in the cache.

Only what is durable is cached: changes call `forget` after their commit, and a look-up that was overtaken by a change
is not stored (`generation`).
"""

import hashlib

from watchword.base import limits
from watchword.base.errors import Unauthenticated
from watchword.edge.requester import Requester
from watchword.protocol.ids import UserId


def token_hash(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def unknown_token(*, session_survives: bool = False) -> Unauthenticated:
    """The answer to a token that is not good. Spec: client-server-api#soft-logout"""
    extra = {"soft_logout": True} if session_survives else None
    return Unauthenticated("M_UNKNOWN_TOKEN", "This access token is not known or no longer valid.", extra=extra)


def locked_account() -> Unauthenticated:
    """The answer to somebody who is locked. Spec: client-server-api#account-locking"""
    return Unauthenticated("M_USER_LOCKED", "This account is locked.", extra={"soft_logout": True})


class KnownToken:
    """What a request with this token needs to know. noted_ms: when it was last seen."""

    __slots__ = ("expires_ts", "is_locked", "noted_ms", "requester")

    def __init__(self, requester: Requester, expires_ts: int | None, is_locked: bool) -> None:
        self.requester = requester
        self.expires_ts = expires_ts
        self.is_locked = is_locked
        self.noted_ms = 0


class TokenCache:
    """Hash → KnownToken, bounded; the oldest goes first."""

    def __init__(self, entries_max: int = limits.tokens_in_memory_max) -> None:
        self._entries_max = entries_max
        self._known: dict[bytes, KnownToken] = {}
        self._of_user: dict[UserId, set[bytes]] = {}
        self.generation = 0

    def get(self, access_hash: bytes) -> KnownToken | None:
        """What is known of a token."""
        return self._known.get(access_hash)

    def put(self, access_hash: bytes, known: KnownToken, generation: int) -> None:
        """Remember a look-up that began at this generation, unless something changed meanwhile."""
        if generation != self.generation:
            return
        while len(self._known) >= self._entries_max:
            self._drop(next(iter(self._known)))
        self._known[access_hash] = known
        self._of_user.setdefault(known.requester.user_id, set()).add(access_hash)

    def _drop(self, access_hash: bytes) -> None:
        user_id = self._known.pop(access_hash).requester.user_id
        hashes = self._of_user[user_id]
        hashes.discard(access_hash)
        if not hashes:
            del self._of_user[user_id]

    def forget(self, user_id: UserId) -> None:
        """Look a user's tokens up afresh from now on."""
        self.generation += 1
        for access_hash in self._of_user.pop(user_id, ()):
            del self._known[access_hash]
