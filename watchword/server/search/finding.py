"""Walks through what the index finds, newest first, and keeps what the reader may see and wants to.

The index is asked in the rooms that the reader is or was in, no others; how many of its answers are looked at is bounded.
Entries of events that are gone are taken out as they are found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from watchword.base import limits
from watchword.protocol import event_types
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.accounts.reader import AccountReader
from watchword.server.rooms.catalogue import RoomCatalogue
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.view import Reader, RoomView
from watchword.server.search import tables
from watchword.server.search.commands import Criteria, HitRow, Place
from watchword.server.search.matching import expression
from watchword.server.search.segmentation import Term
from watchword.storage import Database, ReadTx

_SCAN_AT_ONCE = 100


class Hit(NamedTuple):
    """An event that fits and that the reader may see. rank: in millionths, where it was asked for."""

    entry: int
    event: StoredEvent
    view: RoomView
    rank: int = 0


@dataclass
class Walk:
    """One search. left: how many answers of the index may yet be looked at. ended: the index has no more."""

    reader: Reader
    criteria: Criteria
    terms: Sequence[Term]
    rooms: Mapping[int, RoomId]
    ignored: frozenset[UserId]
    sender: UserId | None = None
    left: int = limits.search_scanned_max
    ended: bool = False
    last_entry: int = 0
    gone: list[int] = field(default_factory=list)
    views: dict[RoomId, RoomView | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Finder:
    """Finds."""

    database: Database
    rooms: RoomReader
    catalogue: RoomCatalogue
    accounts: AccountReader

    async def walk(self, tx: ReadTx, reader: Reader, criteria: Criteria, terms: Sequence[Term], place: Place | None) -> Walk:
        """Begin a search: in which rooms, and from whom."""
        room_ids = await self._rooms(reader.user_id, criteria)
        if place is not None and place.group == "room_id":
            room_ids = [room_id for room_id in room_ids if room_id == place.value]
        sender = UserId(place.value) if place is not None and place.group == "sender" else None
        numbered = {}
        for room_id in room_ids:
            nid = await self.catalogue.names.find(tx, room_id)
            if nid is not None:
                numbered[nid] = room_id
        return Walk(reader, criteria, terms, numbered, await self.accounts.ignored_users(reader.user_id), sender)

    async def _rooms(self, user_id: UserId, criteria: Criteria) -> list[RoomId]:
        """Rooms that the user is or was in, and that he asks for; with those that they came from."""
        rows = await self.rooms.memberships.of(user_id)
        ever = {room_id for room_id, row in rows.items() if row.membership in ("join", "leave", "ban") and not row.forgotten}
        wanted = set(ever)
        if criteria.event_filter.rooms is not None:
            wanted &= criteria.event_filter.rooms
            for room_id in list(wanted):
                wanted |= await self._before(room_id, ever)
        wanted -= criteria.event_filter.not_rooms
        return sorted(wanted)[: limits.search_rooms_max]

    async def _before(self, room_id: RoomId, ever: set[RoomId]) -> set[RoomId]:
        """The rooms that a room was upgraded from, as far as the user was in them."""
        found: set[RoomId] = set()
        for _ in range(limits.predecessors_max):
            room = await self.rooms.room(room_id)
            predecessor = {} if room is None else room.content(event_types.CREATE).get("predecessor")
            earlier = predecessor.get("room_id") if isinstance(predecessor, dict) else None
            if earlier not in ever or earlier in found:
                break
            room_id = RoomId(str(earlier))
            found.add(room_id)
        return found

    async def match(self, tx: ReadTx, walk: Walk) -> str | None:
        """What the index is asked; None if there is nothing to ask."""
        if not walk.rooms or not walk.terms:
            return None
        sender_nid = None
        if walk.sender is not None:
            sender_nid = await self.catalogue.names.find(tx, walk.sender)
            if sender_nid is None:
                return None
        return expression(walk.terms, walk.criteria.columns, list(walk.rooms), sender_nid)

    async def take(self, tx: ReadTx, walk: Walk, below: int, most: int) -> list[Hit]:
        """Up to so many of what fits and may be seen, sent before an entry, the newest first."""
        match = await self.match(tx, walk)
        found: list[Hit] = []
        walk.last_entry, walk.ended = below, match is None
        while match is not None and walk.left > 0 and not walk.ended:
            asked = min(_SCAN_AT_ONCE, walk.left)
            rows = await tables.hits(tx, match, walk.last_entry, asked)
            walk.left -= len(rows)
            for hit in await self._seen(tx, walk, rows):
                walk.last_entry = hit.entry
                found.append(hit)
                if len(found) == most:
                    return found
            walk.last_entry = rows[-1].entry if rows else walk.last_entry
            walk.ended = len(rows) < asked
        return found

    async def _seen(self, tx: ReadTx, walk: Walk, rows: Sequence[HitRow]) -> list[Hit]:
        events = await self.catalogue.by_nid(tx, [row.event_nid for row in rows])
        by_room: dict[RoomId, list[StoredEvent]] = {}
        for event in events.values():
            by_room.setdefault(event.pdu.room_id, []).append(event)
        hidden: set[EventId] = set()
        for room_id, listed in by_room.items():
            view = await self._view(tx, walk, room_id)
            if view is not None:
                await self.rooms.sights.look_at(tx, view, listed)
                hidden |= await self._edited_out_of_sight(tx, view, listed)
        hits = []
        for row in rows:
            found = events.get(row.event_nid)
            if found is None or found.pdu.room_id != walk.rooms.get(row.room_nid) or found.redacted_by_nid is not None:
                walk.gone.append(row.entry)
                continue
            view = walk.views.get(found.pdu.room_id)
            if view is not None and view.sees(found) and found.event_id not in hidden and self._wants(walk, found):
                hits.append(Hit(row.entry, found, view))
        return hits

    async def _edited_out_of_sight(self, tx: ReadTx, view: RoomView, events: Sequence[StoredEvent]) -> set[EventId]:
        """Those that are found by the words of an edit that the reader may not see: by guessing he would learn them."""
        if view.sight.all_visible:
            return set()
        edits = await self.catalogue.newest_edits(tx, view.room.room_nid, [event.pdu for event in events])
        await self.rooms.sights.look_at(tx, view, list(edits.values()))
        return {event_id for event_id, edit in edits.items() if not view.sees(edit)}

    def _wants(self, walk: Walk, event: StoredEvent) -> bool:
        return event.pdu.sender not in walk.ignored and walk.criteria.event_filter.allows(event.pdu)

    async def _view(self, tx: ReadTx, walk: Walk, room_id: RoomId) -> RoomView | None:
        """The reader's view of a room; None if there is nothing in it to be found."""
        if room_id not in walk.views:
            room = await self.rooms.room(room_id)
            may_be = room is not None and not _is_encrypted(room)
            walk.views[room_id] = await self.rooms.view(tx, room, walk.reader) if room is not None and may_be else None
        return walk.views[room_id]

    async def forget(self, walk: Walk) -> None:
        """Take out of the index what was found to be gone."""
        if walk.gone:
            async with self.database.write() as tx:
                await tables.delete_entries(tx, walk.gone)


def _is_encrypted(room: Room) -> bool:
    return (event_types.ENCRYPTION, "") in room.state
