"""Digests by mail: tells users who are away what they have not read, some minutes late and less and less often.

Theory of operation. The first thing that a user is notified of sets the time of a mail. When that has come, a mail tells of
what he still has not read and was not mailed before; if he has read it all, none goes. Each mail that did not make him read
makes the next gap longer. A receipt of his makes the gaps short again and gives him the whole delay for what waits. How far
he is told is written down with each mail, so that a restart forgets nothing and repeats nothing.

Deliberately absent: what a mail says (`digest_mails`), and what was missed (`missed`).
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import LimitExceeded
from watchword.protocol.default_push_rules import DONT_EMAIL
from watchword.server.changes import Change
from watchword.server.push import tables
from watchword.server.push.commands import DigestSettings, DigestState, JournalEntry, Pusher, Removed
from watchword.server.push.decide import mailed, while_reading, with_news
from watchword.server.push.digest_mails import DigestMails
from watchword.server.push.missed import MissedRooms
from watchword.server.push.ports import Mailbox
from watchword.server.push.pushers import Pushers
from watchword.server.push.sender import Notice
from watchword.storage import Database, Log, Position

logger = logging.getLogger(__name__)


class Digests:
    """The digests. `read` once, then `run` as long as the server lives."""

    def __init__(
        self,
        database: Database,
        log: Log[Change],
        clock: Clock,
        entropy: Entropy,
        pushers: Pushers,
        missed: MissedRooms,
        settings: DigestSettings,
        mailbox: Mailbox,
    ) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._entropy = entropy
        self._pushers = pushers
        self._missed = missed
        self._settings = settings
        self._mails = DigestMails(settings)
        self._mailbox = mailbox
        self._known: dict[int, Pusher] = {}
        self._states: dict[int, DigestState] = {}
        self._wake = asyncio.Event()

    async def read(self) -> None:
        """Read what was before."""
        async with self._database.read() as tx:
            self._states = {state.pusher_id: state for state in await tables.digests(tx)}

    def know(self, pushers: Iterable[Pusher], gone: Iterable[int] = ()) -> None:
        """Take over pushers of the kind email, also those that are switched off; forget those that are gone."""
        for pusher_id in gone:
            self._known.pop(pusher_id, None)
            self._states.pop(pusher_id, None)
        for pusher in pushers:
            self._known[pusher.pusher_id] = pusher
        self._wake.set()

    async def hear(self, pusher: Pusher, notice: Notice) -> None:
        """Take note of what a user was notified of; or, without an event, that he reads."""
        state = self._states.get(pusher.pusher_id)
        if notice.event_id is None:
            if state is not None and (state.due_ts or state.mails):
                # Written down only if it would be wrong without: he may read a great deal.
                changed = while_reading(state, self._clock.now_ms(), self._settings.delay_ms)
                await self._change(state, changed, is_kept=state.mails > 0)
            return
        if notice.actions.tweaks.get(DONT_EMAIL) is True or notice.position <= pusher.delivered:
            return
        state = state or DigestState(pusher.pusher_id, self._entropy.token())
        if notice.position > state.told:
            await self._change(state, with_news(state, self._clock.now_ms(), self._settings.delay_ms))

    async def _change(self, old: DigestState, new: DigestState, *, is_kept: bool = True) -> None:
        if new == old:
            return
        self._states[new.pusher_id] = new
        if is_kept:
            async with self._database.write() as tx:
                await tables.save_digest(tx, new)
        self._wake.set()

    async def run(self) -> None:
        """Send mails when their time has come, for ever."""
        while True:
            self._wake.clear()
            now_ms = self._clock.now_ms()
            waiting = [state for state in self._states.values() if state.due_ts and self._is_awake(state)]
            for state in waiting:
                if state.due_ts <= now_ms:
                    await self._supervised(state)
            later = [state.due_ts for state in waiting if state.due_ts > now_ms]
            if len(later) == len(waiting):
                await self._until(min(later, default=None), now_ms)

    def _is_awake(self, state: DigestState) -> bool:
        pusher = self._known.get(state.pusher_id)
        return pusher is not None and pusher.form.enabled

    async def _until(self, due_ts: int | None, now_ms: int) -> None:
        if due_ts is None:
            await self._wake.wait()
            return
        forget = self._clock.call_later(due_ts - now_ms, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            forget()

    async def _supervised(self, state: DigestState) -> None:
        # What comes from now on waits for the next mail.
        begun = self._states[state.pusher_id] = replace(state, due_ts=0)
        try:
            await self._send(begun)
        except Exception as error:
            # One mail that cannot be written must not stop the others.
            if not isinstance(error, LimitExceeded):
                logger.exception("A digest was not mailed.", extra={"pusher_id": state.pusher_id})
            now = self._states.get(state.pusher_id, begun)
            self._states[state.pusher_id] = replace(now, due_ts=self._clock.now_ms() + limits.digest_retry_ms)

    async def _send(self, state: DigestState) -> None:
        pusher = self._known[state.pusher_id]
        if not await self._pushers.is_own_address(pusher.key):
            await self._pushers.delete(pusher.key, Removed.ADDRESS_GONE)
            return
        until = self._log.position
        missed = await self._missed.of(pusher.key.user_id, Position(max(state.told, pusher.delivered)))
        if not missed.is_nothing:
            self._mailbox.submit(self._mails.mail(pusher, state.token, missed))
        now = self._states.get(state.pusher_id)
        if now is None:
            return
        if not missed.is_nothing:
            now = mailed(now, self._clock.now_ms(), until, self._settings.delay_ms)
        self._states[state.pusher_id] = now
        async with self._database.write() as tx:
            await tables.save_digest(tx, now)
            if not missed.is_nothing:
                entry = JournalEntry(self._clock.now_ms(), None, "mailed")
                await tables.write_journal(tx, pusher.pusher_id, entry, limits.push_journal_max)
