"""Bundled aggregations: what a reader is told with an event of the events that relate to it.

Theory of operation. A page of events asks the index once which of them anything relates to; where nothing does, as a rule,
that is all. Otherwise each kind of relation costs one more query for the whole page, whatever the number of children, and
the events that are told of are loaded together. Nothing is kept between requests: the events are cached already, and how much
of a thread is to be told differs from reader to reader.

Readers who may see everything are answered from the counts that the index keeps. For others (the history was hidden from
them, once) the children are looked at one by one, up to a bound.
Annotations are deliberately absent: clients ask for reactions themselves. State events get no bundle.

Spec: client-server-api#aggregations-of-child-events
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from watchword.base import limits
from watchword.protocol.ids import EventId, UserId
from watchword.protocol.relations import is_edit, may_be_thread_root
from watchword.server.accounts.reader import AccountReader
from watchword.server.rooms import relation_tables, tables
from watchword.server.rooms.records import is_history
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import EventStore, StoredEvent
from watchword.server.rooms.view import RoomView, Sights
from watchword.storage import Database, ReadTx
from watchword.storage.names import Names


@dataclass(slots=True)
class Thread:
    """A thread as one reader sees it. latest: number and place of its newest event that he may see, then the event."""

    count: int
    latest: tuple[int, int]
    has_taken_part: bool
    latest_event: StoredEvent | None = None


@dataclass(slots=True)
class Related:
    """What of a page's relations one reader is told, by parent."""

    edits: dict[EventId, StoredEvent] = field(default_factory=dict)
    threads: dict[EventId, Thread] = field(default_factory=dict)
    references: dict[EventId, Sequence[EventId]] = field(default_factory=dict)
    nested: "Related | None" = None

    @property
    def parents(self) -> Iterable[EventId]:
        """Events that have anything."""
        return self.edits.keys() | self.threads.keys() | self.references.keys()

    def take(self, other: "Related") -> None:
        """Add what is known of other parents."""
        self.edits.update(other.edits)
        self.threads.update(other.threads)
        self.references.update(other.references)
        if other.nested is not None:
            self.nested = self.nested or Related()
            self.nested.take(other.nested)


@dataclass(frozen=True)
class Bundles:
    """Makes bundles."""

    database: Database
    names: Names
    events: EventStore
    sights: Sights
    accounts: AccountReader

    async def encoded(
        self, view: RoomView, events: Sequence[StoredEvent], now_ms: int, *, with_room_id: bool = True
    ) -> Mapping[EventId, bytes]:
        """The encoded `m.relations` of those of a room's events that have any, for `RoomView.encode`.

        events: what the view's reader may see. Open no transaction around it.
        """
        related = await self.related(view, events)
        if related is None:
            return {}
        return {event_id: _encoded(view, related, event_id, now_ms, with_room_id=with_room_id) for event_id in related.parents}

    def bundle(self, view: RoomView, related: Related, event_id: EventId, now_ms: int) -> bytes | None:
        """`m.relations` of one event, of what was looked up before."""
        return _encoded(view, related, event_id, now_ms, with_room_id=True) if event_id in related.parents else None

    async def ignored_in(self, view: RoomView) -> frozenset[UserId]:
        """Users whom the reader ignores and who ever had a membership in the room."""
        return ignored_in(view.room, await self.accounts.ignored_users(view.reader.user_id))

    async def related(self, view: RoomView, events: Sequence[StoredEvent]) -> Related | None:
        """What of the relations of these events the reader is told; None if there is nothing."""
        parents = {event.event_id: event for event in events if event.pdu.state_key is None}
        if view.room.unrelated.issuperset(parents):
            return None
        ignored = await self.ignored_in(view)
        async with self.database.read() as tx:
            kinds = await relation_tables.bundled_kinds(tx, view.room.room_nid, parents)
            view.room.note_unrelated(parents.keys() - kinds.keys())
            if not kinds:
                return None
            without = await relation_tables.numbers_of(tx, ignored) if ignored else ()
            page = _Page(self, tx, view, ignored, without)
            related = await page.related(parents, kinds)
            latest = {
                thread.latest_event.event_id: thread.latest_event
                for thread in related.threads.values()
                if thread.latest_event is not None
            }
            if latest:
                kinds = await relation_tables.bundled_kinds(tx, view.room.room_nid, latest)
                related.nested = await page.related(latest, kinds) if kinds else None
        return related


def ignored_in(room: Room, ignored: Collection[UserId]) -> frozenset[UserId]:
    """Those of these users who ever had a membership in the room."""
    return frozenset(user_id for user_id in ignored if user_id in room.members.membership)


