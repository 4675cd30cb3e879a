"""Events as push rules see them, taken apart once for all who read them.

What the rules ask of the room (members, power levels) is noted when the first reader comes, which is as a rule at once
after the event was written, and is the same for all.
"""

import cachebox

from watchword.base import limits
from watchword.protocol import event_types
from watchword.protocol.ids import EventId, UserId
from watchword.protocol.push_conditions import PushContext, PushEvent
from watchword.protocol.push_rules import Actions
from watchword.protocol.relations import THREAD, relation_of, thread_of
from watchword.server.push.rules import ReadyRules
from watchword.server.push.tally import MAIN
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent

_HOPS = 3


class NotedEvent:
    """One event. thread: its root, or `main`."""

    __slots__ = ("_member_count", "_notification_level", "_push_event", "_sender_level", "event_id", "sender", "thread")

    def __init__(self, event: StoredEvent, room: Room, thread: str) -> None:
        pdu, levels = event.pdu, room.levels()
        self.event_id = pdu.event_id
        self.sender = pdu.sender
        self.thread = thread
        self._push_event = PushEvent.of(pdu)
        self._member_count = len(room.members.joined)
        self._sender_level = levels.user_level(pdu.sender)
        self._notification_level = levels.notification_level

    def evaluate(self, rules: ReadyRules, user_id: UserId, display_name: str | None) -> Actions:
        """What a reader's rules say of the event."""
        context = PushContext(user_id, display_name, self._member_count, self._sender_level, self._notification_level)
        return rules.compiled.evaluate(self._push_event, context)


class NotedEvents:
    """Keeps events noted; bounded."""

    def __init__(self, reader: RoomReader) -> None:
        self._reader = reader
        self._known: cachebox.LRUCache[EventId, NotedEvent | None] = cachebox.LRUCache(limits.push_events_cached_max)

    def at_hand(self, event_id: EventId) -> NotedEvent | None:
        """An event that somebody asked for before."""
        return self._known.get(event_id, None)

    async def note(self, event: StoredEvent, room: Room) -> NotedEvent:
        """An event, taken apart if it is not yet."""
        noted = self._known.get(event.event_id, None)
        if noted is None:
            noted = NotedEvent(event, room, await self._thread(event))
            self._known[event.event_id] = noted
        return noted

    async def _thread(self, event: StoredEvent) -> str:
        """The thread of an event, by itself or through what it relates to. Spec: client-server-api#threaded-read-receipts"""
        content = event.pdu.content
        relation = relation_of(content)
        related = {}
        for _ in range(_HOPS):
            if relation is None or relation.rel_type == THREAD:
                break
            found = (await self._reader.found((relation.event_id,))).get(relation.event_id)
            if found is None or found.pdu.room_id != event.pdu.room_id:
                break
            related[found.event_id] = found.pdu.content
            relation = relation_of(found.pdu.content)
        return thread_of(content, related.get) or MAIN

    async def display_name(self, room: Room, user_id: UserId) -> str | None:
        """A member's name in the room, as far as he has one."""
        event_id = room.state.get((event_types.MEMBER, user_id))
        event = None if event_id is None else (await self._reader.found((event_id,))).get(event_id)
        name = None if event is None else event.pdu.content.get("displayname")
        return name if isinstance(name, str) and name else None
