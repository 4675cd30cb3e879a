"""The sections of single rooms in a sync response, as encoded bytes.

The timeline of a span is encoded once for all who read it alike. Deliberately absent: which rooms belong into a response
(`service`).

Spec: client-server-api#syncing
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cachebox
import orjson

from watchword.base.clock import Clock
from watchword.protocol import event_types
from watchword.protocol.events import StateKey
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.rooms.ephemeral import Ephemeral
from watchword.server.rooms.reader import MemberChange, RoomReader
from watchword.server.rooms.records import ReceiptRow
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.tokens import timeline_token
from watchword.server.rooms.view import RoomView
from watchword.server.sync.lazy_members import LazyMembers, heroes
from watchword.server.sync.ports import UnreadCounts
from watchword.server.sync.projection import projected
from watchword.server.sync.spans import Extras, RoomSpan
from watchword.server.sync.timelines import Timeline, timeline_of
from watchword.storage import Database, Position, ReadTx

_SHARED_MAX = 4_096
_SHARED_MS = 16_384
"""How long encoded bytes are shared: the ages in them grow old."""


@dataclass(frozen=True, slots=True)
class _Shared:
    """Encoded timeline and (empty) state of a span. senders: whose events are in it, with their member events."""

    senders: Mapping[UserId, EventId | None]
    encoded: bytes


class RoomSections:
    """Builds sections."""

    def __init__(
        self, database: Database, reader: RoomReader, ephemeral: Ephemeral, unread: UnreadCounts, clock: Clock
    ) -> None:
        self._database = database
        self._reader = reader
        self._ephemeral = ephemeral
        self._unread = unread
        self._clock = clock
        self._shared: cachebox.LRUCache[_SharedKey, _Shared | None] = cachebox.LRUCache(_SHARED_MAX)
        self._lazy = LazyMembers(reader)

    async def section(self, span: RoomSpan, extras: Extras) -> tuple[bytes, Mapping[UserId, MemberChange]]:
        """The encoded section of a joined or left room (b"" if there is nothing to say), and whose membership changed."""
        room = span.room
        shared = self._shared_section(span, extras)
        if shared is not None:
            return b"{" + shared + b"," + await self._encoded_unread(span) + b"}", {}
        async with self._database.read() as tx:
            view = await self._reader.view(tx, room, span.reader)
            timeline = await timeline_of(self._reader, tx, view, span)
            changed: Mapping[UserId, MemberChange] = {}
            if span.since is not None and not span.left and room.last_state_position > span.since:
                changed = await self._reader.member_changes(tx, room, span.since, span.until)
            came_or_went = any(was != now for was, now in changed.values())
            summary = not span.left and (span.state_since is None or came_or_went)
            state = await self._state(tx, span, timeline)
            events: Mapping[EventId, StoredEvent] = await self._reader.events.many(tx, state.values())
            if span.is_lazy:
                events = await self._lazy.chosen(tx, span, timeline, events, summary=summary)
            sticky = await self._sticky(tx, span, timeline)
        if not span.sync_filter.state.allows_everything:
            events = {event_id: event for event_id, event in events.items() if span.sync_filter.state.allows(event.pdu)}
        bundles = await self._bundles(view, span, timeline)
        parts = [self._encoded_timeline(view, span, timeline, bundles), self._encoded_state(view, span, events)]
        # Bundles are their reader's own.
        if not state and not events and not bundles and view.sight.all_visible:
            self._share(span, extras, timeline, b",".join(parts))
        ephemeral, is_read = await self._ephemeral_events(span, extras)
        silent = not (timeline.events or timeline.limited or events or ephemeral or extras.account_data or is_read or summary)
        if silent and not sticky and span.state_since is not None:
            return b"", changed
        if ephemeral:
            parts.append(b'"ephemeral":{"events":[' + b",".join(ephemeral) + b"]}")
        if extras.account_data:
            parts.append(b'"account_data":{"events":[' + b",".join(extras.account_data) + b"]}")
        if summary:
            parts.append(b'"summary":' + orjson.dumps(_summary(span)))
        parts += self._encoded_sticky(view, span, sticky)
        if not span.left:
            parts.append(await self._encoded_unread(span))
        return b"{" + b",".join(parts) + b"}", changed

    def typing_moved_at(self, room_id: RoomId) -> int:
        """Where the list of those who type last changed in a room."""
        return self._ephemeral.typing.moved_at(room_id)

    # What all readers of a room get alike

    def _shared_section(self, span: RoomSpan, extras: Extras) -> bytes | None:
        """Timeline and state as another reader got them in the same span, if this reader gets the very same."""
        key = self._shared_key(span, extras)
        shared = None if key is None else self._shared.get(key, None)
        if shared is None or span.reader.user_id in shared.senders:
            return None
        joined = span.room.joined_since.get(span.reader.user_id)
        if joined is None or joined > (span.since or 0):
            return None
        if span.is_lazy and not self._lazy.are_known(span, shared.senders):
            return None
        return shared.encoded

    def _share(self, span: RoomSpan, extras: Extras, timeline: Timeline, encoded: bytes) -> None:
        """Keep what was just encoded for the next reader: a span in which no state changed, without the reader's own."""
        key = self._shared_key(span, extras)
        senders = {event.pdu.sender: span.room.state.get((event_types.MEMBER, event.pdu.sender)) for event in timeline.events}
        if key is None or span.reader.user_id in senders:
            return
        joined = span.room.joined_since.get(span.reader.user_id)
        if joined is not None and joined <= (span.since or 0):
            self._shared[key] = _Shared(senders, encoded)

    def _shared_key(self, span: RoomSpan, extras: Extras) -> "_SharedKey | None":
        """None where the section has parts of its reader alone."""
        if span.since is None or span.full_state or span.left or extras.account_data or extras.typing or extras.receipts:
            return None
        if span.room.last_state_position > span.since or span.ignores_somebody:
            return None
        if self._reader.sticky.newest_of(span.room.room_id) > span.since:
            # How long they are sticky is told to the millisecond.
            return None
        now = self._clock.now_ms() // _SHARED_MS
        return (span.room.room_id, span.since, span.until, span.sync_filter.key, span.state_form, now)

    # Timeline

    async def _bundles(self, view: RoomView, span: RoomSpan, timeline: Timeline) -> Mapping[EventId, bytes]:
        """Of a timeline that leaves events out: those may relate to the ones that are shown. Otherwise the client sees all.

        Spec: client-server-api#aggregations-of-child-events
        """
        if not timeline.limited or span.sync_filter.federation_format:
            return {}
        return await self._reader.bundles.encoded(view, timeline.events, self._clock.now_ms(), with_room_id=False)

    def _encoded_timeline(self, view: RoomView, span: RoomSpan, timeline: Timeline, bundles: Mapping[EventId, bytes]) -> bytes:
        now_ms = self._clock.now_ms()
        events = b",".join(_events(view, span, timeline.events, now_ms, bundles))
        return b'"timeline":{"events":[%b],"limited":%b,"prev_batch":"%b"}' % (
            events,
            b"true" if timeline.limited else b"false",
            timeline_token(max(0, timeline.before)).encode(),
        )

    # Sticky events

    async def _sticky(self, tx: ReadTx, span: RoomSpan, timeline: Timeline) -> Sequence[StoredEvent]:
        """The sticky events of a span that its timeline does not show. The filters for other events say nothing of these.

        Spec: proposals/4354
        """
        event_ids = () if span.left else self._reader.sticky.between(span.room.room_id, span.since or 0, span.until)
        if not event_ids:
            return ()
        shown = {event.event_id for event in timeline.events}
        found = await self._reader.events.many(tx, [event_id for event_id in event_ids if event_id not in shown])
        events = (found[event_id] for event_id in event_ids if event_id in found)
        return [event for event in events if event.is_shown and event.pdu.sender not in span.ignored]

    def _encoded_sticky(self, view: RoomView, span: RoomSpan, events: Sequence[StoredEvent]) -> list[bytes]:
        """A section for each of the two names under which events are sticky."""
        now_ms = self._clock.now_ms()
        sections: dict[str, list[bytes]] = {}
        for event in events:
            entry = view.sticky.get(event.event_id)
            if entry is not None:
                sections.setdefault(entry.naming.key, []).append(_events(view, span, (event,), now_ms, {})[0])
        return [b'"%b":{"events":[%b]}' % (key.encode(), b",".join(encoded)) for key, encoded in sections.items()]

    # State

    async def _state(self, tx: ReadTx, span: RoomSpan, timeline: Timeline) -> dict[StateKey, EventId]:
        """What the client must know beside the timeline: see `RoomSpan.state_after`."""
        room, wanted = span.room, span.sync_filter.state
        if not wanted.allows_room(room.room_id):
            return {}
        until: int = span.until
        if span.left:
            # A ban after the stay, or an invite that was rejected, does not show what the room was then.
            stay = await self._reader.sights.last_stay(tx, room, span.reader.user_id)
            until = min(until, 0 if stay is None else stay[1])
        start = min(timeline.start_position, until)
        state: dict[StateKey, EventId]
        if span.state_after:
            state = dict(await self._known_since(tx, span, until))
        else:
            state = dict(await self._known_since(tx, span, start))
            # State that changed under the timeline without an event in it (state resolution, a filter).
            shown = {event.event_id for event in timeline.events}
            late = await self._between(tx, span, max(start, span.state_since or 0), until)
            state.update((key, event_id) for key, event_id in late.items() if event_id not in shown)
        if not wanted.allows_everything:
            state = {key: event_id for key, event_id in state.items() if wanted.allows_type(key[0])}
        return state

    async def _known_since(self, tx: ReadTx, span: RoomSpan, position: int) -> Mapping[StateKey, EventId]:
        """What the state at a position has that the client has not."""
        if span.state_since is None:
            return await self._reader.state_at(span.room, position, tx) if position else {}
        return await self._between(tx, span, span.state_since, position)

    async def _between(self, tx: ReadTx, span: RoomSpan, after: int, until: int) -> Mapping[StateKey, EventId]:
        if not after and until >= span.room.last_state_position:
            return span.room.state
        return await self._reader.state_delta(tx, span.room, Position(after), Position(until)) if until > after else {}

    def _encoded_state(self, view: RoomView, span: RoomSpan, events: Mapping[EventId, StoredEvent]) -> bytes:
        now_ms = self._clock.now_ms()
        encoded = b",".join(_events(view, span, events.values(), now_ms, {}))
        return b'"%b":{"events":[%b]}' % (span.state_form, encoded)

    # The rest

    async def _ephemeral_events(self, span: RoomSpan, extras: Extras) -> tuple[list[bytes], bool]:
        """Encoded typing and receipts, and whether the reader himself read on: then his counts are others."""
        if span.left:
            return [], False
        room, wanted = span.room, span.sync_filter.ephemeral
        events = []
        if wanted.allows_type("m.typing") and wanted.allows_room(room.room_id) and (extras.typing or span.since is None):
            typing = [user_id for user_id in self._ephemeral.typing.users(room.room_id) if user_id in room.members.joined]
            if typing or span.since is not None:
                events.append(orjson.dumps({"type": "m.typing", "content": {"user_ids": typing}}))
        after = span.since or Position(0)
        if not (extras.receipts or span.since is None) or room.receipts_position <= after:
            return events, False
        receipts = await self._ephemeral.receipts_since(room, span.reader.user_id, after, span.until)
        if receipts and wanted.allows_type("m.receipt") and wanted.allows_room(room.room_id):
            events.append(orjson.dumps({"type": "m.receipt", "content": receipts_content(receipts)}))
        return events, any(row.user_id == span.reader.user_id for row in receipts)

    async def _encoded_unread(self, span: RoomSpan) -> bytes:
        unread = await self._unread.unread(span.reader.user_id, span.room)
        notifications, highlights = unread.notifications, unread.highlights
        threads = unread.threads
        if not span.sync_filter.timeline.unread_thread_notifications:
            notifications += sum(count for count, _ in threads.values())
            highlights += sum(count for _, count in threads.values())
            threads = {}
        encoded = b'"unread_notifications":{"notification_count":%d,"highlight_count":%d}' % (notifications, highlights)
        if threads:
            by_root = {root: {"notification_count": count, "highlight_count": loud} for root, (count, loud) in threads.items()}
            encoded += b',"unread_thread_notifications":' + orjson.dumps(by_root)
        return encoded


