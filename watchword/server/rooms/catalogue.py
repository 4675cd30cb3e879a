"""All rooms and all events, for features that keep an index of them: walks in bounded steps, past the caches.

Who may see what is not asked here: an index holds what there is, and whoever answers from it asks a `RoomView`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from watchword.protocol import event_types
from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.relations import REPLACE, is_valid_edit
from watchword.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from watchword.server.rooms import catalogue_tables, graph_tables, relation_tables, tables
from watchword.server.rooms.records import FOREVER, EventRow
from watchword.server.rooms.registry import RoomRegistry
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import EventStore, StoredEvent, pdu_of
from watchword.storage import ReadTx
from watchword.storage.names import Names

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_EDITS = (REPLACE,)
_EDITS_MAX = 5
_REMEMBERED_MAX = 10_000


class Listed(NamedTuple):
    """An event as an index sees it."""

    nid: int
    room_nid: int
    pdu: Pdu


class Name(NamedTuple):
    """A joined member and what his member event says of him. user_nid: where to go on."""

    user_nid: int
    user_id: UserId
    displayname: str | None
    avatar_url: str | None


@dataclass(frozen=True)
class RoomCatalogue:
    """Walks over rooms and events."""

    registry: RoomRegistry
    events: EventStore
    names: Names
    _versions: dict[int, RoomVersion] = field(default_factory=dict)
    _encrypted: set[int] = field(default_factory=set)

    # Walks

    async def last_event_nid(self, tx: ReadTx) -> int:
        """The number of the newest event; numbers rise as events come, from wherever."""
        return await catalogue_tables.last_event_nid(tx)

    async def events_below(self, tx: ReadTx, nid: int, limit: int) -> Sequence[Listed]:
        """Events with a lower number, the highest first; those that stand in no timeline too."""
        return await self._listed(tx, await catalogue_tables.events_below(tx, nid, limit))

    async def history_between(self, tx: ReadTx, after: int, until: int) -> Sequence[Listed]:
        """Events that were fetched of the past and so are not logged, by number: after < number <= until."""
        return await self._listed(tx, await catalogue_tables.history_between(tx, after, until))

    async def rooms_after(self, tx: ReadTx, room_nid: int, limit: int) -> Sequence[tuple[int, RoomId]]:
        """Rooms with a higher number."""
        return await catalogue_tables.rooms_after(tx, room_nid, limit)

    async def joined_after(self, tx: ReadTx, room: Room, user_nid: int, limit: int) -> Sequence[Name]:
        """Joined members of a room with a higher number."""
        rows = await catalogue_tables.joined_after(tx, room.room_nid, user_nid, limit)
        contents = [(nid, user_id, _decode(encoded)["content"]) for nid, user_id, encoded in rows]
        return [
            Name(nid, user_id, text_of(content, "displayname"), text_of(content, "avatar_url"))
            for nid, user_id, content in contents
        ]

    async def _listed(self, tx: ReadTx, rows: Sequence[EventRow]) -> list[Listed]:
        return [
            Listed(row.event_nid, row.room_nid, pdu_of(row.event_id, _decode(row.json), await self._version(tx, row.room_nid)))
            for row in rows
        ]

    async def _version(self, tx: ReadTx, room_nid: int) -> RoomVersion:
        version = self._versions.get(room_nid)
        if version is None:
            version = ROOM_VERSIONS[await tables.room_version(tx, room_nid)]
            if len(self._versions) >= _REMEMBERED_MAX:
                self._versions.clear()
            self._versions[room_nid] = version
        return version

    # Events

    async def by_nid(self, tx: ReadTx, nids: Collection[int]) -> Mapping[int, StoredEvent]:
        """Events by number, without those that are gone."""
        rows = await tables.events_by_nid(tx, nids)
        return {event.nid: event for event in await self.events.decoded(tx, list(rows.values()))}

    async def newest_edits(self, tx: ReadTx, room_nid: int, originals: Sequence[Pdu]) -> Mapping[EventId, StoredEvent]:
        """The edits that count for events of a room now, by original; most have none, and cost next to nothing.

        Spec: client-server-api#server-behaviour-for-mreplace
        """
        edited = await relation_tables.related_to(tx, room_nid, [pdu.event_id for pdu in originals], _EDITS, None)
        found: dict[EventId, StoredEvent] = {}
        for original in originals:
            sender_nid = await self.names.find(tx, original.sender) if original.event_id in edited else None
            if sender_nid is not None:
                edit = await self._newest_edit(tx, room_nid, original, sender_nid)
                if edit is not None:
                    found[original.event_id] = edit
        return found

    async def _newest_edit(self, tx: ReadTx, room_nid: int, original: Pdu, sender_nid: int) -> StoredEvent | None:
        rows = await relation_tables.edits(tx, room_nid, ((original.event_id, sender_nid, original.type),), _EDITS_MAX)
        nids = [nid for nid, _ in rows.get(original.event_id, ())]
        events = await self.by_nid(tx, nids) if nids else {}
        edits = (events[nid] for nid in nids if nid in events)
        return next((edit for edit in edits if edit.is_shown and is_valid_edit(edit.pdu, original)), None)

    async def is_encrypted(self, tx: ReadTx, room_nid: int) -> bool:
        """Whether a room is encrypted now; a room never ceases to be."""
        if room_nid in self._encrypted:
            return True
        type_nid, key_nid = await self.names.find(tx, event_types.ENCRYPTION), await self.names.find(tx, "")
        if type_nid is None or key_nid is None:
            return False
        if await catalogue_tables.on_line(tx, room_nid, type_nid, key_nid, FOREVER) is None:
            return False
        if len(self._encrypted) >= _REMEMBERED_MAX:
            self._encrypted.clear()
        self._encrypted.add(room_nid)
        return True

    async def member_at(self, tx: ReadTx, room: Room, event: StoredEvent, user_id: UserId) -> Pdu | None:
        """A user's member event in the state before an event of the room; None if there is none."""
        if event.ordering is None:
            return None
        base, overlay = (await graph_tables.overlays(tx, (event.nid,))).get(event.nid, (event.position - 1, {}))
        key = (event_types.MEMBER, user_id)
        event_id = overlay[key] if key in overlay else await self._on_line(tx, room, user_id, base)
        found = None if event_id is None else await self.events.one(tx, event_id)
        return None if found is None else found.pdu

    async def _on_line(self, tx: ReadTx, room: Room, user_id: UserId, position: int) -> EventId | None:
        if position >= room.last_state_position:
            return room.state.get((event_types.MEMBER, user_id))
        type_nid, key_nid = await self.names.find(tx, event_types.MEMBER), await self.names.find(tx, user_id)
        if type_nid is None or key_nid is None:
            return None
        return await catalogue_tables.on_line(tx, room.room_nid, type_nid, key_nid, position)

    # Openness

    async def is_open(self, room_id: RoomId) -> bool:
        """Whether everybody may join a room that we are in, or read it."""
        room = await self.registry.find(room_id)
        return room is not None and is_open(room)


def text_of(content: Mapping[str, object], name: str) -> str | None:
    """A string of a content that may hold anything; None for anything else, and for nothing."""
    value = content.get(name)
    return value if isinstance(value, str) and value else None


def is_open(room: Room) -> bool:
    """Whether everybody may join a room that we are in, or read it."""
    return room.is_alive and (room.join_rule == "public" or room.history_visibility == "world_readable")
