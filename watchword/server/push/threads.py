"""Which threads users are subscribed to, in memory: push rules ask about every event in a thread.

Who has never said anything of any thread takes no part: to clients that know nothing of subscriptions threads go on to
notify as they always did. Deliberately absent: subscribing (`rooms`).

Spec: proposals/4306
"""

import cachebox

from watchword.base import limits
from watchword.protocol.ids import EventId, UserId
from watchword.server.changes import Change, ThreadSubscriptionChanged
from watchword.server.push.ports import Subscriptions
from watchword.storage import Log, Logged, Position

Subscribed = frozenset[EventId] | None
"""The roots of the threads that a user is subscribed to; None if he takes no part."""


class SubscribedThreads:
    """Remembers them. Listens to the log from `listen` on."""

    def __init__(self, subscriptions: Subscriptions, log: Log[Change]) -> None:
        self._subscriptions = subscriptions
        self._log = log
        self._known: cachebox.LRUCache[UserId, tuple[Subscribed] | None] = cachebox.LRUCache(limits.push_rules_cached_max)
        self._generation = 0

    def listen(self) -> None:
        """Drop what is kept in memory when it changes."""
        self._log.listen(self._heard)

    def _heard(self, logged: Logged[Change]) -> None:
        if isinstance(logged.change, ThreadSubscriptionChanged):
            self._generation += 1
            self._known.pop(logged.change.user_id, None)

    async def of(self, user_id: UserId) -> Subscribed:
        """A user's threads, from memory if somebody asked before."""
        known = self._known.get(user_id, None)
        if known is None:
            generation = self._generation
            known = (await self._read(user_id),)
            if generation == self._generation:
                self._known[user_id] = known
        return known[0]

    async def _read(self, user_id: UserId) -> Subscribed:
        roots: set[EventId] = set()
        until, takes_part = self._log.position, False
        while rows := await self._subscriptions.changes(user_id, Position(0), until, limits.push_subscriptions_page):
            takes_part = True
            roots.update(row.root_id for row in rows if row.is_subscribed)
            if len(rows) < limits.push_subscriptions_page:
                break
            # The newest come first, and each has its own position.
            until = Position(rows[-1].position - 1)
        return frozenset(roots) if takes_part else None
