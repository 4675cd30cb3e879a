"""What a user was notified about, found again on demand: his rules asked about the newest events of his rooms.

Nothing is kept for it. A page looks at a bounded number of rooms and events; where more than that lies between two
notifications, the list ends.

Spec: client-server-api#get_matrixclientv3notifications
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.protocol.ids import UserId
from watchword.protocol.push_rules import Actions
from watchword.server.accounts.reader import AccountReader
from watchword.server.push.askers import Askers
from watchword.server.push.counts import UnreadCounter
from watchword.server.push.noted import NotedEvents
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.records import is_history, ordering_of
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.view import Reader, RoomView
from watchword.storage import Database, Position

_EVENTS_MAX = 200
_SCANS_MAX = 5
_START = Position(0)


@dataclass(frozen=True, slots=True)
class Notified:
    """An event that a user was notified of."""

    view: RoomView
    event: StoredEvent
    actions: Actions
    is_read: bool


class _Found(NamedTuple):
    """A notification, ordered by its place in the log, which it shares with no other."""

    position: int
    notified: Notified


@dataclass(frozen=True, slots=True)
class Span:
    """Positions with after < position < before. before: None for the newest."""

    after: Position = _START
    before: Position | None = None


@dataclass(frozen=True, slots=True)
class NotificationQuery:
    """What is asked for. before: the position that the page ends before; None for the newest."""

    reader: Reader
    before: Position | None
    limit: int
    only_highlights: bool = False


@dataclass(frozen=True)
class Notifications:
    """Looks notifications up."""

    database: Database
    reader: RoomReader
    accounts: AccountReader
    askers: Askers
    events: NotedEvents
    unread: UnreadCounter
    clock: Clock

    async def page(self, query: NotificationQuery) -> tuple[list[bytes], Position | None]:
        """Encoded notifications, the newest first, and what the next page ends before (None if this was the last)."""
        newest: list[_Found] = []
        for room in await self.rooms(query.reader.user_id):
            if len(newest) > query.limit and room.last_position < newest[0].position:
                break
            enough, span = query.limit + 1, Span(before=query.before)
            found = await self.in_room(room, query.reader, span, enough, only_highlights=query.only_highlights)
            for notified in found[:enough]:
                heapq.heappush(newest, _Found(notified.event.position, notified))
                if len(newest) > enough:
                    heapq.heappop(newest)
        newest.sort(key=lambda found: found.position, reverse=True)
        page = newest[: query.limit]
        now_ms = self.clock.now_ms()
        encoded = [_encoded(found.notified, now_ms) for found in page]
        return encoded, Position(page[-1].position) if len(newest) > query.limit and page else None

    async def rooms(self, user_id: UserId) -> list[Room]:
        """Rooms that the user is in, those with the newest events first."""
        rooms = []
        for row in list((await self.reader.memberships.of(user_id)).values())[: limits.push_badge_rooms_max]:
            room = await self.reader.room(row.room_id) if row.membership == "join" else None
            if room is not None:
                rooms.append(room)
        return sorted(rooms, key=lambda room: room.last_position, reverse=True)

    async def in_room(
        self, room: Room, reader: Reader, span: Span, enough: int = 1, *, only_highlights: bool = False
    ) -> list[Notified]:
        """What a user was notified of in a span of a room, the newest first, until that is enough or too much was looked at."""
        floor = max(await self.unread.joined_at(reader.user_id, room), ordering_of(span.after))
        ceiling = ordering_of(room.last_position if span.before is None else Position(span.before - 1))
        found: list[Notified] = []
        for _ in range(_SCANS_MAX):
            if floor >= ceiling or len(found) >= enough:
                break
            async with self.database.read() as tx:
                view = await self.reader.view(tx, room, reader)
                page = await self.reader.timeline(view, tx, (floor, ceiling), _EVENTS_MAX, backwards=True)
            notified = await self._notified(room, reader.user_id, view, page.events)
            found += [each for each in notified if each.actions.highlight or not only_highlights]
            ceiling = floor if page.end is None else page.end
        return found

    async def _notified(self, room: Room, user_id: UserId, view: RoomView, shown: Sequence[StoredEvent]) -> list[Notified]:
        ignored = await self.accounts.ignored_users(user_id)
        events = [event for event in shown if _may_notify(event, ignored)]
        noted = [await self.events.note(event, room) for event in events]
        asker = await self.askers.asker(user_id, room, noted)
        read = await self.unread.read_up_to(user_id, room)
        found = []
        for event, each in zip(events, noted, strict=True):
            actions = each.evaluate(asker)
            if actions.notify:
                assert event.ordering is not None, event.event_id
                found.append(Notified(view, event, actions, event.ordering <= read.of(each.thread)))
        return found


def _may_notify(event: StoredEvent, ignored: frozenset[UserId]) -> bool:
    assert event.ordering is not None, event.event_id
    return not is_history(event.ordering) and event.redacted_by_nid is None and event.pdu.sender not in ignored


def _encoded(notified: Notified, now_ms: int) -> bytes:
    event = notified.event
    about = {
        "actions": actions_json(notified.actions),
        "read": notified.is_read,
        "room_id": event.pdu.room_id,
        "ts": event.pdu.origin_server_ts,
    }
    encoded = notified.view.encode(event, now_ms, with_room_id=False)
    return orjson.dumps(about)[:-1] + b',"event":' + encoded + b"}"


def actions_json(actions: Actions) -> list[Any]:
    """Actions as a rule has them. Spec: client-server-api#actions"""
    tweaks = [{"set_tweak": tweak, "value": value} for tweak, value in actions.tweaks.items()]
    return ["notify", *tweaks] if actions.notify else tweaks
