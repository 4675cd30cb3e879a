"""Lazily loaded members: which member events a client needs with a response, and which it has been sent already.

What was sent counts once the client comes back with the token of that response: a response may be lost on its way.

Spec: client-server-api#lazy-loading-room-members
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import cachebox

from watchword.protocol import event_types
from watchword.protocol.ids import EventId, UserId
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent
from watchword.server.sync.spans import RoomSpan
from watchword.server.sync.timelines import Timeline
from watchword.storage import Position, ReadTx

_DEVICES_AND_ROOMS_MAX = 20_000
_MEMBERS_PER_ROOM_MAX = 1_000
_HEROES_MAX = 5
_HERO_SCAN_MAX = 1_000

Key = tuple[str, str | None, str]
Sent = dict[UserId, tuple[EventId, Position]]


def _nothing() -> "cachebox.LRUCache[Key, Sent | None]":
    return cachebox.LRUCache(_DEVICES_AND_ROOMS_MAX)


@dataclass
class LazyMembers:
    """Chooses member events, and remembers (bounded) which a device has."""

    reader: RoomReader
    _sent: "cachebox.LRUCache[Key, Sent | None]" = field(default_factory=_nothing)

    def are_known(self, span: RoomSpan, members: Mapping[UserId, EventId | None]) -> bool:
        """Whether the device has these member events."""
        sent = self._sent.get(_key(span), None)
        return sent is not None and all(_has(sent, span, user_id, event_id) for user_id, event_id in members.items())

    async def chosen(
        self, tx: ReadTx, span: RoomSpan, timeline: Timeline, events: Mapping[EventId, StoredEvent], *, summary: bool
    ) -> dict[EventId, StoredEvent]:
        """Of the state events of a response those that the client needs, and members whom it may not know yet.

        Members in the gap of a limited timeline stay, even if the client had them. summary: the response names heroes.
        """
        room, user_id = span.room, span.reader.user_id
        wanted = {event.pdu.sender for event in timeline.events}
        if summary:
            wanted.update(heroes(room, user_id))
        kept = dict(events)
        if span.state_since is None:
            wanted.add(user_id)
            kept = {
                event_id: event
                for event_id, event in events.items()
                if event.pdu.type != event_types.MEMBER or event.pdu.state_key in wanted
            }
        sent = self._sent.get(_key(span), None)
        if sent is None or span.since is None:
            sent = {}
        redundant = span.sync_filter.state.include_redundant_members
        missing = [
            event_id
            for member, event_id in (await self._members(tx, span, timeline, wanted)).items()
            if event_id not in kept and (redundant or not _has(sent, span, member, event_id))
        ]
        if missing:
            kept.update(await self.reader.events.many(tx, missing))
        self._remember(span, sent, (*kept.values(), *timeline.events))
        return kept

    async def _members(self, tx: ReadTx, span: RoomSpan, timeline: Timeline, wanted: Iterable[UserId]) -> dict[UserId, EventId]:
        """The member events of these users: at the end of the span, or before the first change of theirs in the timeline."""
        state = await self.reader.state_at(span.room, span.until, tx)
        found = {user_id: state[(event_types.MEMBER, user_id)] for user_id in wanted if (event_types.MEMBER, user_id) in state}
        for event in reversed(timeline.events):
            member = UserId(event.pdu.state_key or "")
            if event.pdu.type == event_types.MEMBER and member in found:
                before = None if span.state_after else event.replaced
                if before is None:
                    del found[member]
                else:
                    found[member] = before.event_id
        return found

    def _remember(self, span: RoomSpan, sent: Sent, events: Iterable[StoredEvent]) -> None:
        for event in events:
            if event.pdu.type == event_types.MEMBER and event.pdu.state_key is not None:
                member = UserId(event.pdu.state_key)
                if sent.get(member, (None, None))[0] != event.event_id:
                    sent.pop(member, None)
                    sent[member] = (event.event_id, span.until)
        while len(sent) > _MEMBERS_PER_ROOM_MAX:
            del sent[next(iter(sent))]
        self._sent[_key(span)] = sent


def _key(span: RoomSpan) -> Key:
    return (span.reader.user_id, span.reader.device_id, span.room.room_id)


def _has(sent: Sent, span: RoomSpan, member: UserId, event_id: EventId | None) -> bool:
    known = sent.get(member)
    return known is not None and known[0] == event_id and span.since is not None and known[1] <= span.since


def heroes(room: Room, user_id: UserId) -> list[UserId]:
    """Up to five joined or invited members beside the user; if there are none, those who were there.

    Spec: client-server-api#get_matrixclientv3sync
    """
    found: list[UserId] = []
    for wanted in (("join", "invite"), ("leave", "ban")):
        for scanned, (member, membership) in enumerate(room.members.membership.items()):
            if scanned >= _HERO_SCAN_MAX or len(found) == _HEROES_MAX:
                break
            if member != user_id and membership in wanted:
                found.append(member)
        if found:
            break
    return found
