"""The threads of a room, those with the newest events first.

Spec: client-server-api#get_matrixclientv1roomsroomidthreads
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.redaction import redact
from watchword.protocol.relations import may_be_thread_root
from watchword.server.rooms import records, relation_tables
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.relations_bundling import Related
from watchword.server.rooms.stored import StoredEvent, pdu_of
from watchword.server.rooms.tokens import timeline_token
from watchword.server.rooms.view import Reader, RoomView
from watchword.storage import ReadTx


@dataclass(frozen=True, slots=True)
class ThreadsRequest:
    """Which page. before: the place before which the newest event of a thread must stand. participated: only one's own."""

    room_id: RoomId
    reader: Reader
    before: int
    limit: int
    participated: bool = False


@dataclass(frozen=True)
class Threads:
    """Lists threads."""

    reader: RoomReader
    clock: Clock

    async def page(self, wanted: ThreadsRequest) -> bytes:
        """The body of /threads. Raises Forbidden."""
        room = await self.reader.readable_room(wanted.room_id, wanted.reader.user_id)
        async with self.reader.database.read() as tx:
            view = await self.reader.view(tx, room, wanted.reader)
        ignored = await self.reader.bundles.ignored_in(view)
        found: list[StoredEvent] = []
        related = Related()
        before: int | None = wanted.before
        looked_at = 0
        while before is not None and len(found) < wanted.limit and looked_at < limits.threads_looked_at_max:
            size = wanted.limit - len(found)
            roots, before = await self._roots(view, before, ignored, size)
            looked_at += size
            some = await self.reader.bundles.related(view, roots)
            if some is not None:
                found.extend(root for root in roots if _is_wanted(some, root.event_id, wanted))
                related.take(some)
        now_ms = self.clock.now_ms()
        encoded = []
        for root in found:
            relations = self.reader.bundles.bundle(view, related, root.event_id, now_ms)
            encoded.append(view.encode(_as_seen(root, ignored), now_ms, relations=relations))
        parts = [b'"chunk":[' + b",".join(encoded) + b"]"]
        if before is not None:
            parts.append(b'"next_batch":' + orjson.dumps(timeline_token(before)))
        return b"{" + b",".join(parts) + b"}"

    async def _roots(
        self, view: RoomView, before: int, ignored: Collection[UserId], limit: int
    ) -> tuple[Sequence[StoredEvent], int | None]:
        """The next roots that the reader may see, and where to go on."""
        async with self.reader.database.read() as tx:
            rows = await self._rows(tx, view, before, ignored, limit + 1)
            more = len(rows) > limit
            rows = rows[:limit]
            events = await self.reader.events.many(tx, [root_id for root_id, _ in rows])
            roots = [events[root_id] for root_id, _ in rows if root_id in events]
            roots = [root for root in roots if root.is_shown and root.pdu.room_id == view.room.room_id]
            await self.reader.sights.look_at(tx, view, roots)
        seen = [root for root in roots if view.sees(root) and may_be_thread_root(root.pdu.content)]
        return seen, rows[-1][1] if more else None

    async def _rows(
        self, tx: ReadTx, view: RoomView, before: int, ignored: Collection[UserId], limit: int
    ) -> list[tuple[EventId, int]]:
        room_nid = view.room.room_nid
        if view.sight.all_visible and not ignored:
            return await relation_tables.threads_before(tx, room_nid, before, limit)
        without = await relation_tables.numbers_of(tx, ignored)
        spans = [(_ordering(after), _ordering(until)) for after, until in view.sight.message_spans()]
        return await relation_tables.threads_as_seen(tx, room_nid, before, spans, without, limit)


def _ordering(position: int) -> int:
    return records.FOREVER if position == records.FOREVER else records.ordering_of(position)


def _is_wanted(related: Related, root_id: EventId, wanted: ThreadsRequest) -> bool:
    thread = related.threads.get(root_id)
    return thread is not None and (thread.has_taken_part or not wanted.participated)


def _as_seen(root: StoredEvent, ignored: Collection[UserId]) -> StoredEvent:
    """The root, redacted if the reader ignores who sent it."""
    if root.pdu.sender not in ignored:
        return root
    pdu = pdu_of(root.event_id, redact(root.pdu.json, root.version), root.version)
    return replace(root, pdu=pdu, _base=None, _base_in_room=None, _content=None)
