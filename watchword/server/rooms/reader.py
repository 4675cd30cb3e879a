"""Questions about rooms: what a reader may see, and what features upstairs ask.

Every reading path goes through a `RoomView`, which knows the history visibility. Nothing here changes anything.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import Forbidden, NotFound, StorageError
from watchword.protocol import event_types
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId, RoomAlias, RoomId, ServerName, UserId, domain_of
from watchword.server.rooms import history, member_tables, records, relation_tables, tables
from watchword.server.rooms.event_filters import EVERYTHING, RoomEventFilter
from watchword.server.rooms.memberships import Memberships
from watchword.server.rooms.ports import NOBODY_OWNS_ALIASES, AliasOwners
from watchword.server.rooms.records import MembershipRow
from watchword.server.rooms.registry import RoomRegistry
from watchword.server.rooms.relations_bundling import Bundles
from watchword.server.rooms.room import Room, ServersThen
from watchword.server.rooms.sticky import StickyEvents
from watchword.server.rooms.stored import EventStore, StoredEvent
from watchword.server.rooms.view import Reader, RoomView, Sights
from watchword.storage import Database, Position, ReadTx

_NOT_HERE = "You are not in this room, or it does not exist."
_SCAN_PAGES_MAX = 10
_SCAN_ROWS = 100


@dataclass(frozen=True, slots=True)
class Page:
    """Events of a timeline in the order asked for. end: the ordering to continue from, None if there is no more here."""

    view: RoomView
    events: Sequence[StoredEvent]
    end: int | None


class MemberChange(NamedTuple):
    """A user's membership before and after a span; None for none."""

    was: str | None
    now: str | None


