"""Events as push rules see them, taken apart once for all who read them.

What the rules ask of the room (members, power levels) is noted when the first reader comes, which is as a rule at once
after the event was written, and is the same for all.
"""

from collections.abc import Collection, Mapping

import cachebox
import msgspec

from watchword.base import limits
from watchword.protocol import event_types
from watchword.protocol.ids import EventId, UserId
from watchword.protocol.push_conditions import NOTHING_RELATED, PushContext, PushEvent, Related, relations_in
from watchword.protocol.push_rules import Actions, CompiledRules
from watchword.protocol.relations import THREAD, relation_of, thread_of
from watchword.server.push.tally import MAIN
from watchword.server.push.threads import Subscribed
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent

_HOPS = 3


class Asker(msgspec.Struct, frozen=True):
    """Somebody whose rules are asked about events, with what they want to know of him.

    threads: None if he takes no part in subscriptions. hidden: related events that he may not see.
    """

    user_id: UserId
    rules: CompiledRules
    display_name: str | None = None
    threads: Subscribed = None
    hidden: frozenset[EventId] = frozenset()


class NotedEvent:
    """One event. thread: its root, or `main`."""

    __slots__ = (
        "_member_count",
        "_notification_level",
        "_push_event",
        "_relations",
        "_sender_level",
        "event_id",
        "related",
        "sender",
        "thread",
    )

    def __init__(self, event: StoredEvent, room: Room, thread: str) -> None:
        pdu, levels = event.pdu, room.levels()
        self.event_id = pdu.event_id
        self.sender = pdu.sender
        self.thread = thread
        self._push_event = PushEvent.of(pdu)
        self._member_count = len(room.members.joined)
        self._sender_level = levels.user_level(pdu.sender)
        self._notification_level = levels.notification_level
        self._relations = relations_in(pdu.content)
        # What it relates to; None until somebody's rules ask for it.
        self.related: Mapping[str, Related] | None = None

    @property
    def related_ids(self) -> Collection[EventId]:
        """What the event says that it relates to."""
        return {event_id for event_id, _ in self._relations.values()}

    def relate(self, events: Mapping[EventId, PushEvent]) -> None:
        """Note what it relates to, as far as that is known."""
        self.related = {
            rel_type: Related(events.get(event_id), is_fallback)
            for rel_type, (event_id, is_fallback) in self._relations.items()
        }

    def evaluate(self, asker: Asker) -> Actions:
        """What somebody's rules say of the event."""
        threads = asker.threads
        context = PushContext(
            asker.user_id,
            asker.display_name,
            self._member_count,
            self._sender_level,
            self._notification_level,
            None if threads is None or self.thread == MAIN else self.thread in threads,
            self._related_for(asker) if self.related else NOTHING_RELATED,
        )
        return asker.rules.evaluate(self._push_event, context)

    def _related_for(self, asker: Asker) -> Mapping[str, Related]:
        assert self.related is not None, self.event_id
        if not asker.hidden:
            return self.related
        return {
            rel_type: Related(None, related.is_fallback) if self._relations[rel_type][0] in asker.hidden else related
            for rel_type, related in self.related.items()
        }


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

    async def relate(self, noted: NotedEvent, room: Room) -> None:
        """Look up what an event relates to in its room, once for all."""
        if noted.related is None:
            found = await self._reader.found(noted.related_ids) if noted.related_ids else {}
            of_room = {event_id: event for event_id, event in found.items() if event.pdu.room_id == room.room_id}
            noted.relate({event_id: PushEvent.of(event.pdu) for event_id, event in of_room.items()})

    async def display_name(self, room: Room, user_id: UserId) -> str | None:
        """A member's name in the room, as far as he has one."""
        event_id = room.state.get((event_types.MEMBER, user_id))
        event = None if event_id is None else (await self._reader.found((event_id,))).get(event_id)
        name = None if event is None else event.pdu.content.get("displayname")
        return name if isinstance(name, str) and name else None
