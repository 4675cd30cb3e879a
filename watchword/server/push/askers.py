"""Who asks push rules about events: a user's rules, and whatever of him and of the events they want to know.

Only what his rules ask for is looked up: names, subscribed threads and related events cost those alone who ask for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from watchword.base.errors import NotFound
from watchword.protocol.ids import EventId, UserId
from watchword.server.push.noted import Asker, NotedEvent, NotedEvents
from watchword.server.push.rules import PushRules
from watchword.server.push.tally import MAIN
from watchword.server.push.threads import SubscribedThreads
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room
from watchword.server.rooms.view import Reader


@dataclass(frozen=True)
class Askers:
    """Makes them ready."""

    reader: RoomReader
    rules: PushRules
    events: NotedEvents
    threads: SubscribedThreads

    async def asker(self, user_id: UserId, room: Room, events: Sequence[NotedEvent]) -> Asker:
        """A user who is to ask about these events of a room, and about no others."""
        rules = await self.rules.ready(user_id)
        name = await self.events.display_name(room, user_id) if rules.by_name else None
        asks_threads = rules.by_thread and any(noted.thread != MAIN for noted in events)
        threads = await self.threads.of(user_id) if asks_threads else None
        hidden: set[EventId] = set()
        if rules.by_relation:
            for noted in events:
                await self.events.relate(noted, room)
                if rules.by_related_content:
                    hidden.update(await self._hidden(user_id, room, noted))
        return Asker(user_id, rules.compiled, name, threads, frozenset(hidden))

    async def _hidden(self, user_id: UserId, room: Room, noted: NotedEvent) -> list[EventId]:
        """Related events that the user may not see: what is in them must not tell him anything by way of a rule."""
        hidden = []
        for event_id in noted.related_ids:
            try:
                await self.reader.one_event(room.room_id, event_id, Reader(user_id))
            except NotFound:
                hidden.append(event_id)
        return hidden