@dataclass(frozen=True)
class RoomReader:
    """Reads rooms for clients and for features upstairs."""

    database: Database
    registry: RoomRegistry
    events: EventStore
    sights: Sights
    memberships: Memberships
    server_name: ServerName
    clock: Clock
    bundles: Bundles
    alias_owners: AliasOwners = NOBODY_OWNS_ALIASES

    # For features upstairs

    @property
    def sticky(self) -> StickyEvents:
        """The events that are sticky now."""
        return self.sights.sticky

    async def room(self, room_id: RoomId) -> Room | None:
        """The room in memory, loaded if need be."""
        return await self.registry.find(room_id)

    async def servers_in_room(self, room_id: RoomId) -> Collection[ServerName]:
        """Servers with a joined user now, this one among them."""
        room = await self.registry.find(room_id)
        return () if room is None else list(room.members.servers)

    async def servers_at(self, room_id: RoomId, position: Position) -> Collection[ServerName]:
        """Servers with a joined user after the change at a position; perhaps this one, although nobody of it is there yet.

        Costs nothing where the state has not changed since, or nobody from elsewhere has anything to do with the room; else a
        look at what has changed, and only if a member event was among it.
        """
        room = await self.registry.find(room_id)
        if room is None:
            return ()
        if position >= room.last_state_position or not room.members.has_strangers:
            return list(room.members.servers)
        then = room.servers_then
        if then is None or not then.begin <= position < then.end:
            then = await self._servers_then(room_id, position)
        return then.servers

    async def _servers_then(self, room_id: RoomId, position: Position) -> ServersThen:
        """What was, from what is and what has changed since: so the room must not change, and the disk must know it all."""
        while True:
            async with self.registry.locked(room_id) as room:
                assert room is not None, room_id
                with suppress(StorageError):
                    await self.registry.settled(room_id)
                if room.evicted:
                    continue
                until = Position(room.last_state_position)
                counts = Counter(room.members.servers)
                async with self.database.read() as tx:
                    changes = await self.member_changes(tx, room, position, until)
                    type_nid = await self.sights.names.find(tx, event_types.MEMBER)
                    rows = () if type_nid is None else await tables.line_between(tx, room.room_nid, type_nid, position, until)
                for user_id, (was, now) in changes.items():
                    counts[domain_of(user_id)] += (was == "join") - (now == "join")
                ends = (place for _, begin, end, _ in rows for place in (begin, end) if position < place <= until)
                servers = frozenset(name for name, count in counts.items() if count > 0)
                room.servers_then = ServersThen(position, min(ends, default=until), servers)
                return room.servers_then

    async def servers_at_event(self, room_id: RoomId, event_id: EventId, position: Position) -> Collection[ServerName]:
        """Servers with a joined user after the event at a position, and the server of whom it concerns."""
        servers = set(await self.servers_at(room_id, position))
        async with self.database.read() as tx:
            event = await self.events.one(tx, event_id)
        if event is not None and event.pdu.type == event_types.MEMBER and event.pdu.state_key:
            old = event.replaced
            was = None if old is None else old.pdu.content.get("membership")
            # Somebody who was let go must hear of it, even if he was the last of his server.
            if was in ("join", "invite", "knock") or event.pdu.content.get("membership") in ("invite", "ban"):
                servers.add(domain_of(event.pdu.state_key))
        return servers

    async def servers_sharing_room_with(self, user_id: UserId) -> set[ServerName]:
        """Servers with a user joined to any room that this user is joined to."""
        servers: set[ServerName] = set()
        for row in (await self.memberships.of(user_id)).values():
            if row.membership == "join":
                room = await self.registry.find(row.room_id)
                if room is not None:
                    servers.update(room.members.servers)
        return servers

    async def users_sharing_room_with(self, user_id: UserId) -> set[UserId]:
        """Joined members of rooms that the user is joined to, himself included."""
        async with self.database.read() as tx:
            user_nid = await self.sights.names.find(tx, user_id)
            found = set() if user_nid is None else await member_tables.users_sharing_room(tx, user_nid)
        found.add(user_id)
        return found

    async def share_room(self, first: UserId, second: UserId) -> bool:
        """Whether two users are joined to the same room."""
        async with self.database.read() as tx:
            first_nid = await self.sights.names.find(tx, first)
            second_nid = await self.sights.names.find(tx, second)
            if first_nid is None or second_nid is None:
                return False
            return await member_tables.share_room(tx, first_nid, second_nid)

    async def pdu_bytes(self, event_ids: Sequence[EventId]) -> Mapping[EventId, bytes]:
        """Events as canonical JSON for other servers, without those that are not here."""
        async with self.database.read() as tx:
            found = await self.events.many(tx, event_ids)
        return {event_id: event.json for event_id, event in found.items()}

    async def joined_rooms(self, user_id: UserId) -> list[RoomId]:
        """Rooms that the user is joined to."""
        rows = await self.memberships.of(user_id)
        return [row.room_id for row in rows.values() if row.membership == "join"]

    async def membership_of(self, user_id: UserId, room_id: RoomId) -> MembershipRow | None:
        """The user's membership in a room."""
        return (await self.memberships.of(user_id)).get(room_id)

    async def pending_invites(self, after: tuple[int, int], limit: int) -> Sequence[tuple[tuple[int, int], MembershipRow]]:
        """Local users' invites that wait for an answer, and where each stands; after: (0, 0) to begin."""
        async with self.database.read() as tx:
            return await member_tables.pending_invites(tx, after, limit)

    # Views

    async def view(self, tx: ReadTx, room: Room, reader: Reader) -> RoomView:
        """A reader's view of a room."""
        return await self.sights.view(tx, room, reader)

    async def readable_room(self, room_id: RoomId, user_id: UserId) -> Room:
        """A room that the user is or was in, or that everybody may read. Raises Forbidden."""
        room = await self.registry.find(room_id)
        if room is None:
            raise Forbidden(_NOT_HERE)
        row = await self.membership_of(user_id, room_id)
        if row is not None and not row.forgotten and row.membership in ("join", "leave", "ban"):
            return room
        if room.is_alive and room.history_visibility == "world_readable":
            return room
        raise Forbidden(_NOT_HERE)

    async def timeline(
        self,
        view: RoomView,
        tx: ReadTx,
        span: tuple[int, int],
        limit: int,
        *,
        backwards: bool,
        allows: Callable[[Pdu], bool] | None = None,
        event_filter: RoomEventFilter = EVERYTHING,
    ) -> Page:
        """Visible events with span[0] < ordering <= span[1]; looks at no more than a bounded number of hidden ones.

        allows: what else they must pass, to be counted at all. event_filter: only what it says of events that relate to them.
        """
        after, until = span
        found: list[StoredEvent] = []
        fetch = tables.timeline_backward if backwards else tables.timeline_forward
        size = limit
        for _ in range(_SCAN_PAGES_MAX):
            if len(found) >= limit:
                break
            rows = await fetch(tx, view.room.room_nid, after, until, size)
            events = await self.events.decoded(tx, rows)
            await self.sights.look_at(tx, view, events)
            related = await self.related_by(tx, view.room, event_filter, events)
            for event in events:
                assert event.ordering is not None
                if backwards:
                    until = event.ordering - 1
                else:
                    after = event.ordering
                wanted = (allows is None or allows(event.pdu)) and (related is None or event.event_id in related)
                if wanted and view.sees(event):
                    found.append(event)
                    if len(found) == limit:
                        break
            else:
                if len(rows) < size:
                    return Page(view, found, None)
            # Much is hidden here: do not look for it one by one.
            size = max(limit - len(found), _SCAN_ROWS)
        return Page(view, found, until if backwards else after)

    async def related_by(
        self, tx: ReadTx, room: Room, event_filter: RoomEventFilter, events: Sequence[StoredEvent]
    ) -> Collection[EventId] | None:
        """Those of these events to which something relates as a filter wants it; None if it wants nothing of the kind."""
        if not event_filter.asks_for_relations:
            return None
        rel_types, senders = event_filter.related_by_rel_types, event_filter.related_by_senders
        ids = [event.event_id for event in events]
        return await relation_tables.related_to(tx, room.room_nid, ids, rel_types, senders)

    async def one_event(self, room_id: RoomId, event_id: EventId, reader: Reader) -> tuple[RoomView, StoredEvent]:
        """An event that the reader may see. Raises NotFound, the same for what is absent and what is hidden."""
        room = await self.registry.find(room_id)
        if room is not None:
            async with self.database.read() as tx:
                event = await self.events.one(tx, event_id)
                if event is not None and event.pdu.room_id == room_id and await self._may_look(room, reader.user_id):
                    view = await self.view(tx, room, reader)
                    await self.sights.look_at(tx, view, [event])
                    if view.sees(event):
                        return view, event
        raise NotFound("There is no such event, or you may not see it.")

    async def _may_look(self, room: Room, user_id: UserId) -> bool:
        row = await self.membership_of(user_id, room.room_id)
        return row is None or not row.forgotten

    # State

    async def readable_state(self, room_id: RoomId, user_id: UserId) -> tuple[Room, Mapping[StateKey, EventId]]:
        """The state that a user may read: the current one, or the one as of his leaving. Raises Forbidden."""
        room = await self.readable_room(room_id, user_id)
        until = await self.readable_until(room, user_id)
        if until is None:
            raise Forbidden(_NOT_HERE)
        return room, await self.state_at(room, until)

    async def readable_until(self, room: Room, user_id: UserId) -> int | None:
        """The position up to which a user may read the room's state: the end of his last stay, if he is in it no more.

        None if he was never in it. A ban or a rejected invite after the stay does not show what happened in between.
        """
        if room.members.membership.get(user_id) == "join" or (room.is_alive and room.history_visibility == "world_readable"):
            return records.FOREVER
        async with self.database.read() as tx:
            stay = await self.sights.last_stay(tx, room, user_id)
        return None if stay is None else stay[1]

    async def has_missing_before(self, tx: ReadTx, room: Room, ordering: int) -> bool:
        """Whether other servers have history that comes before a place in the timeline and is not here."""
        return bool(await tables.missing_before(tx, room.room_nid, ordering, 1))

    async def state_at(self, room: Room, position: int, tx: ReadTx | None = None) -> Mapping[StateKey, EventId]:
        """The room's state after the change at a position."""
        if position >= room.last_state_position:
            return room.state
        if tx is not None:
            return await tables.state_at(tx, room.room_nid, position)
        async with self.database.read() as tx:
            return await tables.state_at(tx, room.room_nid, position)

    async def state_before(self, room: Room, event: StoredEvent) -> Mapping[StateKey, EventId]:
        """The room's state before one of its events."""
        async with self.database.read() as tx:
            return await history.state_before(tx, room.room_nid, event)

    async def state_delta(self, tx: ReadTx, room: Room, after: Position, until: Position) -> Mapping[StateKey, EventId]:
        """What the state at `until` has that the state at `after` had not."""
        if room.last_state_position <= after:
            return {}
        return await tables.state_changes(tx, room.room_nid, after, until)

    async def member_changes(self, tx: ReadTx, room: Room, after: Position, until: Position) -> Mapping[UserId, MemberChange]:
        """Whose member event at `until` is another than at `after`, with both memberships; None for none."""
        type_nid = await self.sights.names.find(tx, event_types.MEMBER)
        if type_nid is None:
            return {}
        rows = await tables.line_between(tx, room.room_nid, type_nid, after, until)
        found = await self.events.many(tx, [event_id for *_, event_id in rows])
        changes: dict[UserId, MemberChange] = {}
        for key, start, end, event_id in rows:
            was, now = changes.get(UserId(key), MemberChange(None, None))
            membership = str(found[event_id].pdu.content.get("membership"))
            if start <= after < end:
                was = membership
            if start <= until < end:
                now = membership
            changes[UserId(key)] = MemberChange(was, now)
        return changes

    async def encrypted_since(self, tx: ReadTx, room: Room) -> int | None:
        """The position since which a room is encrypted; None if it is not."""
        return await self.sights.state_since(tx, room, event_types.ENCRYPTION)

    async def found(self, event_ids: Collection[EventId]) -> Mapping[EventId, StoredEvent]:
        """Events by ID, without those that are not here."""
        async with self.database.read() as tx:
            return await self.events.many(tx, event_ids)

    # Directory

    async def alias(self, alias: RoomAlias) -> tuple[RoomId, UserId] | None:
        """(room, creator) of a local alias."""
        async with self.database.read() as tx:
            return await member_tables.alias(tx, alias)

    async def aliases_of(self, room_id: RoomId) -> list[RoomAlias]:
        """The local aliases of a room."""
        async with self.database.read() as tx:
            return await member_tables.aliases_of(tx, room_id, limits.messages_page_max)

    async def resolve_alias(self, alias: RoomAlias) -> tuple[RoomId, Sequence[ServerName]] | None:
        """A local alias: its room and servers to join it through. May ask over the network for a room: hold no lock.

        Spec: application-service-api#querying
        """
        found = await self.alias(alias)
        if found is None and await self.alias_owners.make_alias(alias):
            found = await self.alias(alias)
        if found is None:
            return None
        servers = await self.servers_in_room(found[0])
        return found[0], [self.server_name, *(name for name in list(servers)[:20] if name != self.server_name)]
