"""Other servers read the rooms that they are in: history, state, auth chains. Bytes are served as stored.

Events that none of the asking server's users could see are redacted, never left out: its graph must stay whole.

Spec: server-server-api#backfilling-and-retrieving-missing-events, server-server-api#retrieving-events
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from watchword.base import limits
from watchword.base.errors import Forbidden, NotFound
from watchword.protocol import canonical_json, event_types
from watchword.protocol.ids import EventId, RoomId, ServerName, UserId
from watchword.protocol.redaction import redact
from watchword.server.rooms import graph_tables, history, records, tables
from watchword.server.rooms.erasure import NOBODY, is_by_erased
from watchword.server.rooms.join_answers import JoinAnswers
from watchword.server.rooms.ports import WalkBack
from watchword.server.rooms.registry import RoomRegistry
from watchword.server.rooms.room import Room
from watchword.server.rooms.server_sight import ServerSight, member_keys_of, merged
from watchword.server.rooms.servers_acl import RoomAcls
from watchword.server.rooms.sticky import StickyEvents
from watchword.server.rooms.stored import EventStore, StoredEvent
from watchword.server.rooms.visibility import History, Interval, visibility_of
from watchword.storage import Database, ReadTx
from watchword.storage.names import Names

_NO_EVENT = "There is no such event here."


@dataclass(frozen=True)
class ServedEvents:
    """Serves events."""

    database: Database
    registry: RoomRegistry
    events: EventStore
    names: Names
    acls: RoomAcls
    answers: JoinAnswers
    sticky: StickyEvents
    erased: Collection[UserId] = NOBODY

    async def _room(self, origin: ServerName, room_id: RoomId, event_ids: Sequence[EventId]) -> Room:
        """The room, if the asking server is in it, or was when these events came. Raises Forbidden, NotFound.

        A room that we have left counts: whoever missed the end of our stay, our leave among it, can ask nobody else. And
        whoever missed the end of his own could not take the kick if he were not told what came before it.
        """
        room = await self.registry.find(room_id)
        if room is None or not room.extremities:
            raise NotFound("This server is not in such a room.")
        if origin not in room.members.servers and not await self._was_in(room, origin, event_ids):
            raise Forbidden("Your server is not in this room.")
        await self.acls.check(room, origin)
        return room

    async def room_for(self, origin: ServerName, room_id: RoomId) -> Room:
        """A room that another server may ask about: it is in it. Raises Forbidden, NotFound."""
        return await self._room(origin, room_id, ())

    async def seen_by(self, tx: ReadTx, room: Room, origin: ServerName, events: Sequence[StoredEvent]) -> list[StoredEvent]:
        """Those of these events that some user of a server might see."""
        visible = await self._visible(tx, room, origin, events)
        return [event for event in events if event.event_id in visible]

    async def _was_in(self, room: Room, origin: ServerName, event_ids: Sequence[EventId]) -> bool:
        """Whether a user of the server was joined before each of these events, or they came before the last one left.

        Costs a pass over the room's state for each that came later.
        """
        if not 0 < len(event_ids) <= limits.prev_events_max:
            return False
        async with self.database.read() as tx:
            events = (await self.events.many(tx, event_ids)).values()
            if len(events) < len(set(event_ids)):
                return False
            joined = (await self._stays(tx, room, origin))[0].intervals
            left_at = joined[-1].end if joined else 0
            for event in events:
                if event.pdu.room_id != room.room_id or event.flags & records.OUTLIER:
                    return False
                # What stands beside his join, on a fork, has no state with him in it, and yet the kick builds on it.
                if event.ordering is not None and event.position < left_at:
                    continue
                state = await history.state_before(tx, room.room_nid, event)
                members = await self.events.many(tx, [state[key] for key in member_keys_of(state, origin)])
                if not any(each.pdu.content.get("membership") == "join" for each in members.values()):
                    return False
        return True

    async def _event(self, tx: ReadTx, room: Room, event_id: EventId) -> StoredEvent:
        event = await self.events.one(tx, event_id)
        if event is None or event.pdu.room_id != room.room_id:
            raise NotFound(_NO_EVENT)
        return event

    # History

    async def backfill(self, origin: ServerName, room_id: RoomId, event_ids: Sequence[EventId], limit: int) -> Sequence[bytes]:
        """Encoded PDUs, newest first, including the given ones. Raises Refusal."""
        room = await self._room(origin, room_id, event_ids)
        async with self.database.read() as tx:
            found = await self._walk_back(tx, room, event_ids, limit)
            return await self._encoded(tx, room, origin, found)

    async def _walk_back(self, tx: ReadTx, room: Room, event_ids: Sequence[EventId], limit: int) -> list[StoredEvent]:
        """These events and those before them, deepest first."""
        seen = set(event_ids)
        queue: list[tuple[int, EventId, StoredEvent]] = []
        await self._enqueue(tx, room, event_ids, queue)
        found: list[StoredEvent] = []
        while queue and len(found) < limit:
            event = heappop(queue)[-1]
            found.append(event)
            earlier = [each for each in event.pdu.prev_events if each not in seen]
            seen.update(earlier)
            await self._enqueue(tx, room, earlier, queue)
        return found

    async def _enqueue(
        self, tx: ReadTx, room: Room, event_ids: Sequence[EventId], queue: list[tuple[int, EventId, StoredEvent]]
    ) -> None:
        for event in (await self.events.many(tx, event_ids)).values():
            hidden = event.flags & (records.OUTLIER | records.REJECTED)
            if event.pdu.room_id == room.room_id and not hidden:
                heappush(queue, (-event.pdu.depth, event.event_id, event))

    async def missing_events(self, origin: ServerName, room_id: RoomId, wanted: WalkBack) -> Sequence[bytes]:
        """Encoded PDUs, oldest first. Raises Refusal."""
        room = await self._room(origin, room_id, wanted.latest)
        async with self.database.read() as tx:
            found: list[StoredEvent] = []
            seen = {*wanted.latest, *wanted.earliest}
            level: Sequence[EventId] = wanted.latest[: limits.missing_events_page_max]
            while level and len(found) < wanted.limit:
                events = (await self.events.many(tx, level)).values()
                inside = [event for event in events if event.pdu.room_id == room_id and not event.flags & records.OUTLIER]
                found.extend(
                    event
                    for event in inside
                    if event.event_id not in wanted.latest
                    and event.pdu.depth >= wanted.min_depth
                    and not event.flags & records.REJECTED
                )
                level = [
                    each for each in dict.fromkeys(p for event in inside for p in event.pdu.prev_events) if each not in seen
                ]
                seen.update(level)
            oldest_first = sorted(found[: wanted.limit], key=lambda event: event.pdu.depth)
            return await self._encoded(tx, room, origin, oldest_first)

    async def event(self, origin: ServerName, event_id: EventId) -> bytes:
        """One encoded PDU. Raises Refusal, the same one for an event that is not here and one of a foreign room."""
        async with self.database.read() as tx:
            event = await self.events.one(tx, event_id)
            if event is None:
                raise NotFound(_NO_EVENT)
            room = await self.registry.find(event.pdu.room_id)
            if room is None or not room.extremities:
                raise NotFound(_NO_EVENT)
            if origin not in room.members.servers and not await self._was_in(room, origin, (event_id,)):
                raise NotFound(_NO_EVENT)
            await self.acls.check(room, origin)
            return (await self._encoded(tx, room, origin, [event]))[0]

    # State

    async def state(self, origin: ServerName, room_id: RoomId, event_id: EventId) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """Encoded PDUs: state before the event, and its auth chain. Raises Refusal."""
        room = await self._room(origin, room_id, (event_id,))
        async with self.database.read() as tx:
            ids = await self._state_ids(tx, room, event_id)
            encoded = await graph_tables.encoded_events(tx, ids)
            chain = await self.answers.auth_chain(tx, ids)
        return list(encoded.values()), list(chain.values())

    async def state_ids(
        self, origin: ServerName, room_id: RoomId, event_id: EventId
    ) -> tuple[Sequence[EventId], Sequence[EventId]]:
        """IDs: state before the event, and its auth chain. Raises Refusal."""
        room = await self._room(origin, room_id, (event_id,))
        async with self.database.read() as tx:
            ids = await self._state_ids(tx, room, event_id)
            known = await tables.known_events(tx, ids)
            chain = await graph_tables.auth_chain(tx, [nid for nid, _ in known.values()])
            names = await tables.event_ids_by_nid(tx, chain)
        return list(ids), list(names.values())

    async def _state_ids(self, tx: ReadTx, room: Room, event_id: EventId) -> Collection[EventId]:
        event = await self._event(tx, room, event_id)
        if event.flags & records.OUTLIER:
            raise NotFound("The state before this event is not known here.")
        return (await history.state_before(tx, room.room_nid, event)).values()

    async def event_auth(self, origin: ServerName, room_id: RoomId, event_id: EventId) -> Sequence[bytes]:
        """Encoded PDUs: the whole auth chain. Raises Refusal."""
        room = await self._room(origin, room_id, (event_id,))
        async with self.database.read() as tx:
            event = await self._event(tx, room, event_id)
            chain = await self.answers.auth_chain(tx, event.pdu.auth_events, with_given=event.pdu.auth_events)
        return list(chain.values())

    # Who may see what

    async def _encoded(self, tx: ReadTx, room: Room, origin: ServerName, events: Sequence[StoredEvent]) -> list[bytes]:
        visible = await self._visible(tx, room, origin, events)
        by_erased = [event for event in events if is_by_erased(event, self.erased)]
        if by_erased:
            visible -= await self._missed(tx, room, origin, by_erased)
        return [
            event.json
            if event.event_id in visible or event.pdu.state_key is not None
            else canonical_json.encode(redact(event.pdu.json, room.version), room.version.strict_canonical_json)
            for event in events
        ]

    async def _missed(self, tx: ReadTx, room: Room, origin: ServerName, events: Sequence[StoredEvent]) -> set[EventId]:
        """Those of these events at which nobody of the asking server was in the room."""
        joined = (await self._stays(tx, room, origin))[0]
        return {
            event.event_id
            for event in events
            if joined.at((event.position if event.ordering is not None else room.last_position) - 1) is None
        }

    async def _visible(self, tx: ReadTx, room: Room, origin: ServerName, events: Sequence[StoredEvent]) -> set[EventId]:
        sight = await self._sight(tx, room, origin)
        laid = await graph_tables.overlays(tx, [event.nid for event in events])
        foreign = any(overlay.get((event_types.HISTORY_VISIBILITY, "")) is not None for _, overlay in laid.values())
        if sight.sees_everything and not foreign:
            return {event.event_id for event in events}
        # "Any joined user or server is authorised to see sticky events".
        sticky = self.sticky.of(room.room_id) if origin in room.members.servers else {}
        visible = {event.event_id for event in events if event.event_id in sticky}
        for event in events:
            overlay = laid.get(event.nid)
            position = event.position if event.ordering is not None else room.last_position
            if overlay is None:
                sees = sight.sees(position)
            else:
                sees = await self._sees_by_own_state(tx, room, origin, event, sight)
            if sees:
                visible.add(event.event_id)
        return visible

    async def _sees_by_own_state(
        self, tx: ReadTx, room: Room, origin: ServerName, event: StoredEvent, sight: ServerSight
    ) -> bool:
        """For an event whose state is not the line's. Costs a pass over the room's state: such events are few."""
        state: Mapping[tuple[str, str], EventId] = await history.state_before(tx, room.room_nid, event)
        keys = member_keys_of(state, origin)
        visibility_id = state.get((event_types.HISTORY_VISIBILITY, ""))
        wanted = [state[key] for key in keys] + ([visibility_id] if visibility_id else [])
        found = await self.events.many(tx, wanted)
        visibility = "shared"
        if visibility_id in found and visibility_id is not None:
            visibility = visibility_of(found[visibility_id].pdu.content)
        memberships = [str(found[state[key]].pdu.content.get("membership")) for key in keys if state[key] in found]
        return sight.sees(0, visibility=visibility, memberships=memberships)

    async def _sight(self, tx: ReadTx, room: Room, origin: ServerName) -> ServerSight:
        visibility = await self._visibility(tx, room)
        sight = ServerSight(visibility, History((), None), History((), None))
        if sight.sees_everything:
            return sight
        return ServerSight(visibility, *await self._stays(tx, room, origin))

    async def _stays(self, tx: ReadTx, room: Room, origin: ServerName) -> tuple[History, History]:
        """When anybody of a server was joined, and when invited."""
        type_nid = await self.names.find(tx, event_types.MEMBER)
        if type_nid is None:
            return History((), None), History((), None)
        rows = await graph_tables.member_intervals_of_server(tx, room.room_nid, type_nid, origin)
        found = await self.events.many(tx, {event_id for _, _, event_id in rows})
        intervals = [
            Interval(start, end, str(found[event_id].pdu.content.get("membership")))
            for start, end, event_id in rows
            if event_id in found
        ]
        return merged(intervals, "join"), merged(intervals, "invite")

    async def _visibility(self, tx: ReadTx, room: Room) -> History:
        type_nid = await self.names.find(tx, event_types.HISTORY_VISIBILITY)
        key_nid = await self.names.find(tx, "")
        if type_nid is None or key_nid is None:
            return History((), "shared")
        rows = await tables.state_intervals(tx, room.room_nid, type_nid, key_nid)
        found = await self.events.many(tx, [event_id for _, _, event_id in rows])
        values = [
            Interval(start, end, visibility_of(found[event_id].pdu.content))
            for start, end, event_id in rows
            if event_id in found
        ]
        return History(values, "shared")
