"""Unread counts: worked out for whoever asks, from where the last answer ended.

Theory of operation. Of each user who asks, each room has a tally: the counts up to a place in the timeline. An answer looks
at the events since, which are in memory as a rule, and asks the user's rules about them; nothing new costs two look-ups.
When a receipt of his moved, what it read is taken away from the tally. When his rules or whom he ignores change, his
tallies are dropped; when he subscribes to a thread or ends that, the tally of its room is. After a restart a tally begins at
the receipts and looks back no further than a bounded number of events, so that a count means "at least" where it is as large
as that.

Whatever is awaited comes first; then all is counted in one go, unless something moved meanwhile.

Spec: client-server-api#receiving-notifications
"""

from collections.abc import Mapping, Sequence

import cachebox
import msgspec

from watchword.base import limits
from watchword.protocol import event_types
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.accounts.reader import IGNORED_USERS, AccountReader
from watchword.server.changes import (
    AccountDataChanged,
    AccountDeactivated,
    Change,
    ReceiptChanged,
    ThreadSubscriptionChanged,
)
from watchword.server.push.askers import Askers
from watchword.server.push.commands import NOTHING_UNREAD, Unread
from watchword.server.push.decide import read_up_to
from watchword.server.push.noted import Asker, NotedEvent, NotedEvents
from watchword.server.push.rules import PUSH_RULES
from watchword.server.push.tally import Mark, ReadUpTo, Tally
from watchword.server.rooms.ephemeral import Ephemeral
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.records import is_history, ordering_of
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.view import Reader
from watchword.storage import Database, Log, Logged, Position

_ATTEMPTS = 10


class _User:
    """One user's tallies. generation: counts what would spoil an answer that is being worked out."""

    __slots__ = ("generation", "tallies")

    def __init__(self) -> None:
        self.generation = 0
        self.tallies: dict[RoomId, Tally] = {}


class _Gathered(msgspec.Struct, frozen=True):
    """What counting needs. tally: a new one, or the one that goes on. redacted: events that it counts no more."""

    tally: Tally
    read: ReadUpTo | None
    events: Sequence[tuple[StoredEvent, NotedEvent]]
    asker: Asker
    ignored: frozenset[UserId]
    redacted: Sequence[EventId]
    until: Position


