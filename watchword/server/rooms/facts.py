"""Answers about all rooms of a user at once, without loading them: for lists of rooms upstairs.

Deliberately absent: who may know what; whoever asks, asks for the user himself.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from watchword.protocol.events import StateKey
from watchword.protocol.ids import RoomId, UserId
from watchword.server.rooms import facts_tables, tables
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.records import FOREVER, is_history, position_of
from watchword.server.rooms.room import Room
from watchword.storage import Position, ReadTx


class _Event(msgspec.Struct):
    content: dict[str, Any]


_PAGE = 50
_PAGES_MAX = 20

_decode = msgspec.json.Decoder(_Event).decode


@dataclass(frozen=True)
class FactsReader:
    """Reads a little of many rooms."""

    rooms: RoomReader

    async def recency(self, user_id: UserId) -> Mapping[RoomId, int]:
        """The rooms that a user is joined to, each with the position of its newest event."""
        async with self.rooms.database.read() as tx:
            user_nid = await self.rooms.sights.names.find(tx, user_id)
            rows = () if user_nid is None else await facts_tables.newest_of_joined(tx, user_nid)
        return {room_id: position_of(ordering) for room_id, ordering in rows}

    async def contents(self, user_id: UserId, kind: str) -> Mapping[RoomId, Mapping[str, Any]]:
        """The content of the state of a type, with an empty state key, in every room that a user is joined to."""
        async with self.rooms.database.read() as tx:
            user_nid = await self.rooms.sights.names.find(tx, user_id)
            rows = () if user_nid is None else await facts_tables.state_of_joined(tx, user_nid, kind)
        return {room_id: _decode(encoded).content for room_id, encoded in rows}

    async def removed(self, tx: ReadTx, room: Room, after: Position, until: Position) -> list[StateKey]:
        """Addresses that the room's state had at `after` and has no more at `until`."""
        if room.last_state_position <= after:
            return []
        return await facts_tables.removed(tx, room.room_nid, after, until)

    async def newest_of(self, tx: ReadTx, room: Room, types: Collection[str]) -> int:
        """The position of a room's newest event of some types; that of the oldest looked at, if there are too many others."""
        until, position = FOREVER, 0
        for _ in range(_PAGES_MAX):
            rows = await tables.timeline_backward(tx, room.room_nid, 0, until, _PAGE)
            for event in await self.rooms.events.decoded(tx, rows):
                assert event.ordering is not None, event.event_id
                if is_history(event.ordering):
                    continue
                position = event.position
                if event.pdu.type in types:
                    return position
            if len(rows) < _PAGE:
                break
            assert rows[-1].ordering is not None
            until = rows[-1].ordering - 1
        return position
