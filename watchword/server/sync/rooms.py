"""The sections of single rooms in a sync response, as encoded bytes.

The timeline of a span is encoded once for all who read it alike. Deliberately absent: which rooms belong into a response
(`service`).

Spec: client-server-api#syncing
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cachebox
import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.protocol import event_types
from watchword.protocol.events import StateKey
from watchword.protocol.ids import EventId, UserId
from watchword.server.rooms import records
from watchword.server.rooms.ephemeral import Ephemeral
from watchword.server.rooms.event_filters import RoomEventFilter
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.records import ReceiptRow
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.tokens import timeline_token
from watchword.server.rooms.view import Reader, RoomView
from watchword.server.sync.filters import SyncFilter
from watchword.server.sync.ports import UnreadCounts
from watchword.server.sync.projection import projected
from watchword.storage import Database, Position, ReadTx

_HEROES_MAX = 5
_HERO_SCAN_MAX = 50
_SHARED_MAX = 4_096
_SENT_MEMBERS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class RoomSpan:
    """What of a room a response covers. since: None for everything (the first time, or full_state)."""

    room: Room
    reader: Reader
    since: Position | None
    until: Position
    sync_filter: SyncFilter
    state_after: bool
    left: bool = False


@dataclass(frozen=True, slots=True)
class Extras:
    """What else belongs into the room's section: encoded account data events, and whether typing and receipts moved."""

    account_data: Sequence[bytes] = ()
    typing: bool = False
    receipts: bool = False


