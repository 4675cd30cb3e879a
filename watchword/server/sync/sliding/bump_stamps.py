"""Bump stamps: when something that people care about last happened in a room. Worked out once a room, then kept by the log.

Definition: MSC4186, `bump_stamp`.
"""

import cachebox

from watchword.base import limits
from watchword.protocol.ids import RoomId
from watchword.server.changes import Change, EventAppended
from watchword.server.rooms.facts import FactsReader
from watchword.server.rooms.room import Room
from watchword.storage import Log, Logged, ReadTx

BUMP_TYPES = frozenset(
    (
        "m.room.create",
        "m.room.message",
        "m.room.encrypted",
        "m.sticker",
        "m.call.invite",
        "m.poll.start",
        "org.matrix.msc3381.poll.start",
        "m.beacon_info",
        "org.matrix.msc3672.beacon_info",
    )
)
"""Two of them also under the names in use."""


class BumpStamps:
    """The stamps of rooms that somebody asked for, bounded."""

    def __init__(self, log: Log[Change], facts: FactsReader) -> None:
        self._facts = facts
        self._known: cachebox.LRUCache[RoomId, int | None] = cachebox.LRUCache(limits.sliding_bump_stamps_max)
        log.listen(self._heard)

    def _heard(self, logged: Logged[Change]) -> None:
        match logged.change:
            case EventAppended(room_id=room_id, type=kind) if kind in BUMP_TYPES:
                if self._known.get(room_id, None) is not None:
                    self._known[room_id] = logged.position
            case _:
                pass

    async def of(self, tx: ReadTx, room: Room) -> int:
        """The position of the room's newest event that counts."""
        known = self._known.get(room.room_id, None)
        if known is None:
            known = self._known[room.room_id] = await self._found(tx, room)
        return known

    async def _found(self, tx: ReadTx, room: Room) -> int:
        for event in reversed(room.recent):
            if event.pdu.type in BUMP_TYPES:
                return event.position
        return await self._facts.newest_of(tx, room, BUMP_TYPES)
