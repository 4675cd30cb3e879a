"""Pages of history: /messages, /context, with lazily loaded members, each event encoded once.

Spec: client-server-api#get_matrixclientv3roomsroomidmessages, client-server-api#get_matrixclientv3roomsroomidcontexteventid
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.protocol import event_types
from watchword.protocol.ids import EventId, RoomId
from watchword.server.rooms import records, tables
from watchword.server.rooms.event_filters import RoomEventFilter
from watchword.server.rooms.reader import Page, RoomReader
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.tokens import timeline_token
from watchword.server.rooms.view import Reader, RoomView
from watchword.storage import Database


class Backfill(Protocol):
    """Fetches history that is not here yet. Fitted by `backfill.Backfiller` in this feature."""

    async def fetch_before(self, room: Room, ordering: int) -> bool:
        """Fetch some events that come before a place in the timeline; whether any came."""
        ...


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page. start: an ordering; None begins at the end (backwards) or the beginning (forwards) of the room."""

    room_id: RoomId
    reader: Reader
    start: int | None
    stop: int | None
    limit: int
    backwards: bool
    event_filter: RoomEventFilter


@dataclass(frozen=True)
class Pages:
    """Makes pages."""

    database: Database
    reader: RoomReader
    backfill: Backfill
    clock: Clock

    async def messages(self, wanted: PageRequest) -> bytes:
        """The body of /messages. Raises Forbidden."""
        room = await self.reader.readable_room(wanted.room_id, wanted.reader.user_id)
        start = (records.FOREVER if wanted.backwards else 0) if wanted.start is None else wanted.start
        if wanted.backwards and start == records.FOREVER:
            start = records.ordering_of(room.last_position)
        page = await self._page(room, wanted, start)
        fetched = False
        if wanted.backwards and wanted.stop is None:
            for _ in range(limits.backfill_rounds_max):
                if not await self._has_gap(room, start, page.end) or not await self.backfill.fetch_before(room, start + 1):
                    break
                fetched = True
                page = await self._page(room, wanted, start)
        shown = await self._wanted(page.view, wanted, page.events)
        end = page.end
        if end is None and wanted.backwards and (fetched or page.events):
            below = (page.events[-1].ordering or 1) - 1 if page.events else start
            end = below if await self._has_gap(room, below, None) else None
        now_ms = self.clock.now_ms()
        bundles = await self.reader.bundles.encoded(page.view, shown, now_ms)
        chunk = page.view.encode_all(shown, now_ms, relations=bundles)
        parts = [
            b'"chunk":[' + b",".join(chunk) + b"]",
            b'"start":' + orjson.dumps(timeline_token(start)),
        ]
        if end is not None:
            parts.append(b'"end":' + orjson.dumps(timeline_token(end)))
        if wanted.event_filter.lazy_load_members:
            parts.append(b'"state":[' + b",".join(await self._senders(page.view, shown, now_ms)) + b"]")
        return b"{" + b",".join(parts) + b"}"

    async def _wanted(self, view: RoomView, wanted: PageRequest, events: Sequence[StoredEvent]) -> list[StoredEvent]:
        """Those that the filter allows, without messages of users whom the reader ignores: /sync has left them out too."""
        ignored = await self.reader.bundles.ignored_in(view)
        allowed = [
            event
            for event in events
            if (event.pdu.sender not in ignored or event.pdu.state_key is not None) and wanted.event_filter.allows(event.pdu)
        ]
        if not wanted.event_filter.asks_for_relations:
            return allowed
        async with self.database.read() as tx:
            related = await self.reader.related_by(tx, view.room, wanted.event_filter, allowed)
        return [event for event in allowed if related is None or event.event_id in related]

    async def _page(self, room: Room, wanted: PageRequest, start: int) -> Page:
        async with self.database.read() as tx:
            view = await self.reader.view(tx, room, wanted.reader)
            if wanted.backwards:
                span = (0 if wanted.stop is None else wanted.stop, start)
            else:
                span = (start, records.FOREVER if wanted.stop is None else wanted.stop)
            return await self.reader.timeline(view, tx, span, wanted.limit, backwards=wanted.backwards)

    async def _has_gap(self, room: Room, start: int, end: int | None) -> bool:
        """Whether events are missing in a page backwards from start to end, which is None where it reaches the beginning."""
        async with self.database.read() as tx:
            # What comes just before start + 1 belongs to this page: the page before ended there.
            missing = await tables.missing_before(tx, room.room_nid, start + 1, 1)
        return bool(missing) and (end is None or missing[0][1] > end)

    async def _senders(self, view: RoomView, events: Sequence[StoredEvent], now_ms: int) -> list[bytes]:
        """Member events of the senders of a page, as they are now, or were when the reader left."""
        senders = dict.fromkeys(event.pdu.sender for event in events)
        until = await self.reader.readable_until(view.room, view.reader.user_id)
        state = {} if until is None else await self.reader.state_at(view.room, until)
        ids = [state.get((event_types.MEMBER, sender)) for sender in senders]
        found = await self.reader.found([event_id for event_id in ids if event_id is not None])
        return view.encode_all(found.values(), now_ms)

    async def context(self, room_id: RoomId, event_id: EventId, wanted: PageRequest) -> bytes:
        """The body of /context: an event and what stands around it. Raises NotFound."""
        view, event = await self.reader.one_event(room_id, event_id, wanted.reader)
        assert event.ordering is not None
        half = wanted.limit // 2
        async with self.database.read() as tx:
            before = await self.reader.timeline(view, tx, (0, event.ordering - 1), half, backwards=True)
            after = await self.reader.timeline(
                view, tx, (event.ordering, records.FOREVER), wanted.limit - half, backwards=False
            )
        events_before = await self._wanted(view, wanted, before.events)
        events_after = await self._wanted(view, wanted, after.events)
        last = after.events[-1] if after.events else event
        state = dict(await self.reader.state_before(view.room, last))
        if last.pdu.state_address is not None:
            state[last.pdu.state_address] = last.event_id
        if wanted.event_filter.lazy_load_members:
            senders = {found.pdu.sender for found in (*events_before, event, *events_after)}
            state = {key: value for key, value in state.items() if key[0] != event_types.MEMBER or key[1] in senders}
        now_ms = self.clock.now_ms()
        members: dict[str, Any] = {
            "start": timeline_token(before.end if before.end is not None else _before(before.events, event)),
            "end": timeline_token(last.ordering or 0),
        }
        encoded_state = view.encode_all((await self.reader.found(state.values())).values(), now_ms)
        bundles = await self.reader.bundles.encoded(view, [*events_before, event, *events_after], now_ms)

        def encoded(found: StoredEvent) -> bytes:
            return view.encode(found, now_ms, relations=bundles.get(found.event_id))

        return b"".join(
            (
                orjson.dumps(members)[:-1],
                b',"event":',
                encoded(event),
                b',"events_before":[',
                b",".join(encoded(found) for found in events_before),
                b'],"events_after":[',
                b",".join(encoded(found) for found in events_after),
                b'],"state":[',
                b",".join(encoded_state),
                b"]}",
            )
        )


def _before(events: Sequence[StoredEvent], event: StoredEvent) -> int:
    oldest = events[-1] if events else event
    return max(0, (oldest.ordering or 1) - 1)
