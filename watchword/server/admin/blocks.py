"""Rooms that nobody of this server may join or invite to: kept in the database, asked in memory (`moderation.bans`).

Rooms that are being taken from the disk are held in the same way until they are, and are not in the database.
"""

from collections import Counter
from dataclasses import dataclass, field

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import Forbidden
from watchword.protocol.ids import RoomId, UserId
from watchword.server.admin import tables
from watchword.server.moderation.bans import BanList
from watchword.storage import Also, Database


@dataclass
class RoomBlocks:
    """Blocks and unblocks. Call `start` before the doors open."""

    database: Database
    clock: Clock
    bans: BanList
    _blocked: set[RoomId] = field(default_factory=set)
    _held: Counter[RoomId] = field(default_factory=Counter)

    async def start(self) -> None:
        """Read what is blocked."""
        async with self.database.read() as tx:
            self._blocked = set(await tables.blocked_rooms(tx, limits.blocked_rooms_max))
        self._tell()

    def _tell(self) -> None:
        self.bans.blocked_rooms = self._blocked | {room_id for room_id, count in self._held.items() if count > 0}

    async def blocked_by(self, room_id: RoomId) -> UserId | None:
        """Who blocked a room; None if nobody did."""
        async with self.database.read() as tx:
            return await tables.blocked_by(tx, room_id)

    async def set(self, room_id: RoomId, by: UserId, blocked: bool, also: Also) -> None:
        """Block a room, known here or not, or let it be joined again. Raises Forbidden if too many are blocked."""
        if blocked and room_id not in self._blocked and len(self._blocked) >= limits.blocked_rooms_max:
            raise Forbidden("Too many rooms are blocked.", "M_RESOURCE_LIMIT_EXCEEDED")
        async with self.database.write() as tx:
            if blocked:
                await tables.block(tx, room_id, by, self.clock.now_ms())
            else:
                await tables.unblock(tx, room_id)
            await also(tx)
        change = self._blocked.add if blocked else self._blocked.discard
        change(room_id)
        self._tell()

    def hold(self, room_id: RoomId) -> None:
        """Nobody comes into this room for now."""
        self._held[room_id] += 1
        self._tell()

    def let_go(self, room_id: RoomId) -> None:
        """What held it is over."""
        self._held[room_id] -= 1
        if self._held[room_id] <= 0:
            del self._held[room_id]
        self._tell()