def _events(
    view: RoomView, span: RoomSpan, events: Iterable[StoredEvent], now_ms: int, bundles: Mapping[EventId, bytes]
) -> list[bytes]:
    if span.sync_filter.federation_format:
        return [event.json for event in events]
    encoded = view.encode_all(events, now_ms, with_room_id=False, relations=bundles)
    fields = span.sync_filter.event_fields
    return encoded if fields is None else [projected(event, fields) for event in encoded]


def receipts_content(receipts: Sequence[ReceiptRow]) -> dict[str, Any]:
    """The content of an m.receipt event. Spec: client-server-api#mreceipt"""
    content: dict[str, Any] = {}
    for row in receipts:
        data: dict[str, Any] = {"ts": row.ts}
        if row.thread_id:
            data["thread_id"] = row.thread_id
        users = content.setdefault(row.event_id, {}).setdefault(row.receipt_type, {})
        # There is room for one of a user's receipts at an event: the unthreaded one says more.
        if not row.thread_id or row.user_id not in users:
            users[row.user_id] = data
    return content


def _summary(span: RoomSpan) -> dict[str, Any]:
    return {
        "m.joined_member_count": len(span.room.members.joined),
        "m.invited_member_count": len(span.room.members.invited),
        "m.heroes": heroes(span.room, span.reader.user_id),
    }


_SharedKey = tuple[str, int, int, int, bytes, int]
