"""A user's rooms by recency, and the parts of them that filters let through; kept up with the log, not worked out per request.

Theory of operation. A dict keeps the order in which its keys were put in. A room in which something happens is taken out and
put in again, so it stands last; the list read backwards is the list by recency. The same goes for each filtered part. Whoever
asks brings the list up to the position he asks for, from the ring of recent changes: that costs what happened since, whatever
the number of rooms. Where the ring does not reach back, the list is built anew.

In the list are rooms that the user is in, is invited to, knocks at, was kicked from or banned from. Who left by himself
knows that.

Definition: MSC4186, "Lists" and "Activity ordering".
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import cachebox
import orjson

from watchword.base import limits
from watchword.protocol import event_types
from watchword.protocol.ids import RoomId, UserId
from watchword.server.accounts.reader import IGNORED_USERS, INVITE_PERMISSION, AccountReader
from watchword.server.changes import AccountDataChanged, Change, EventAppended, OutOfBandMembership, StateChanged
from watchword.server.rooms.facts import FactsReader
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.records import MembershipRow
from watchword.server.rooms.room import Room
from watchword.server.sync.invites import InviteSections
from watchword.server.sync.sliding.commands import RoomFilter
from watchword.server.sync.sliding.decide import Facts, Surroundings, passes
from watchword.server.sync.window import RING_SCAN_MAX
from watchword.storage import Log, Logged, Position

_DIRECT = "m.direct"
_TAG = "m.tag"
_FACT_TYPES = (event_types.CREATE, event_types.ENCRYPTION, event_types.NAME)
_NOTHING: Mapping[str, Any] = {}


@dataclass(slots=True)
class Filtered:
    """The rooms that a filter lets through, the newest last. spaces: the state that `children` was read from."""

    rooms: dict[RoomId, None]
    spaces: tuple[tuple[RoomId, int], ...] = ()
    children: frozenset[RoomId] = frozenset()


@dataclass(slots=True)
class RoomList:
    """One user's list. Read it between two awaits: whoever asks next moves it on.

    recency: room → the position of its newest event, or of the membership where the user is not in the room; the newest last.
    kinds: room → `join`, `invite`, `knock`, `leave` (kicked) or `ban`. generation: another one, another order or content;
    0 before the list is built.
    """

    user_id: UserId
    position: int = 0
    generation: int = 0
    recency: dict[RoomId, int] = field(default_factory=dict)
    kinds: dict[RoomId, str] = field(default_factory=dict)
    directs: frozenset[RoomId] = frozenset()
    tags: Mapping[RoomId, Collection[str]] | None = None
    facts: dict[RoomId, Facts] | None = None
    filtered: "OrderedDict[RoomFilter, Filtered]" = field(default_factory=OrderedDict)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def put(self, room_id: RoomId, position: int) -> None:
        """Something happened in a room: it is the newest now."""
        self.recency.pop(room_id, None)
        self.recency[room_id] = position

    def drop(self, room_id: RoomId) -> None:
        """The room is in the list no more."""
        self.recency.pop(room_id, None)
        self.kinds.pop(room_id, None)
        for filtered in self.filtered.values():
            filtered.rooms.pop(room_id, None)


@dataclass(slots=True)
class _News:
    """What a span of the log means for one list."""

    moved: dict[RoomId, int] = field(default_factory=dict)
    memberships: set[RoomId] = field(default_factory=set)
    facts: set[RoomId] = field(default_factory=set)
    directs: bool = False
    tags: bool = False
    ignored: bool = False


class RoomLists:
    """Keeps the lists of those who ask, bounded; the one not asked for longest goes first."""

    def __init__(
        self, log: Log[Change], rooms: RoomReader, facts: FactsReader, accounts: AccountReader, invites: InviteSections
    ) -> None:
        self._log = log
        self._rooms = rooms
        self._facts = facts
        self._accounts = accounts
        self._invites = invites
        self._lists: cachebox.LRUCache[UserId, RoomList | None] = cachebox.LRUCache(limits.sliding_lists_max)

    async def at(self, user_id: UserId, until: Position) -> RoomList:
        """The user's list, with everything up to a position (or further, if somebody asked for more)."""
        known = self._lists.get(user_id, None)
        if known is None:
            known = RoomList(user_id)
            self._lists[user_id] = known
        if known.position >= until and known.generation:
            return known
        async with known.turn:
            if known.position < until or not known.generation:
                await self._advance(known, until)
        return known

    async def filtered(self, rooms: RoomList, wanted: RoomFilter) -> Filtered:
        """The part of a list that a filter lets through. Ask while nobody can move the list on: right before reading it."""
        spaces: tuple[tuple[RoomId, int], ...] = ()
        found: list[Room] = []
        if wanted.spaces is not None:
            found = await self._joined_spaces(rooms, wanted.spaces)
            spaces = tuple((space.room_id, space.last_state_position) for space in found)
        known = rooms.filtered.get(wanted)
        if known is not None and known.spaces == spaces:
            rooms.filtered.move_to_end(wanted)
            return known
        async with rooms.turn:
            children = await self._children(found)
            if wanted.needs_tags and rooms.tags is None:
                rooms.tags = await self._tags(rooms.user_id)
            if wanted.needs_facts and rooms.facts is None:
                rooms.facts = await self._all_facts(rooms)
            around = Surroundings(rooms.directs, rooms.tags, children)
            facts_of = (rooms.facts or {}).get
            passed = {
                room_id: None
                for room_id in rooms.recency
                if passes(wanted, room_id, rooms.kinds[room_id], facts_of(room_id), around)
            }
            known = rooms.filtered[wanted] = Filtered(passed, spaces, children)
            while len(rooms.filtered) > limits.sliding_filters_max:
                rooms.filtered.popitem(last=False)
        return known

    # Keeping up

    async def _advance(self, rooms: RoomList, until: Position) -> None:
        if not rooms.generation or rooms.position < self._log.ring_floor or until - rooms.position > RING_SCAN_MAX:
            await self._build(rooms)
            return
        news = _News()
        for logged in self._log.recent(Position(rooms.position), until):
            _note(news, logged, rooms)
        if news.ignored:
            await self._build(rooms)
            return
        try:
            await self._apply(rooms, news, until)
        except BaseException:
            # Half of it may be there: begin anew next time.
            rooms.generation = 0
            raise

    async def _apply(self, rooms: RoomList, news: _News, until: Position) -> None:
        user_id = rooms.user_id
        rows = await self._rooms.memberships.of(user_id) if news.memberships else {}
        kinds = {room_id: await self._kind(rows.get(room_id)) for room_id in news.memberships}
        facts: dict[RoomId, Facts] = {}
        if rooms.facts is not None:
            for room_id in news.facts | news.memberships:
                if kinds.get(room_id, rooms.kinds.get(room_id)) is not None:
                    facts[room_id] = await self._facts_of(rows.get(room_id), user_id, room_id)
        directs = await self._directs(user_id) if news.directs else rooms.directs
        tags = await self._tags(user_id) if news.tags and rooms.tags is not None else rooms.tags
        # From here on nobody can look in between.
        for room_id, kind in kinds.items():
            if kind is None:
                rooms.drop(room_id)
                news.moved.pop(room_id, None)
                continue
            rooms.kinds[room_id] = kind
            if kind != "join" and room_id in news.moved:
                # What happened after he was let go does not count.
                news.moved[room_id] = rows[room_id].position
        if rooms.facts is not None:
            rooms.facts.update(facts)
        if directs is not rooms.directs or tags is not rooms.tags:
            rooms.directs, rooms.tags = directs, tags
            for wanted in [wanted for wanted in rooms.filtered if wanted.is_dm is not None or wanted.needs_tags]:
                del rooms.filtered[wanted]
        for room_id, position in news.moved.items():
            rooms.put(room_id, position)
        self._refilter(rooms, news.moved.keys(), news.facts)
        rooms.position = until
        if news.moved or news.memberships or news.facts or news.directs or news.tags:
            rooms.generation += 1

    def _refilter(self, rooms: RoomList, moved: Collection[RoomId], changed: Collection[RoomId]) -> None:
        """Put what moved at the end of each filtered part, and see again what a filter says of what changed."""
        stays = [room_id for room_id in changed if room_id not in moved]
        for wanted, filtered in list(rooms.filtered.items()):
            around = Surroundings(rooms.directs, rooms.tags, filtered.children)
            if stays and wanted.needs_facts:
                # A name that changed without an event: rare enough to begin anew.
                del rooms.filtered[wanted]
                continue
            for room_id in moved:
                filtered.rooms.pop(room_id, None)
                facts = None if rooms.facts is None else rooms.facts.get(room_id)
                if passes(wanted, room_id, rooms.kinds[room_id], facts, around):
                    filtered.rooms[room_id] = None

    async def _build(self, rooms: RoomList) -> None:
        user_id = rooms.user_id
        began = self._log.position
        recency = dict(await self._facts.recency(user_id))
        kinds: dict[RoomId, str] = {}
        for row in list((await self._rooms.memberships.of(user_id)).values()):
            kind = await self._kind(row)
            if kind is not None:
                kinds[row.room_id] = kind
                if kind != "join" or row.room_id not in recency:
                    recency[row.room_id] = row.position
        rooms.directs = await self._directs(user_id)
        rooms.recency = {
            room_id: position for room_id, position in sorted(recency.items(), key=lambda item: item[1]) if room_id in kinds
        }
        rooms.kinds = kinds
        rooms.tags = rooms.facts = None
        rooms.filtered.clear()
        # The database may know more than the log shows; what the log shows from here on is looked at again.
        rooms.position = began
        rooms.generation += 1

    # Looking up

    async def _kind(self, row: MembershipRow | None) -> str | None:
        """As what a room stands in the list; None if it does not."""
        if row is None or row.forgotten:
            return None
        if row.membership == "join":
            return "join"
        if row.membership in ("invite", "knock"):
            is_hidden = row.membership == "invite" and await self._accounts.hides_invite(row.user_id, row.sender)
            return None if is_hidden else row.membership
        if row.membership == "leave" and row.sender == row.user_id:
            return None
        room = await self._rooms.room(row.room_id)
        if room is None:
            return None
        async with self._rooms.database.read() as tx:
            stay = await self._rooms.sights.last_stay(tx, room, row.user_id)
        # "Rooms the user has been banned from, but never joined, should not be part of the list."
        return None if stay is None else row.membership

    async def _directs(self, user_id: UserId) -> frozenset[RoomId]:
        content = _object(await self._accounts.account_data(user_id, None, _DIRECT))
        listed = (rooms for rooms in content.values() if isinstance(rooms, list))
        return frozenset(RoomId(room_id) for rooms in listed for room_id in rooms if isinstance(room_id, str))

    async def _tags(self, user_id: UserId) -> Mapping[RoomId, Collection[str]]:
        found: dict[RoomId, Collection[str]] = {}
        for row in await self._accounts.account_data_since(user_id, Position(0)):
            if row.room_id is not None and row.type == _TAG:
                tags = _object(row.content).get("tags")
                if isinstance(tags, dict):
                    found[row.room_id] = frozenset(tags)
        return found

    async def _all_facts(self, rooms: RoomList) -> dict[RoomId, Facts]:
        user_id = rooms.user_id
        creates, encryption, names = [await self._facts.contents(user_id, kind) for kind in _FACT_TYPES]
        found: dict[RoomId, Facts] = {}
        rows = await self._rooms.memberships.of(user_id)
        for room_id, kind in list(rooms.kinds.items()):
            if kind == "join" and room_id in creates:
                name = names.get(room_id, _NOTHING).get("name")
                found[room_id] = Facts(_text(creates[room_id].get("type")), room_id in encryption, _text(name), is_known=True)
            else:
                found[room_id] = await self._facts_of(rows.get(room_id), user_id, room_id)
        return found

    async def _facts_of(self, row: MembershipRow | None, user_id: UserId, room_id: RoomId) -> Facts:
        row = row or (await self._rooms.memberships.of(user_id)).get(room_id)
        if row is not None and row.membership in ("invite", "knock"):
            return _stripped_facts(await self._invites.events(row))
        room = await self._rooms.room(room_id)
        if room is None:
            return Facts(is_known=False)
        name = None
        if row is not None and row.membership == "join":
            event_id = room.state.get((event_types.NAME, ""))
            if event_id is not None:
                event = (await self._rooms.found((event_id,))).get(event_id)
                name = None if event is None else _text(event.pdu.content.get("name"))
        encrypted = (event_types.ENCRYPTION, "") in room.state
        return Facts(_text(room.content(event_types.CREATE).get("type")), encrypted, name)

    async def _joined_spaces(self, rooms: RoomList, spaces: Collection[RoomId]) -> list[Room]:
        # "Unknown spaces or spaces the user is not joined to will be ignored."
        found = [await self._rooms.room(space) for space in spaces if rooms.kinds.get(space) == "join"]
        return [room for room in found if room is not None]

    async def _children(self, spaces: Collection[Room]) -> frozenset[RoomId]:
        ids = {
            event_id: key for room in spaces for (kind, key), event_id in room.state.items() if kind == event_types.SPACE_CHILD
        }
        found = await self._rooms.found(ids) if ids else {}
        # A child without servers to join it through was taken out of the space.
        return frozenset(
            RoomId(ids[event_id]) for event_id, event in found.items() if isinstance(event.pdu.content.get("via"), list)
        )


