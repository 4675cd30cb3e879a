"""Rooms in memory: loaded on demand, bounded in number, evicted whole.

A room that is being used is never evicted under its user: whoever takes the lock finds out whether the object is still the
room's, and takes the new one otherwise.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress

from watchword.base import limits
from watchword.base.errors import StorageError
from watchword.protocol import event_types
from watchword.protocol.events import StateKey
from watchword.protocol.ids import RoomId, ServerName
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.server.changes import Change
from watchword.server.rooms import member_tables, records, tables
from watchword.server.rooms.history import state_after
from watchword.server.rooms.room import LOADED_TYPES, Members, Room
from watchword.server.rooms.stored import EventStore
from watchword.storage import Database, Log, ReadTx, Tx


class RoomRegistry:
    """Finds rooms; creates their object once."""

    def __init__(
        self,
        database: Database,
        log: Log[Change],
        events: EventStore,
        server_name: ServerName,
        *,
        rooms_max: int = limits.rooms_in_memory_max,
    ) -> None:
        self._database = database
        self._log = log
        self._events = events
        self._server_name = server_name
        self._rooms_max = rooms_max
        self._rooms: OrderedDict[RoomId, Room] = OrderedDict()
        self._unsettled: dict[RoomId, list[Tx]] = {}

    async def find(self, room_id: RoomId) -> Room | None:
        """The room, from memory or the database; None if we know nothing of it."""
        room = self._rooms.get(room_id)
        while room is None and room_id in self._unsettled:
            # The object is gone, but the database does not know yet all that it said.
            with suppress(StorageError):
                await self.settled(room_id)
            room = self._rooms.get(room_id)
        if room is not None:
            self._rooms.move_to_end(room_id)
            return room
        async with self._database.read() as tx:
            row = await tables.room(tx, room_id)
            if row is None:
                return None
            room = self._rooms.get(room_id)
            if room is None:
                room = await self._load(tx, row)
                self._rooms[room_id] = room
                self._shrink(room)
        return room

    def at_hand(self, room_id: RoomId) -> Room | None:
        """The room if it is in memory."""
        return self._rooms.get(room_id)

    @asynccontextmanager
    async def locked(self, room_id: RoomId) -> AsyncIterator[Room | None]:
        """The room with its lock held; None if we know nothing of it."""
        while True:
            room = await self.find(room_id)
            if room is None:
                yield None
                return
            async with room.lock:
                if not room.evicted:
                    yield room
                    return

    def add(self, room: Room) -> None:
        """A room that was just created."""
        self._rooms[room.room_id] = room
        self._shrink(room)

    def unsettle(self, room: Room, tx: Tx) -> None:
        """The room in memory is ahead of the disk until this transaction ended."""
        room_id = room.room_id
        self._unsettled.setdefault(room_id, []).append(tx)

        def end() -> None:
            pending = self._unsettled[room_id]
            pending.remove(tx)
            if not pending:
                del self._unsettled[room_id]

        tx.after_commit(end)
        tx.after_failure(end)

    async def settled(self, room_id: RoomId) -> None:
        """Return once what the room in memory says is durable. Raises StorageError if it never will be."""
        pending = self._unsettled.get(room_id)
        if pending:
            await pending[-1].durable()

    def evict(self, room: Room) -> None:
        """Drop a room's object: what it says was never committed, or it is not needed."""
        room.evicted = True
        if self._rooms.get(room.room_id) is room:
            del self._rooms[room.room_id]

    def _shrink(self, wanted: Room) -> None:
        """Evict rooms that nobody uses until the bound is kept; never the one that is about to be used."""
        if len(self._rooms) <= self._rooms_max:
            return
        for room in list(self._rooms.values()):
            in_use = room is wanted or room.lock.locked() or room.receiving.locked()
            if not in_use and room.room_id not in self._unsettled:
                self.evict(room)
            if len(self._rooms) <= self._rooms_max:
                return

    async def _load(self, tx: ReadTx, row: records.RoomRow) -> Room:
        room = Room(row.room_id, row.room_nid, ROOM_VERSIONS[row.version], Members(self._server_name))
        room.is_public = row.is_public
        room.follows_newest = row.extremities is None
        if row.extremities is None:
            newest = await tables.timeline_backward(tx, row.room_nid, 0, records.FOREVER, 1)
            room.extremities = {event.event_id: event.depth for event in newest}
        else:
            room.extremities = dict(row.extremities)
        room.state = await tables.state_at(tx, row.room_nid, records.FOREVER - 1)
        for user_id, membership in await member_tables.members(tx, row.room_nid):
            room.members.set(user_id, membership)
        room.last_state_position = await tables.last_state_position(tx, row.room_nid)
        room.last_position = await tables.last_position(tx, row.room_nid)
        room.receipts_position = await member_tables.last_receipt_position(tx, row.room_nid)
        room.recent_floor = records.ordering_of(room.last_position)
        await self._fill(tx, room, [(kind, "") for kind in LOADED_TYPES])
        if len(room.extremities) > 1:
            for event_id in room.extremities:
                event = await self._events.one(tx, event_id)
                assert event is not None, event_id
                room.forks[event_id] = await state_after(tx, room.room_nid, event)
        return room

    async def load_state(self, room: Room, keys: Collection[StateKey]) -> None:
        """Have the current state events at these addresses at hand in room.pdus."""
        if all(room.state.get(key) is None or room.state[key] in room.pdus for key in keys):
            return
        async with self._database.read() as tx:
            await self._fill(tx, room, keys)

    async def _fill(self, tx: ReadTx, room: Room, keys: Collection[StateKey]) -> None:
        wanted = [room.state[key] for key in keys if key in room.state and room.state[key] not in room.pdus]
        for event_id, event in (await self._events.many(tx, wanted)).items():
            room.pdus[event_id] = event.pdu
        assert event_types.CREATE not in {key[0] for key in keys} or not room.state or room.current(event_types.CREATE)
