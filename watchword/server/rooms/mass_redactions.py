"""Redactions of many events: done behind the request, in steps, and finished after a restart.

- A kick or ban with `redact_events` (proposal 4293) takes all with it that its target said during his last stay; no redaction
  events are sent, and each server does the same for itself.
- A redaction with relations (proposal 3912): also what relates to the event by the types named is redacted, by events in the
  name of who asked, as far as he may; what comes later, too.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from watchword.base import limits
from watchword.base.errors import Refusal
from watchword.protocol import event_types
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.rooms import redaction_tables
from watchword.server.rooms.commands import SendEvent
from watchword.server.rooms.redaction_tables import DueRedaction, MemberRedaction
from watchword.server.rooms.writer import RoomWriter

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WithRelations:
    """Somebody redacts an event with what relates to it by these types; `*` is every type."""

    room_id: RoomId
    event_id: EventId
    user_id: UserId
    rel_types: Sequence[str]
    reason: str | None


class MassRedactions:
    """Carries them out. Run `run` once."""

    def __init__(self, writer: RoomWriter) -> None:
        self._writer = writer
        self._woken = asyncio.Event()
        writer.appender.index.on_due = self._woken.set

    async def with_relations(self, wanted: WithRelations) -> None:
        """Begin to redact what relates to an event; returns once that is certain to be done."""
        writer = self._writer
        room = await writer.registry.find(wanted.room_id)
        if room is None:
            return
        rel_types = None if "*" in wanted.rel_types else wanted.rel_types
        most = limits.redacted_with_relations_max
        async with writer.database.write() as tx:
            user_nid = await writer.names.number(tx, wanted.user_id)
            kept = wanted.rel_types, wanted.reason
            await redaction_tables.save_with_relations(tx, room.room_nid, wanted.event_id, user_nid, *kept)
            nids = await redaction_tables.related_of_types(tx, room.room_nid, wanted.event_id, rel_types, most)
            await redaction_tables.insert_due(tx, room.room_nid, nids, user_nid, wanted.reason)
        self._woken.set()

    async def run(self) -> None:
        """Work through what is due, for ever."""
        while True:
            self._woken.clear()
            if not await self.step():
                await self._woken.wait()

    async def step(self) -> bool:
        """Do a bounded part of what is due; whether there was anything."""
        async with self._writer.database.read() as tx:
            by_member = await redaction_tables.next_member_redaction(tx)
            due = await redaction_tables.due(tx, limits.redactions_at_once)
        if by_member is not None:
            await self._redact_stay(by_member)
        for redaction in due:
            await self._redact_one(redaction)
        return by_member is not None or bool(due)

    async def _redact_stay(self, wanted: MemberRedaction) -> None:
        writer = self._writer
        async with writer.registry.locked(wanted.room_id) as room:
            assert room is not None, wanted.room_id
            async with writer.appending(room) as (tx, durable):
                size = limits.member_redaction_events_at_once
                until = await redaction_tables.end_of_chunk(tx, room.room_nid, wanted.done, wanted.until, size)
                span = (wanted.done, until)
                rows = await redaction_tables.events_of_sender(tx, room.room_nid, wanted.user_id, span)
                for event in await writer.events.decoded(tx, rows):
                    await writer.appender.redactions.prune(tx, room, event, wanted.member_nid)
                await redaction_tables.move_member_redaction(tx, wanted.member_nid, until)
        await durable()

    async def _redact_one(self, due: DueRedaction) -> None:
        writer = self._writer
        async with writer.database.read() as tx:
            event = await writer.events.one(tx, due.event_id)
        if event is not None and event.redacted_by_nid is None:
            content = {} if due.reason is None else {"reason": due.reason}
            try:
                await writer.send(SendEvent(due.room_id, due.user_id, event_types.REDACTION, content, None, due.event_id))
            except Refusal as refusal:
                # He may redact some of them, and others not.
                extra = {"room_id": due.room_id, "event_id": due.event_id, "cause": refusal.errcode}
                logger.info("A related event was not redacted.", extra=extra)
        async with writer.database.write() as tx:
            await redaction_tables.delete_due(tx, (due.number,))