@dataclass(slots=True)
class Timeline:
    """Visible events of a span, oldest first, and what stands before them."""

    events: Sequence[StoredEvent]
    limited: bool
    before: int
    """The ordering just before the first event: what prev_batch continues from."""

    @property
    def start_position(self) -> int:
        """The position whose state is the state before the first event; 0 before the room's own first event."""
        if not self.events:
            return records.position_of(self.before)
        return 0 if self.events[0].pdu.type == event_types.CREATE else self.events[0].position - 1


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
        self._shared: cachebox.LRUCache[tuple[str, int, int, int, bool], _Shared | None] = cachebox.LRUCache(_SHARED_MAX)
        self._sent_members: cachebox.LRUCache[tuple[str, str | None, str], dict[str, EventId] | None] = cachebox.LRUCache(
            _SENT_MEMBERS_MAX
        )

    async def section(self, span: RoomSpan, extras: Extras) -> tuple[bytes, Mapping[StateKey, StoredEvent]]:
        """The encoded section of a joined or left room (b"" if there is nothing to say), and the members that changed."""
        room = span.room
        shared = self._shared_section(span, extras)
        if shared is not None:
            return b"{" + shared + b"," + await self._encoded_unread(span) + b"}", {}
        async with self._database.read() as tx:
            view = await self._reader.view(tx, room, span.reader)
            timeline = await self._timeline(tx, view, span)
            state = await self._state(tx, span, timeline)
            events = await self._reader.events.many(tx, state.values())
        if _is_lazy(span):
            events = await self._lazy_members(span, timeline, events)
        changed = {
            event.pdu.state_address: event
            for event in (*events.values(), *timeline.events)
            if event.pdu.type == event_types.MEMBER and event.pdu.state_address is not None
        }
        parts = [self._encoded_timeline(view, span, timeline), await self._encoded_state(view, span, events)]
        if not state and not changed and view.sight.all_visible:
            self._share(span, extras, timeline, b",".join(parts))
        ephemeral = await self._ephemeral_events(span, extras)
        if ephemeral:
            parts.append(b'"ephemeral":{"events":[' + b",".join(ephemeral) + b"]}")
        if extras.account_data:
            parts.append(b'"account_data":{"events":[' + b",".join(extras.account_data) + b"]}")
        if not span.left:
            if span.since is None or changed:
                parts.append(b'"summary":' + orjson.dumps(await self._summary(span)))
            parts.append(await self._encoded_unread(span))
        silent = not timeline.events and not events and not ephemeral and not extras.account_data and not extras.receipts
        if silent and span.since is not None and not timeline.limited:
            return b"", changed
        return b"{" + b",".join(part for part in parts if part) + b"}", changed

    # What all readers of a room get alike

    def _shared_section(self, span: RoomSpan, extras: Extras) -> bytes | None:
        """Timeline and state as another reader got them in the same span, if this reader gets the very same."""
        key = _shared_key(span, extras)
        shared = None if key is None else self._shared.get(key, None)
        if shared is None or span.reader.user_id in shared.senders:
            return None
        joined = span.room.joined_since.get(span.reader.user_id)
        if joined is None or joined > (span.since or 0):
            return None
        if _is_lazy(span):
            sent = self._sent_members.get((span.reader.user_id, span.reader.device_id, span.room.room_id), None)
            if sent is None or any(sent.get(sender) != event_id for sender, event_id in shared.senders.items()):
                return None
        return shared.encoded

    def _share(self, span: RoomSpan, extras: Extras, timeline: Timeline, encoded: bytes) -> None:
        """Keep what was just encoded for the next reader: a span in which no state changed, without the reader's own."""
        key = _shared_key(span, extras)
        senders = {event.pdu.sender: span.room.state.get((event_types.MEMBER, event.pdu.sender)) for event in timeline.events}
        if key is None or span.reader.user_id in senders:
            return
        joined = span.room.joined_since.get(span.reader.user_id)
        if joined is not None and joined <= (span.since or 0):
            self._shared[key] = _Shared(senders, encoded)

    # Timeline

    async def _timeline(self, tx: ReadTx, view: RoomView, span: RoomSpan) -> Timeline:
        room, wanted = span.room, span.sync_filter.timeline
        limit = limits.sync_timeline_default if wanted.limit is None else min(wanted.limit, limits.sync_timeline_max)
        floor = 0 if span.since is None else records.ordering_of(span.since)
        ceiling = records.ordering_of(span.until)
        if not wanted.allows_room(room.room_id) or not span.sync_filter.rooms.allows_room(room.room_id):
            return Timeline((), False, ceiling)
        found = self._recent(view, floor, ceiling, limit, wanted) if view.sight.all_visible else None
        if found is None:
            allows = None if wanted.allows_everything else wanted.allows
            page = await self._reader.timeline(view, tx, (floor, ceiling), limit + 1, backwards=True, allows=allows)
            found = list(reversed(page.events))
        limited = len(found) > limit
        shown = found[len(found) - limit :] if limited else found
        first = found[len(found) - limit] if limited and limit else (found[0] if found else None)
        before = ceiling if first is None or not limit else (first.ordering or 1) - 1
        if span.since is None and not limited and found and found[0].pdu.type != event_types.CREATE:
            # A first look at a room whose history goes on at other servers is limited too: there is more to fetch.
            limited = await self._reader.has_missing_before(tx, room, found[0].ordering or 0)
        return Timeline(shown, limited, before)

    def _recent(
        self, view: RoomView, floor: int, ceiling: int, limit: int, wanted: RoomEventFilter
    ) -> list[StoredEvent] | None:
        """The events of a span from memory, if they are all there, or more than are wanted."""
        room = view.room
        if floor < room.recent_floor and len(room.recent) <= limit:
            return None
        found = [event for event in room.recent if floor < (event.ordering or 0) <= ceiling and wanted.allows(event.pdu)]
        return found if floor >= room.recent_floor or len(found) > limit else None

    def _encoded_timeline(self, view: RoomView, span: RoomSpan, timeline: Timeline) -> bytes:
        now_ms = self._clock.now_ms()
        events = b",".join(self._event(view, span, event, now_ms) for event in timeline.events)
        return b'"timeline":{"events":[%b],"limited":%b,"prev_batch":"%b"}' % (
            events,
            b"true" if timeline.limited else b"false",
            timeline_token(max(0, timeline.before)).encode(),
        )

    def _event(self, view: RoomView, span: RoomSpan, event: StoredEvent, now_ms: int) -> bytes:
        if span.sync_filter.federation_format:
            return event.json
        encoded = view.encode(event, now_ms, with_room_id=False)
        fields = span.sync_filter.event_fields
        return encoded if fields is None else projected(encoded, fields)

    # State

    async def _state(self, tx: ReadTx, span: RoomSpan, timeline: Timeline) -> dict[StateKey, EventId]:
        """What the client must know beside the timeline: see `RoomSpan.state_after`."""
        room, start = span.room, timeline.start_position
        if not span.sync_filter.state.allows_room(room.room_id):
            return {}
        base = span.since
        state: dict[StateKey, EventId]
        if span.state_after:
            state = dict(
                await self._state_at(tx, room, span.until)
                if base is None
                else await self._reader.state_delta(tx, room, base, span.until)
            )
        else:
            state = await self._state_before(tx, span, timeline)
            # State that changed under the timeline without an event in it (state resolution).
            shown = {event.event_id for event in timeline.events}
            late: Mapping[StateKey, EventId]
            if not start and span.until >= room.last_state_position:
                late = room.state
            else:
                late = await self._reader.state_delta(tx, room, Position(start), span.until)
            state.update((key, event_id) for key, event_id in late.items() if event_id not in shown)
        wanted = span.sync_filter.state
        if not wanted.allows_everything:
            state = {key: event_id for key, event_id in state.items() if wanted.allows_type(key[0])}
        return state

    async def _state_before(self, tx: ReadTx, span: RoomSpan, timeline: Timeline) -> dict[StateKey, EventId]:
        """What the client must know before the first event of the timeline."""
        room, start = span.room, timeline.start_position
        if span.since is not None:
            return dict(await self._reader.state_delta(tx, room, span.since, Position(max(span.since, start))))
        return dict(await self._state_at(tx, room, start)) if start else {}

    async def _state_at(self, tx: ReadTx, room: Room, position: int) -> Mapping[StateKey, EventId]:
        return await self._reader.state_at(room, position, tx)

    async def _lazy_members(
        self, span: RoomSpan, timeline: Timeline, events: Mapping[EventId, StoredEvent]
    ) -> dict[EventId, StoredEvent]:
        """Keep only the members that the client needs, and add senders whom it may not know yet.

        Members in the gap of a limited timeline stay. Spec: client-server-api#lazy-loading-room-members
        """
        room, user_id = span.room, span.reader.user_id
        wanted = {event.pdu.sender for event in timeline.events}
        if span.since is None:
            wanted.add(user_id)
            wanted.update(_heroes(room, user_id))
            kept = {
                event_id: event
                for event_id, event in events.items()
                if event.pdu.type != event_types.MEMBER or event.pdu.state_key in wanted
            }
        else:
            kept = dict(events)
        key = (user_id, span.reader.device_id, room.room_id)
        sent = self._sent_members.get(key, None)
        if sent is None or span.since is None:
            sent = {}
        in_timeline = {event.pdu.state_key for event in timeline.events if event.pdu.type == event_types.MEMBER}
        missing = []
        for sender in wanted:
            event_id = room.state.get((event_types.MEMBER, sender))
            if event_id is None or event_id in kept or sender in in_timeline:
                continue
            if sent.get(sender) != event_id or span.sync_filter.state.include_redundant_members:
                missing.append(event_id)
                sent[sender] = event_id
        self._sent_members[key] = sent
        if missing:
            kept.update(await self._reader.found(missing))
        return kept

    async def _encoded_state(self, view: RoomView, span: RoomSpan, events: Mapping[EventId, StoredEvent]) -> bytes:
        name = b'"state_after"' if span.state_after else b'"state"'
        if not events:
            return name + b':{"events":[]}'
        now_ms = self._clock.now_ms()
        return name + b':{"events":[%b]}' % b",".join(self._event(view, span, event, now_ms) for event in events.values())

    # The rest

    async def _ephemeral_events(self, span: RoomSpan, extras: Extras) -> list[bytes]:
        if span.left:
            return []
        room, wanted = span.room, span.sync_filter.ephemeral
        events = []
        if wanted.allows_type("m.typing") and (extras.typing or span.since is None):
            typing = self._ephemeral.typing.users(room.room_id)
            if typing or extras.typing:
                events.append(orjson.dumps({"type": "m.typing", "content": {"user_ids": typing}}))
        if wanted.allows_type("m.receipt") and (extras.receipts or span.since is None):
            after = Position(0) if span.since is None else span.since
            receipts = (
                ()
                if room.receipts_position <= after
                else await self._ephemeral.receipts_since(room, span.reader.user_id, after, span.until)
            )
            if receipts:
                events.append(orjson.dumps({"type": "m.receipt", "content": receipts_content(receipts)}))
        return events

    async def _summary(self, span: RoomSpan) -> dict[str, Any]:
        room = span.room
        summary: dict[str, Any] = {
            "m.joined_member_count": len(room.members.joined),
            "m.invited_member_count": len(room.members.invited),
        }
        if (event_types.NAME, "") not in room.state and (event_types.CANONICAL_ALIAS, "") not in room.state:
            summary["m.heroes"] = _heroes(room, span.reader.user_id)
        return summary

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


