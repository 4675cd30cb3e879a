"""Pages of the events that relate to one event.

Spec: client-server-api#get_matrixclientv1roomsroomidrelationseventid
"""

from dataclasses import dataclass, replace

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.protocol.ids import EventId, RoomId
from watchword.server.rooms import relation_tables, tables
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.relation_tables import Children
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.tokens import timeline_token
from watchword.server.rooms.view import Reader, RoomView
from watchword.storage import ReadTx

_SCAN_PAGES_MAX = 10


@dataclass(frozen=True, slots=True)
class RelationsRequest:
    """Which page. after < ordering <= until. start: the token that the client came with. recurse: None if not asked."""

    room_id: RoomId
    event_id: EventId
    reader: Reader
    after: int
    until: int
    limit: int
    backwards: bool
    start: str | None = None
    rel_type: str | None = None
    event_type: str | None = None
    recurse: bool | None = None


@dataclass(frozen=True)
class RelatedEvents:
    """Finds related events."""

    reader: RoomReader
    clock: Clock

    async def page(self, wanted: RelationsRequest) -> bytes:
        """The body of /relations. Raises NotFound if the reader may not see the event that they relate to."""
        view, _ = await self.reader.one_event(wanted.room_id, wanted.event_id, wanted.reader)
        ignored = await self.reader.bundles.ignored_in(view)
        async with self.reader.database.read() as tx:
            without = await relation_tables.numbers_of(tx, ignored) if ignored else ()
            asked = Children(
                wanted.event_id,
                wanted.after,
                wanted.until,
                wanted.backwards,
                wanted.limit,
                wanted.rel_type,
                wanted.event_type,
                without,
            )
            events, end = await self._visible(tx, view, asked, recurse=bool(wanted.recurse))
        now_ms = self.clock.now_ms()
        bundles = await self.reader.bundles.encoded(view, events, now_ms)
        encoded = [view.encode(event, now_ms, relations=bundles.get(event.event_id)) for event in events]
        parts = [b'"chunk":[' + b",".join(encoded) + b"]"]
        if end is not None:
            parts.append(b'"next_batch":' + orjson.dumps(timeline_token(end)))
        if wanted.start is not None:
            parts.append(b'"prev_batch":' + orjson.dumps(wanted.start))
        if wanted.recurse is not None:
            parts.append(b'"recursion_depth":%d' % (limits.relations_depth_max if wanted.recurse else 0))
        return b"{" + b",".join(parts) + b"}"

    async def _visible(
        self, tx: ReadTx, view: RoomView, asked: Children, *, recurse: bool
    ) -> tuple[list[StoredEvent], int | None]:
        """Related events that the reader may see, and where to go on; None at the end."""
        found: list[StoredEvent] = []
        end: int | None = None
        for _ in range(_SCAN_PAGES_MAX):
            rows = await self._rows(tx, view, asked, recurse=recurse)
            by_nid = await tables.events_by_nid(tx, [nid for nid, _ in rows])
            events = await self.reader.events.decoded(tx, [by_nid[nid] for nid, _ in rows if nid in by_nid])
            await self.reader.sights.look_at(tx, view, events)
            for event in events:
                if len(found) == asked.limit:
                    return found, end
                assert event.ordering is not None, event.event_id
                end = event.ordering - 1 if asked.backwards else event.ordering
                if view.sees(event):
                    found.append(event)
            if len(rows) <= asked.limit:
                return found, None
            # Much is hidden here: go on behind it.
            asked = replace(asked, until=end) if asked.backwards and end is not None else replace(asked, after=end or 0)
        return found, end

    async def _rows(self, tx: ReadTx, view: RoomView, asked: Children, *, recurse: bool) -> list[tuple[int, int]]:
        """One more than wanted, so that it is known whether there are more."""
        asked = replace(asked, limit=asked.limit + 1)
        room_nid = view.room.room_nid
        if not recurse:
            return await relation_tables.children(tx, room_nid, asked)
        depth, walked = limits.relations_depth_max, limits.relations_walked_max
        return await relation_tables.descendants(tx, room_nid, asked, depth, walked)
