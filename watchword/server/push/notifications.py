"""The list of what a user was notified about, found again on demand: his rules asked about the newest events of his rooms.

Nothing is kept for it. A page looks at a bounded number of rooms and events; where more than that lies between two
notifications, the list ends.

Spec: client-server-api#get_matrixclientv3notifications
"""

import heapq
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.protocol.ids import UserId
from watchword.protocol.push_rules import Actions
from watchword.server.accounts.reader import AccountReader
from watchword.server.push.counts import UnreadCounter
from watchword.server.push.noted import NotedEvents
from watchword.server.push.rules import PushRules
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.records import is_history, ordering_of
from watchword.server.rooms.room import Room
from watchword.server.rooms.view import Reader
from watchword.storage import Database, Position

_EVENTS_MAX = 200


class _Found(NamedTuple):
    """A notification, ordered by its place in the log."""

    position: int
    encoded: bytes


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
    rules: PushRules
    events: NotedEvents
    unread: UnreadCounter
    clock: Clock

    async def page(self, query: NotificationQuery) -> tuple[list[bytes], Position | None]:
        """Encoded notifications, the newest first, and what the next page ends before (None if this was the last)."""
        newest: list[_Found] = []
        for room in await self._rooms(query.reader.user_id):
            if len(newest) > query.limit and room.last_position < newest[0].position:
                break
            for found in await self._of_room(room, query):
                heapq.heappush(newest, found)
                if len(newest) > query.limit + 1:
                    heapq.heappop(newest)
        newest.sort(reverse=True)
        page = newest[: query.limit]
        more = len(newest) > query.limit
        return [found.encoded for found in page], Position(page[-1].position) if more and page else None

    async def _rooms(self, user_id: UserId) -> list[Room]:
        """Rooms that the user is in, those with the newest events first."""
        rooms = []
        for row in list((await self.reader.memberships.of(user_id)).values())[: limits.push_badge_rooms_max]:
            room = await self.reader.room(row.room_id) if row.membership == "join" else None
            if room is not None:
                rooms.append(room)
        return sorted(rooms, key=lambda room: room.last_position, reverse=True)

    async def _of_room(self, room: Room, query: NotificationQuery) -> list[_Found]:
        """A room's newest notifications, no more than the page needs."""
        found: list[_Found] = []
        user_id = query.reader.user_id
        rules = await self.rules.ready(user_id)
        ignored = await self.accounts.ignored_users(user_id)
        name = await self.events.display_name(room, user_id) if rules.by_name else None
        read = await self.unread.read_up_to(user_id, room)
        joined = await self.unread.joined_at(user_id, room)
        ceiling = ordering_of(room.last_position if query.before is None else query.before - 1)
        if joined >= ceiling:
            return found
        async with self.database.read() as tx:
            view = await self.reader.view(tx, room, query.reader)
            page = await self.reader.timeline(view, tx, (joined, ceiling), _EVENTS_MAX, backwards=True)
        now_ms = self.clock.now_ms()
        for event in page.events:
            assert event.ordering is not None, event.event_id
            if is_history(event.ordering) or event.redacted_by_nid is not None or event.pdu.sender in ignored:
                continue
            noted = await self.events.note(event, room)
            actions = noted.evaluate(rules, user_id, name)
            if not actions.notify or (query.only_highlights and not actions.highlight):
                continue
            about = {
                "actions": actions_json(actions),
                "read": event.ordering <= read.of(noted.thread),
                "room_id": room.room_id,
                "ts": event.pdu.origin_server_ts,
            }
            encoded = view.encode(event, now_ms, with_room_id=False)
            found.append(_Found(event.position, orjson.dumps(about)[:-1] + b',"event":' + encoded + b"}"))
            if len(found) > query.limit:
                break
        return found


def actions_json(actions: Actions) -> list[Any]:
    """Actions as a rule has them. Spec: client-server-api#actions"""
    tweaks = [{"set_tweak": tweak, "value": value} for tweak, value in actions.tweaks.items()]
    return ["notify", *tweaks] if actions.notify else tweaks