def _note(news: _News, logged: Logged[Change], rooms: RoomList) -> None:
    match logged.change:
        case EventAppended() as change:
            room_id = change.room_id
            if change.membership is not None and change.state_key == rooms.user_id:
                news.memberships.add(room_id)
                news.facts.add(room_id)
            elif rooms.kinds.get(room_id) != "join" and room_id not in news.memberships:
                return
            news.moved.pop(room_id, None)
            news.moved[room_id] = logged.position
            if change.state_key == "" and change.type in _FACT_TYPES:
                news.facts.add(room_id)
        case OutOfBandMembership(room_id=room_id, user_id=user_id) if user_id == rooms.user_id:
            news.memberships.add(room_id)
            news.moved.pop(room_id, None)
            news.moved[room_id] = logged.position
        case StateChanged(room_id=room_id) if room_id in rooms.kinds:
            news.facts.add(room_id)
            # State resolution may have changed who is in the room, too.
            news.memberships.add(room_id)
        case AccountDataChanged(user_id=user_id, room_id=None, type=kind) if user_id == rooms.user_id:
            news.directs |= kind == _DIRECT
            news.ignored |= kind == IGNORED_USERS or kind in INVITE_PERMISSION
        case AccountDataChanged(user_id=user_id, type=kind) if user_id == rooms.user_id:
            news.tags |= kind == _TAG
        case _:
            pass


def _stripped_facts(encoded: bytes) -> Facts:
    contents: dict[str, Mapping[str, Any]] = {}
    for event in orjson.loads(encoded):
        if event.get("state_key") == "" and isinstance(event.get("content"), dict):
            contents[str(event.get("type"))] = event["content"]
    create = contents.get(event_types.CREATE)
    name = _text(contents.get(event_types.NAME, _NOTHING).get("name"))
    if create is None:
        return Facts(name=name, is_known=False)
    return Facts(_text(create.get("type")), event_types.ENCRYPTION in contents, name)


def _object(encoded: bytes | None) -> Mapping[str, Any]:
    value = None if encoded is None else orjson.loads(encoded)
    return value if isinstance(value, dict) else _NOTHING


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
