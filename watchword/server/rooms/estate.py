"""Rooms as their operator sees them: all of them, how large they are, and taking one from the disk.

A list looks at every room, in steps that let others work, and is kept for a moment for the pages that follow. What is taken
from the disk was left by everybody here before; that the room was, and that they left it, stays, so that their clients hear
of it. Whoever calls `purge` sees to it that nobody comes back meanwhile.
Deliberately absent: who may (that is asked upstairs), and making anybody leave (`membership`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import BadRequest
from watchword.protocol import event_types
from watchword.protocol.canonical_json import encode
from watchword.protocol.ids import RoomAlias, RoomId, UserId
from watchword.protocol.redaction import redact
from watchword.server.changes import Change, RoomPurged
from watchword.server.rooms import catalogue_tables, estate_tables, tables
from watchword.server.rooms.estate_tables import RoomLine
from watchword.server.rooms.memberships import Memberships
from watchword.server.rooms.room import Room
from watchword.server.rooms.visibility import visibility_of
from watchword.server.rooms.writer import RoomWriter
from watchword.storage import Log

_PAGE = 100
_DESCRIBING = (
    event_types.CREATE,
    event_types.NAME,
    event_types.CANONICAL_ALIAS,
    event_types.ENCRYPTION,
    event_types.JOIN_RULES,
    event_types.GUEST_ACCESS,
    event_types.HISTORY_VISIBILITY,
)
_STATE_TYPES_MAX = 100


class _Event(msgspec.Struct):
    sender: str
    content: dict[str, Any]


_decode = msgspec.json.Decoder(_Event).decode


@dataclass(frozen=True, slots=True)
class RoomEntry:
    """A room on the list. Texts are None where the room says nothing, or nothing that is text."""

    room_id: RoomId
    version: str
    is_public: bool
    joined: int
    joined_local: int
    state_events: int
    name: str | None
    canonical_alias: str | None
    creator: str | None
    room_type: str | None
    encryption: str | None
    is_federated: bool
    join_rule: str | None
    guest_access: str | None
    history_visibility: str | None


@dataclass(frozen=True, slots=True)
class RoomSize:
    """How much a room takes. bytes: of its events as JSON, without indexes; estimated from the newest if there are many."""

    events: int
    bytes: int
    is_estimate: bool


@dataclass
class Estate:
    """Lists, measures and removes rooms."""

    writer: RoomWriter
    memberships: Memberships
    log: Log[Change]
    clock: Clock
    _listed: Sequence[RoomEntry] = ()
    _listed_until_ms: int | None = None

    # Looking

    async def rooms(self) -> Sequence[RoomEntry]:
        """Every room that this server knows, by number; as it was some seconds ago at the worst."""
        if self._listed_until_ms is None or self._listed_until_ms <= self.clock.monotonic_ms():
            found: list[RoomEntry] = []
            after = 0
            while len(found) < limits.rooms_listed_max and (page := await self._page(after)):
                after = page[-1][0]
                found += [entry for _, entry in page]
                await self.clock.sleep(0)
            self._listed = found
            self._listed_until_ms = self.clock.monotonic_ms() + limits.rooms_listed_ms
        return self._listed

    def forget_list(self) -> None:
        """Rooms have changed: look at them anew."""
        self._listed, self._listed_until_ms = (), None

    async def entry(self, room: Room) -> RoomEntry:
        """One room."""
        return (await self._page(room.room_nid - 1, 1))[0][1]

    async def _page(self, after: int, limit: int = _PAGE) -> list[tuple[int, RoomEntry]]:
        names = self.writer.names
        async with self.writer.database.read() as tx:
            lines = await estate_tables.room_lines(tx, after, limit)
            numbers = {await names.find(tx, kind): kind for kind in _DESCRIBING}
            type_nids = [nid for nid in numbers if nid is not None]
            key_nid = await names.find(tx, "") or 0
            rows = await estate_tables.describing_state(tx, [line.room_nid for line in lines], type_nids, key_nid)
        states: dict[int, dict[str, _Event]] = {}
        for room_nid, type_nid, event in rows:
            states.setdefault(room_nid, {})[numbers[type_nid]] = _decode(event)
        return [(line.room_nid, _entry(line, states.get(line.room_nid, {}))) for line in lines]

    async def size(self, room: Room) -> RoomSize:
        """How much a room takes."""
        async with self.writer.database.read() as tx:
            count = await estate_tables.timeline_length(tx, room.room_nid)
            looked_at, size = await estate_tables.newest_bytes(tx, room.room_nid, limits.room_events_measured_max)
        if count <= looked_at:
            return RoomSize(count, size, is_estimate=False)
        return RoomSize(count, size * count // looked_at, is_estimate=True)

    async def state_types(self, room: Room) -> Mapping[str, int]:
        """How many state events of which type are current."""
        async with self.writer.database.read() as tx:
            return dict(await estate_tables.state_types(tx, room.room_nid, _STATE_TYPES_MAX))

    async def members(self, room: Room, membership: str, after: str, limit: int) -> Sequence[tuple[UserId, bool]]:
        """Those with a membership, and whether they are of this server, by user ID."""
        async with self.writer.database.read() as tx:
            return await estate_tables.members_after(tx, room.room_nid, membership, after, limit)

    async def local_members(self, room: Room) -> Sequence[tuple[UserId, str]]:
        """Everybody of this server who ever had a membership, and which he has."""
        async with self.writer.database.read() as tx:
            return await estate_tables.local_members(tx, room.room_nid)

    async def count(self) -> int:
        """How many rooms this server is in, or was in."""
        async with self.writer.database.read() as tx:
            return await estate_tables.count_rooms(tx)

    # Removing

    async def unname(self, room_id: RoomId) -> Sequence[RoomAlias]:
        """Drop a room's aliases and its places on lists; which aliases they were."""
        async with self.writer.registry.locked(room_id) as room:
            async with self.writer.database.write() as tx:
                aliases = await estate_tables.delete_aliases(tx, room_id)
                if room is not None:
                    await tables.set_public(tx, room.room_nid, False)
            if room is not None:
                room.is_public = False
        self.forget_list()
        return aliases

    async def purge(self, room_id: RoomId) -> int:
        """Take a room that nobody of this server is in from the disk; how many events went. It may be called again.

        Raises BadRequest if somebody is in it.
        """
        room_nid = await self._empty(room_id)
        if room_nid is None:
            return 0
        count = await self._delete_timeline(room_nid) + await self._delete_others(room_nid)
        for table in estate_tables.TABLES_OF_ROOM:
            deleted = limits.removal_events_at_once
            while deleted == limits.removal_events_at_once:
                async with self.writer.database.write() as tx:
                    deleted = await estate_tables.delete_of_room(tx, table, room_nid, limits.removal_events_at_once)
        await self._hollow_last(room_id, room_nid)
        self._forget(room_id)
        return count

    async def _empty(self, room_id: RoomId) -> int | None:
        """What makes the room a room goes at once: its state, its place in the graph, the members of other servers."""
        async with self.writer.registry.locked(room_id) as room:
            if room is None:
                return None
            if room.members.joined_local:
                raise BadRequest("M_INVALID_PARAM", "Somebody of this server is in the room.")
            await self.writer.registry.settled(room_id)
            local = await self.local_members(room)
            async with self.writer.appending(room) as (tx, durable):
                await self.log.append(tx, RoomPurged(room_id))
                await estate_tables.delete_aliases(tx, room_id)
                await estate_tables.empty_room(tx, room.room_nid)
                for user_id, _ in local:
                    tx.after_commit(partial(self.memberships.forget, user_id))
            self.writer.registry.evict(room)
        await durable()
        self._forget(room_id)
        return room.room_nid

    async def _delete_timeline(self, room_nid: int) -> int:
        count = 0
        while True:
            async with self.writer.database.write() as tx:
                nids = await estate_tables.timeline_nids(tx, room_nid, limits.removal_events_at_once)
                await estate_tables.delete_events(tx, nids)
            if not nids:
                return count
            count += len(nids)
            await self.clock.sleep(0)

    async def _delete_others(self, room_nid: int) -> int:
        """Events outside the timeline: no index knows them, so all events are looked through, in steps."""
        count = after = 0
        async with self.writer.database.read() as view:
            last = await catalogue_tables.last_event_nid(view)
        while after < last:
            until = after + limits.removal_scan_at_once
            async with self.writer.database.write() as tx:
                nids = await estate_tables.other_nids(tx, room_nid, after, until)
                await estate_tables.delete_events(tx, nids)
            count += len(nids)
            after = until
            await self.clock.sleep(0)
        return count

    async def _hollow_last(self, room_id: RoomId, room_nid: int) -> None:
        """The newest event of all rooms keeps its number, or another would get it and be taken for it; nothing more."""
        room = await self.writer.registry.find(room_id)
        assert room is not None, room_id
        async with self.writer.database.write() as tx:
            last = await estate_tables.last_event_of(tx, room_nid)
            if last is not None:
                event_nid, event = last
                pruned = redact(msgspec.json.decode(event, type=dict[str, Any]), room.version)
                await estate_tables.hollow_event(tx, event_nid, encode(pruned, room.version.strict_canonical_json))

    def _forget(self, room_id: RoomId) -> None:
        self.writer.events.forget_room(room_id)
        self.forget_list()


def _entry(line: RoomLine, state: Mapping[str, _Event]) -> RoomEntry:
    def text(kind: str, key: str) -> str | None:
        value = state[kind].content.get(key) if kind in state else None
        return value if isinstance(value, str) and value else None

    create = state.get(event_types.CREATE)
    visibility = state.get(event_types.HISTORY_VISIBILITY)
    return RoomEntry(
        room_id=line.room_id,
        version=line.version,
        is_public=line.is_public,
        joined=line.joined,
        joined_local=line.joined_local,
        state_events=line.state_events,
        name=text(event_types.NAME, "name"),
        canonical_alias=text(event_types.CANONICAL_ALIAS, "alias"),
        creator=None if create is None else create.sender,
        room_type=text(event_types.CREATE, "type"),
        encryption=text(event_types.ENCRYPTION, "algorithm"),
        is_federated=create is None or create.content.get("m.federate") is not False,
        join_rule=text(event_types.JOIN_RULES, "join_rule"),
        guest_access=text(event_types.GUEST_ACCESS, "guest_access"),
        history_visibility=None if visibility is None else visibility_of(visibility.content),
    )
