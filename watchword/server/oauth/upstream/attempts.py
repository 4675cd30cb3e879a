"""Browsers that were sent to a provider, and people who came back without an account: in memory, bounded, for minutes.

A restart forgets them, which costs somebody one more click.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.server.oauth.upstream.decide import Identity

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Attempt:
    """A browser that was sent away. browser_hash: it must be the one that comes back."""

    provider_id: str
    nonce: str
    verifier: str
    next: str | None
    browser_hash: bytes


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody whom a provider knows and we do not."""

    provider_id: str
    identity: Identity
    next: str | None
    browser_hash: bytes


class Kept(Generic[T]):
    """Things under names that nobody guesses. The oldest goes first."""

    def __init__(self, clock: Clock, most: int = limits.upstream_attempts_max) -> None:
        self._clock = clock
        self._most = most
        self._things: OrderedDict[str, tuple[int, T]] = OrderedDict()

    def keep(self, name: str, thing: T) -> None:
        """Keep a thing for a while."""
        now_ms = self._clock.monotonic_ms()
        while self._things and (len(self._things) >= self._most or next(iter(self._things.values()))[0] <= now_ms):
            self._things.popitem(last=False)
        self._things[name] = (now_ms + limits.upstream_attempt_ms, thing)

    def look(self, name: str) -> T | None:
        """The thing of a name."""
        found = self._things.get(name)
        return found[1] if found is not None and found[0] > self._clock.monotonic_ms() else None

    def take(self, name: str) -> T | None:
        """The thing of a name, which is kept no longer."""
        found = self.look(name)
        self._things.pop(name, None)
        return found
