"""The audit log: what administrators did and saw, kept for as long as the operator wishes. Fits `edge.auditing.Audit`.

An act is written in the transaction that carries it out, or, where there is none, right after; a refused one by itself. Looking
at the same thing again within the hour is not written again: a console that refreshes itself says nothing new.
Deliberately absent: changing or taking back an entry.
"""

import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import Refusal, StorageError
from watchword.edge.auditing import Deed
from watchword.protocol.ids import UserId
from watchword.server.admin import tables
from watchword.server.admin.commands import DONE, AuditEntry, AuditQuery
from watchword.storage import Database, Tx

logger = logging.getLogger(__name__)

FAILED = "M_UNKNOWN"
_DROPPED_AT_ONCE = 1_000


class AuditNote:
    """An entry that is being made. Fits `edge.auditing.Entry`."""

    def __init__(self, deed: Deed, clock: Clock) -> None:
        self.deed = deed
        self._clock = clock
        self._details: dict[str, str | int | bool | None] = {}
        self.is_written = False

    async def __call__(self, tx: Tx) -> None:
        """Write the entry with the effect."""
        await self.write(tx, DONE)
        self.is_written = True

    async def write(self, tx: Tx, outcome: str) -> None:
        """Write the entry with any outcome."""
        deed = self.deed
        whom, address = _bounded(deed.whom), _bounded(deed.address)
        entry = AuditEntry(0, self._clock.now_ms(), deed.by, deed.action, whom, outcome, address, self._details)
        await tables.add_entry(tx, entry)

    def about(self, whom: str) -> None:
        """Say whom it concerns."""
        self.deed = replace(self.deed, whom=whom)

    def add(self, **details: str | int | bool | None) -> None:
        """Say more of it."""
        self._details.update((name, _bounded(value) if isinstance(value, str) else value) for name, value in details.items())


class AuditLog:
    """Keeps entries, shows them, drops the old ones. kept_ms: how long they are kept."""

    def __init__(self, database: Database, clock: Clock, kept_ms: int) -> None:
        self._database = database
        self._clock = clock
        self._kept_ms = kept_ms
        self._seen: OrderedDict[tuple[UserId | None, str, str, str], int] = OrderedDict()

    @asynccontextmanager
    async def act(self, deed: Deed) -> AsyncIterator[AuditNote]:
        """An entry for the block that does it: written with its effect, or at its end. A Refusal is kept as one."""
        entry = self.entry(deed)
        try:
            yield entry
        except Refusal as refusal:
            await self._write(entry, refusal.errcode)
            raise
        except Exception:
            # Whatever broke, that it was tried is kept, if that can be.
            try:
                await self._write(entry, FAILED)
            except StorageError as error:
                logger.warning("An entry of the audit log was not kept.", extra={"cause": str(error)})
            raise
        if not entry.is_written:
            await self._write(entry, DONE)

    def entry(self, deed: Deed) -> AuditNote:
        """An entry that is kept only if somebody writes it."""
        return AuditNote(deed, self._clock)

    async def _write(self, entry: AuditNote, outcome: str) -> None:
        async with self._database.write() as tx:
            await entry.write(tx, outcome)

    async def read(self, deed: Deed) -> None:
        """Somebody looked at something. Looking again soon is not kept."""
        await self.seen(self.entry(deed))

    async def seen(self, entry: AuditNote) -> None:
        """The same, for an entry that was made already."""
        deed = entry.deed
        key = (deed.by, deed.action, _bounded(deed.whom), deed.address)
        now_ms = self._clock.monotonic_ms()
        seen_ms = self._seen.get(key)
        if seen_ms is not None and now_ms - seen_ms < limits.audit_reads_again_ms:
            return
        await self._write(entry, DONE)
        self._seen[key] = now_ms
        self._seen.move_to_end(key)
        if len(self._seen) > limits.audit_reads_remembered_max:
            self._seen.popitem(last=False)

    async def page(self, query: AuditQuery) -> Sequence[AuditEntry]:
        """Entries, newest first."""
        async with self._database.read() as tx:
            return await tables.entries(tx, replace(query, limit=min(query.limit, limits.admin_page_max)))

    async def sweep(self) -> int:
        """Drop what is older than is wished, in small steps; how many entries went."""
        before_ts = self._clock.now_ms() - self._kept_ms
        count = 0
        while True:
            async with self._database.write() as tx:
                dropped = await tables.drop_entries(tx, before_ts, _DROPPED_AT_ONCE)
            count += dropped
            if dropped < _DROPPED_AT_ONCE:
                return count

    async def run(self) -> None:
        """Sweep now and then, for ever."""
        while True:
            dropped = await self.sweep()
            if dropped:
                logger.info("Old entries of the audit log were dropped.", extra={"count": dropped})
            await self._clock.sleep(limits.audit_sweep_ms)


def _bounded(text: str) -> str:
    return text[: limits.audit_text_characters_max].encode("utf-8", "replace").decode()
