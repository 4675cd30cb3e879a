"""Events as stored, decoded once and cached, with the bytes that every reader shares."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import cachebox
import msgspec

from watchword.base import limits
from watchword.protocol.client_events import client_event_base, encode_content, with_room_id
from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, RoomId, UserId, room_id_of_create
from watchword.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from watchword.server.rooms import records, tables
from watchword.server.rooms.records import EventRow
from watchword.storage import ReadTx

_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(slots=True)
class StoredEvent:
    """An event with its place in the timeline. ordering None: shown nowhere.

    replaced: the state event before this one at the same address, for `prev_content`; loaded with it.
    redacted_because: the redaction that pruned it.
    """

    nid: int
    ordering: int | None
    flags: int
    pdu: Pdu
    version: RoomVersion
    json: bytes
    replaces_nid: int | None = None
    redacted_by_nid: int | None = None
    replaced: "StoredEvent | None" = None
    redacted_because: "StoredEvent | None" = None
    _base: bytes | None = field(default=None, repr=False)
    _base_in_room: bytes | None = field(default=None, repr=False)
    _content: bytes | None = field(default=None, repr=False)

    @property
    def event_id(self) -> EventId:
        """The event's ID."""
        return self.pdu.event_id

    @property
    def is_shown(self) -> bool:
        """Whether clients may ever see it."""
        return self.ordering is not None and not self.flags & records.NOT_SHOWN

    @property
    def is_history(self) -> bool:
        """Whether it was fetched later than what comes after it: its state is not the line's."""
        return self.ordering is not None and records.is_history(self.ordering)

    @property
    def position(self) -> int:
        """The log position that its place in the timeline belongs to."""
        assert self.ordering is not None, self.event_id
        return records.position_of(self.ordering)

    def base(self) -> bytes:
        """The client form without room_id, `unsigned` and the closing brace; encoded once."""
        if self._base is None:
            self._base = client_event_base(self.pdu, self.version)
        return self._base

    def base_in_room(self) -> bytes:
        """The same with room_id; encoded once."""
        if self._base_in_room is None:
            self._base_in_room = with_room_id(self.base(), self.pdu.room_id)
        return self._base_in_room

    def encoded_content(self) -> bytes:
        """The content alone, for `prev_content` of its successor; encoded once."""
        if self._content is None:
            self._content = encode_content(self.pdu, self.version)
        return self._content


def pdu_of(event_id: EventId, raw: dict[str, Any], version: RoomVersion) -> Pdu:
    """A Pdu from an event that passed all format checks when it was stored."""
    room_id = raw.get("room_id") or room_id_of_create(event_id)
    content = raw["content"]
    redacts = content.get("redacts") if version.redacts_in_content else raw.get("redacts")
    return Pdu(
        event_id,
        RoomId(room_id),
        UserId(raw["sender"]),
        raw["type"],
        raw.get("state_key"),
        content,
        raw["origin_server_ts"],
        raw["depth"],
        _references(raw["prev_events"], version),
        _references(raw["auth_events"], version),
        raw,
        redacts if isinstance(redacts, str) else None,  # type: ignore[arg-type]
    )


def _references(listed: Sequence[Any], version: RoomVersion) -> tuple[EventId, ...]:
    return tuple(EventId(entry[0]) for entry in listed) if version.event_ids_in_events else tuple(listed)


class EventStore:
    """Looks events up by ID; keeps the most recently used decoded."""

    def __init__(self, events_max: int = limits.event_cache_max) -> None:
        self._cache: cachebox.LRUCache[EventId, StoredEvent | None] = cachebox.LRUCache(events_max)
        self._versions: dict[int, RoomVersion] = {}

    def remember(self, event: StoredEvent) -> None:
        """Put an event that was just stored into the cache."""
        self._cache[event.event_id] = event

    def forget(self, event_ids: Collection[EventId]) -> None:
        """Drop events from the cache: they changed, or were never committed."""
        for event_id in event_ids:
            self._cache.pop(event_id, None)

    def forget_room(self, room_id: RoomId) -> None:
        """Drop a room's events from the cache: the room is taken from the disk."""
        gone = [event_id for event_id, event in self._cache.items() if event is not None and event.pdu.room_id == room_id]
        self.forget(gone)

    def forget_version(self, room_nid: int) -> None:
        """The version of a room of which no event is known was corrected."""
        self._versions.pop(room_nid, None)

    def cached(self, event_id: EventId) -> StoredEvent | None:
        """An event that is at hand."""
        return self._cache.get(event_id, None)

    async def one(self, tx: ReadTx, event_id: EventId) -> StoredEvent | None:
        """An event by ID, with what its `unsigned` needs; None if it is not stored."""
        return (await self.many(tx, (event_id,))).get(event_id)

    async def many(self, tx: ReadTx, event_ids: Collection[EventId]) -> dict[EventId, StoredEvent]:
        """Events by ID; those that are not stored are left out."""
        found: dict[EventId, StoredEvent] = {}
        absent = []
        for event_id in event_ids:
            event = self._cache.get(event_id, None)
            if event is None:
                absent.append(event_id)
            else:
                found[event_id] = event
        if absent:
            rows = await tables.events_by_id(tx, absent)
            for event in await self.decoded(tx, list(rows.values())):
                found[event.event_id] = event
        return found

    async def decoded(self, tx: ReadTx, rows: Sequence[EventRow]) -> list[StoredEvent]:
        """Rows → events, in the same order, through the cache."""
        events = []
        for row in rows:
            event = self._cache.get(row.event_id, None)
            if event is None or event.ordering != row.ordering or event.flags != row.flags:
                version = await self._version(tx, row.room_nid)
                event = StoredEvent(
                    row.event_nid,
                    row.ordering,
                    row.flags,
                    pdu_of(row.event_id, _decode(row.json), version),
                    version,
                    row.json,
                    row.replaces_nid,
                    row.redacted_by_nid,
                )
                self._cache[row.event_id] = event
            events.append(event)
        await self._attach(tx, events)
        return events

    async def _attach(self, tx: ReadTx, events: Sequence[StoredEvent]) -> None:
        """Load what the events' `unsigned` refers to."""
        wanted = {event.replaces_nid for event in events if event.replaces_nid is not None and event.replaced is None}
        wanted |= {
            event.redacted_by_nid for event in events if event.redacted_by_nid is not None and event.redacted_because is None
        }
        if not wanted:
            return
        rows = await tables.events_by_nid(tx, wanted)
        for event in events:
            if event.replaces_nid is not None and event.replaced is None and event.replaces_nid in rows:
                event.replaced = self._plain(rows[event.replaces_nid], event.version)
            if event.redacted_by_nid is not None and event.redacted_because is None and event.redacted_by_nid in rows:
                event.redacted_because = self._plain(rows[event.redacted_by_nid], event.version)

    def _plain(self, row: EventRow, version: RoomVersion) -> StoredEvent:
        pdu = pdu_of(row.event_id, _decode(row.json), version)
        return StoredEvent(row.event_nid, row.ordering, row.flags, pdu, version, row.json)

    async def _version(self, tx: ReadTx, room_nid: int) -> RoomVersion:
        version = self._versions.get(room_nid)
        if version is None:
            version = ROOM_VERSIONS[await tables.room_version(tx, room_nid)]
            self._versions[room_nid] = version
        return version