class UnreadCounter:
    """Counts. Fits the port `UnreadCounts` of sync."""

    def __init__(
        self,
        database: Database,
        reader: RoomReader,
        ephemeral: Ephemeral,
        accounts: AccountReader,
        askers: Askers,
        events: NotedEvents,
        log: Log[Change],
    ) -> None:
        self._database = database
        self._reader = reader
        self._ephemeral = ephemeral
        self._accounts = accounts
        self._askers = askers
        self._events = events
        self._log = log
        self._users: cachebox.LRUCache[UserId, _User | None] = cachebox.LRUCache(limits.unread_users_max)

    def listen(self) -> None:
        """Hear of receipts and rules from now on; before anybody asks."""
        self._log.listen(self._heard)

    def _heard(self, logged: Logged[Change]) -> None:
        match logged.change:
            case ReceiptChanged(room_id=room_id, user_id=user_id):
                user = self._users.get(user_id, None)
                if user is not None:
                    user.generation += 1
                    tally = user.tallies.get(room_id)
                    if tally is not None:
                        tally.stale = True
            case AccountDataChanged(user_id=user_id, room_id=None, type=kind) if kind in (PUSH_RULES, IGNORED_USERS):
                self._users.pop(user_id, None)
            case ThreadSubscriptionChanged(user_id=user_id, room_id=room_id):
                user = self._users.get(user_id, None)
                if user is not None:
                    user.generation += 1
                    user.tallies.pop(room_id, None)
            case AccountDeactivated(user_id=user_id):
                self._users.pop(user_id, None)
            case _:
                pass

    async def unread(self, user_id: UserId, room: Room) -> Unread:
        """Counts since the user's receipts. The first two are the main timeline's alone."""
        user = self._users.get(user_id, None)
        if user is not None:
            tally = user.tallies.get(room.room_id)
            if tally is not None and tally.position >= room.last_position and not tally.stale:
                return tally.unread
        tally = await self._tally(user_id, room)
        return NOTHING_UNREAD if tally is None else tally.unread

    def last_known(self, user_id: UserId, room_id: RoomId) -> Unread | None:
        """What was counted last, if it is remembered and nothing was read since."""
        user = self._users.get(user_id, None)
        tally = None if user is None else user.tallies.get(room_id)
        return None if tally is None or tally.stale else tally.unread

    async def read_up_to(self, user_id: UserId, room: Room) -> ReadUpTo:
        """Up to where a user has read a room by his receipts, not before he joined."""
        return read_up_to(await self._ephemeral.receipts_of_user(room, user_id), await self.joined_at(user_id, room))

    async def _tally(self, user_id: UserId, room: Room) -> Tally | None:
        """The user's tally, brought up to now; None if he is not in the room."""
        if room.members.membership.get(user_id) != "join":
            user = self._users.get(user_id, None)
            if user is not None:
                user.tallies.pop(room.room_id, None)
            return None
        recount = False
        for _ in range(_ATTEMPTS):
            user = self._users.get(user_id, None)
            if user is None:
                user = self._users[user_id] = _User()
            known = None if recount else user.tallies.get(room.room_id)
            began = (user.generation, known, -1 if known is None else known.ordering)
            gathered = await self._gather(user_id, room, known)
            now = user.tallies.get(room.room_id)
            if self._users.get(user_id, None) is not user or user.generation != began[0]:
                continue
            if not recount and (now is not known or (known is not None and known.ordering != began[2])):
                continue
            recount = not _count(gathered, user_id)
            if not recount:
                user.tallies[room.room_id] = gathered.tally
                return gathered.tally
        return known

    async def _gather(self, user_id: UserId, room: Room, tally: Tally | None) -> _Gathered:
        until = Position(min(room.last_position, self._log.position))
        read = None
        if tally is None or tally.stale:
            read = await self.read_up_to(user_id, room)
        if tally is None:
            assert read is not None
            tally = Tally(read, read.everywhere)
        found = await self._events_after(user_id, room, tally.ordering, until)
        events = [(event, await self._events.note(event, room)) for event in found]
        asker = await self._askers.asker(user_id, room, [noted for _, noted in events])
        ignored = await self._accounts.ignored_users(user_id) if events else frozenset()
        redacted = await self._redacted(found, tally)
        return _Gathered(tally, read, events, asker, ignored, redacted, until)

    async def _events_after(self, user_id: UserId, room: Room, after: int, until: Position) -> Sequence[StoredEvent]:
        """Shown events of a span, oldest first; no more than the newest of many."""
        if after >= room.recent_floor:
            found = []
            for event in reversed(room.recent):
                assert event.ordering is not None, event.event_id
                if event.ordering <= after:
                    break
                if event.position <= until:
                    found.append(event)
            found.reverse()
            return found
        async with self._database.read() as tx:
            view = await self._reader.view(tx, room, Reader(user_id))
            span = (after, ordering_of(until))
            page = await self._reader.timeline(view, tx, span, limits.unread_events_max, backwards=True)
        # History that was fetched later was no news to anybody.
        return [event for event in reversed(page.events) if event.ordering is not None and not is_history(event.ordering)]

    async def _redacted(self, events: Sequence[StoredEvent], tally: Tally) -> Sequence[EventId]:
        """Which events that the tally counts were redacted by one of these."""
        named = [event.pdu.redacts for event in events if event.pdu.type == event_types.REDACTION]
        wanted = [event_id for event_id in named if event_id is not None and tally.marked(event_id)]
        if not wanted:
            return ()
        found: Mapping[EventId, StoredEvent] = await self._reader.found(wanted)
        return [event_id for event_id, event in found.items() if event.redacted_by_nid is not None]

    async def joined_at(self, user_id: UserId, room: Room) -> int:
        """The place in the timeline where a member's present stretch in the room began."""
        joined = room.joined_since.get(user_id)
        if joined is None:
            async with self._database.read() as tx:
                joined = await self._reader.sights.joined_since(tx, room, user_id)
        return ordering_of(joined)


def _count(gathered: _Gathered, user_id: UserId) -> bool:
    """Bring the tally up to now. False if it must begin anew."""
    tally = gathered.tally
    if gathered.read is not None and not tally.read_to(gathered.read):
        return False
    if gathered.redacted:
        tally.take_away(gathered.redacted)
    ordering = tally.ordering
    for event, noted in gathered.events:
        assert event.ordering is not None, noted.event_id
        ordering = event.ordering
        if noted.sender == user_id:
            tally.note_own(noted.thread)
        elif event.redacted_by_nid is None and noted.sender not in gathered.ignored:
            actions = noted.evaluate(gathered.asker)
            if actions.notify:
                tally.add(Mark(ordering, noted.event_id, noted.thread, actions.highlight))
    # What is hidden from the user need not be looked at again.
    tally.close(ordering if gathered.events else ordering_of(gathered.until), gathered.until)
    return True
