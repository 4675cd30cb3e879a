"""How far somebody has read a room, as he himself sees it: `m.fully_read`, which is account data and nobody else's business.

Receipts, which others see and which counts go by, are `ephemeral.py`'s.
"""

from dataclasses import dataclass

import orjson

from watchword.base.errors import Forbidden
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.accounts.reader import AccountReader
from watchword.server.accounts.user_data import UserData
from watchword.server.rooms.reader import RoomReader

FULLY_READ = "m.fully_read"


@dataclass(frozen=True)
class ReadMarkers:
    """Sets markers."""

    reader: RoomReader
    accounts: AccountReader
    user_data: UserData

    async def set(self, room_id: RoomId, user_id: UserId, event_id: EventId, *, may_go_back: bool) -> None:
        """Move a marker. Raises Forbidden.

        may_go_back: whether its user means it so; otherwise a client that is behind the others leaves it where it is.
        Spec: client-server-api#fully-read-markers, proposals/4446
        """
        if await self.reader.membership_of(user_id, room_id) is None:
            raise Forbidden("You are not in this room.")
        content = await self.accounts.account_data(user_id, room_id, FULLY_READ)
        now = None if content is None else orjson.loads(content).get("event_id")
        if now == event_id or (now is not None and not may_go_back and await self._comes_before(event_id, now)):
            return
        async with self.reader.database.write() as tx:
            await self.user_data.put_account_data(tx, user_id, room_id, FULLY_READ, {"event_id": event_id})

    async def _comes_before(self, event_id: EventId, other_id: EventId) -> bool:
        """Whether an event stands before another in the timeline, as far as both are known."""
        async with self.reader.database.read() as tx:
            found = await self.reader.events.many(tx, (event_id, other_id))
        places = [None if (event := found.get(each)) is None else event.ordering for each in (event_id, other_id)]
        return places[0] is not None and places[1] is not None and places[0] < places[1]