@dataclass(frozen=True, slots=True)
class _Page:
    """One page being looked up, within one transaction. without: the numbers of ignored users."""

    bundles: Bundles
    tx: ReadTx
    view: RoomView
    ignored: frozenset[UserId]
    without: Collection[int]

    async def related(
        self, parents: Mapping[EventId, StoredEvent], kinds: Mapping[EventId, tuple[bool, bool, bool]]
    ) -> Related:
        related = Related()
        found = {event_id: parents[event_id] for event_id in kinds}
        edits = await self._edits(
            [event for event in found.values() if kinds[event.event_id][0] and self._may_be_edited(event)]
        )
        threads = [event for event in found.values() if kinds[event.event_id][1] and may_be_thread_root(event.pdu.content)]
        related.threads = await self._threads(threads)
        related.references = await self._references([event_id for event_id in found if kinds[event_id][2]])
        told = await self._load({*edits.values(), *(thread.latest[0] for thread in related.threads.values())})
        related.edits = {event_id: told[nid] for event_id, nid in edits.items() if nid in told}
        for thread in related.threads.values():
            thread.latest_event = told.get(thread.latest[0])
        return related

    def _may_be_edited(self, original: StoredEvent) -> bool:
        return original.redacted_by_nid is None and not is_edit(original.pdu) and original.pdu.sender not in self.ignored

    async def _edits(self, originals: Sequence[StoredEvent]) -> dict[EventId, int]:
        """Event → the number of its newest valid edit that the reader may see.

        Spec: client-server-api#validity-of-replacement-events, client-server-api#server-behaviour-for-mreplace
        """
        if not originals:
            return {}
        wanted = []
        for event in originals:
            sender_nid = await self.bundles.names.find(self.tx, event.pdu.sender)
            if sender_nid is not None:
                wanted.append((event.event_id, sender_nid, event.pdu.type))
        limit = 1 if self.view.sight.all_visible else limits.edits_looked_at_max
        candidates = await relation_tables.edits(self.tx, self.view.room.room_nid, wanted, limit)
        await self._learn(row for rows in candidates.values() for row in rows)
        newest = {}
        for event_id, rows in candidates.items():
            seen = next((nid for nid, ordering in rows if self.view.sees_message(nid, ordering)), None)
            if seen is not None:
                newest[event_id] = seen
        return newest

    async def _references(self, parents: Sequence[EventId]) -> dict[EventId, Sequence[EventId]]:
        if not parents:
            return {}
        room_nid = self.view.room.room_nid
        found = await relation_tables.references(self.tx, room_nid, parents, self.without, limits.references_bundled_max)
        await self._learn((nid, ordering) for rows in found.values() for _, nid, ordering in rows)
        seen = {
            parent: [event_id for event_id, nid, ordering in rows if self.view.sees_message(nid, ordering)]
            for parent, rows in found.items()
        }
        return {parent: event_ids for parent, event_ids in seen.items() if event_ids}

    async def _threads(self, roots: Sequence[StoredEvent]) -> dict[EventId, Thread]:
        if not roots:
            return {}
        user_id, room_nid = self.view.reader.user_id, self.view.room.room_nid
        user_nid = await self.bundles.names.find(self.tx, user_id) or 0
        by_id = {root.event_id: root for root in roots}
        rows = await relation_tables.thread_summaries(self.tx, room_nid, by_id, user_nid, self.without)
        threads = {}
        for root_id, row in rows.items():
            count, latest = row.events, row.latest
            if not self.view.sight.all_visible:
                count, latest = await self._looked_at(root_id)
            if latest is not None and count > 0:
                has_taken_part = row.has_taken_part or by_id[root_id].pdu.sender == user_id
                threads[root_id] = Thread(count, latest, has_taken_part)
        return threads

    async def _looked_at(self, root_id: EventId) -> tuple[int, tuple[int, int] | None]:
        """How many events of a thread the reader may see, and the newest: for who may not see all."""
        limit = limits.thread_events_looked_at_max
        rows = await relation_tables.thread_events(self.tx, self.view.room.room_nid, root_id, self.without, limit)
        await self.bundles.sights.learn(self.tx, self.view, [nid for nid, _ in rows])
        seen = [(nid, ordering) for nid, ordering in rows if self.view.sees_message(nid, ordering)]
        return len(seen), seen[0] if seen else None

    async def _learn(self, rows: Iterable[tuple[int, int]]) -> None:
        """Learn what sight needs to know of events beside their places."""
        all_visible = self.view.sight.all_visible
        nids = [nid for nid, ordering in rows if not all_visible or is_history(ordering)]
        if nids:
            await self.bundles.sights.learn(self.tx, self.view, nids)

    async def _load(self, nids: Collection[int]) -> dict[int, StoredEvent]:
        rows = await tables.events_by_nid(self.tx, nids) if nids else {}
        events = await self.bundles.events.decoded(self.tx, list(rows.values()))
        return {event.nid: event for event in events}


def _encoded(view: RoomView, related: Related, event_id: EventId, now_ms: int, *, with_room_id: bool) -> bytes:
    """`m.relations` of one event."""
    members = []
    edit = related.edits.get(event_id)
    if edit is not None:
        members.append(b'"m.replace":' + view.encode(edit, now_ms, with_room_id=with_room_id))
    thread = related.threads.get(event_id)
    if thread is not None and thread.latest_event is not None:
        latest, nested = thread.latest_event, None
        if related.nested is not None and latest.event_id in related.nested.parents:
            nested = _encoded(view, related.nested, latest.event_id, now_ms, with_room_id=with_room_id)
        members.append(
            b'"m.thread":{"count":%d,"current_user_participated":%b,"latest_event":%b}'
            % (
                thread.count,
                b"true" if thread.has_taken_part else b"false",
                view.encode(latest, now_ms, with_room_id=with_room_id, relations=nested),
            )
        )
    references = related.references.get(event_id)
    if references is not None:
        members.append(b'"m.reference":' + orjson.dumps({"chunk": [{"event_id": each} for each in references]}))
    return b"{%b}" % b",".join(members)
