"""Takes into the indexes what was there before they were: messages, newest first, accounts, and members of rooms.

In small steps with pauses between them: whoever talks meanwhile does not notice. Where it has come is written with each
step, so that a restart goes on there.
"""

import logging

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import StorageError
from watchword.protocol.ids import RoomId
from watchword.server.search import tables
from watchword.server.search.follower import PAST
from watchword.server.search.indexing import MessageIndex
from watchword.server.search.people_index import Fill, PeopleIndex, Step
from watchword.storage import Database

logger = logging.getLogger(__name__)

_PAUSE_MS = 20
_IDLE_MS = 1_000
_ACCOUNTS = "accounts"
_ROOMS_AT_ONCE = 500


class PastWalks:
    """Walks through what was there before. `run` lives as long as the server: rooms that are joined have members, too."""

    def __init__(self, database: Database, clock: Clock, messages: MessageIndex, people: PeopleIndex) -> None:
        self._database = database
        self._clock = clock
        self._messages = messages
        self._people = people

    async def run(self) -> None:
        """Take in everything there was, then the members of rooms as they are joined, for ever."""
        walks = [self._accounts, self._rooms, self._messages_of_before]
        while True:
            try:
                while walks:
                    await walks[0]()
                    del walks[0]
                await self.fill()
            except StorageError as error:
                logger.warning("The walk through the past waits for the database.", extra={"cause": str(error)})
            await self._clock.sleep(_IDLE_MS)

    async def _accounts(self) -> None:
        async with self._database.read() as tx:
            if await tables.progress(tx, _ACCOUNTS) is not None:
                return
        after = ""
        while users := await self._people.accounts.users_after(after, limits.people_filled_at_once):
            steps: list[Step] = [step for user_id in users for step in await self._people.local(user_id)]
            async with self._database.write() as tx:
                await self._people.take(tx, steps)
            after = users[-1]
            await self._clock.sleep(_PAUSE_MS)
        async with self._database.write() as tx:
            await tables.save_progress(tx, _ACCOUNTS, 1)

    async def _rooms(self) -> None:
        after = 0
        while True:
            async with self._database.read() as tx:
                listed = await self._people.catalogue.rooms_after(tx, after, _ROOMS_AT_ONCE)
            if not listed:
                return
            unknown = [Fill(room_id) for _, room_id in listed if room_id not in self._people.rooms]
            if unknown:
                async with self._database.write() as tx:
                    await self._people.take(tx, unknown)
            after = listed[-1][0]

    async def fill(self) -> None:
        """Take over the members of the rooms that are waiting for it."""
        while self._people.to_fill:
            room_id = next(iter(self._people.to_fill))
            await self._fill_one(room_id)
            self._people.to_fill.pop(room_id, None)

    async def _fill_one(self, room_id: RoomId) -> None:
        room = await self._people.rooms_reader.room(room_id)
        if room is None:
            return
        after: int | None = 0
        while after is not None:
            after = await self._people.fill_some(room, after)
            await self._clock.sleep(_PAUSE_MS)

    async def _messages_of_before(self) -> None:
        while await self.messages_step():
            await self.fill()
            await self._clock.sleep(_PAUSE_MS)

    async def messages_step(self) -> bool:
        """Take in some messages that were there before; whether there are more."""
        async with self._database.read() as tx:
            below = await tables.progress(tx, PAST) or 0
            found = await self._messages.catalogue.events_below(tx, below, limits.search_batch_max)
            steps = await self._messages.all_steps(tx, reversed(found))
        if not found:
            return False
        async with self._database.write() as tx:
            await self._messages.take(tx, steps)
            await tables.save_progress(tx, PAST, found[-1].nid)
        return True