def _is_lazy(span: RoomSpan) -> bool:
    return span.sync_filter.state.lazy_load_members or span.sync_filter.timeline.lazy_load_members


def _shared_key(span: RoomSpan, extras: Extras) -> tuple[str, int, int, int, bool] | None:
    """None where the section has parts of its reader alone."""
    if span.since is None or span.left or extras.account_data or extras.typing or extras.receipts:
        return None
    if span.room.last_state_position > span.since:
        return None
    return (span.room.room_id, span.since, span.until, span.sync_filter.key, span.state_after)


def receipts_content(receipts: Sequence[ReceiptRow]) -> dict[str, Any]:
    """The content of an m.receipt event. Spec: client-server-api#mreceipt"""
    content: dict[str, Any] = {}
    for row in receipts:
        data: dict[str, Any] = {"ts": row.ts}
        if row.thread_id:
            data["thread_id"] = row.thread_id
        content.setdefault(row.event_id, {}).setdefault(row.receipt_type, {})[row.user_id] = data
    return content


def _heroes(room: Room, user_id: UserId) -> list[UserId]:
    """Up to five joined or invited members beside the user; if there are none, those who were there."""
    heroes: list[UserId] = []
    for wanted in (("join", "invite"), ("leave", "ban")):
        for scanned, (member, membership) in enumerate(room.members.membership.items()):
            if scanned >= _HERO_SCAN_MAX or len(heroes) == _HEROES_MAX:
                break
            if member != user_id and membership in wanted:
                heroes.append(member)
        if heroes:
            break
    return heroes
