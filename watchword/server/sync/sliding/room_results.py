"""The results of single rooms in a sliding sync response, as encoded bytes, and what a client knows once it has them.

Deliberately absent: which rooms belong into a response (`service`).

Definition: MSC4186, "Room results" and `RoomResult`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.protocol import event_types
from watchword.protocol.client_events import finish
from watchword.protocol.events import StateKey
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.stripped_state import strip
from watchword.server.rooms.event_filters import RoomEventFilter
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.records import MembershipRow
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.tokens import timeline_token
from watchword.server.rooms.view import Reader, RoomView
from watchword.server.sync.filters import SyncFilter
from watchword.server.sync.invites import InviteSections
from watchword.server.sync.lazy_members import heroes
from watchword.server.sync.ports import UnreadCounts
from watchword.server.sync.sliding.bump_stamps import BumpStamps
from watchword.server.sync.sliding.commands import RoomConfig, WireForm
from watchword.server.sync.sliding.connections import EVERYTHING, Told
from watchword.server.sync.sliding.state_parts import StatePart, StateParts, StateSpan, members_who_appear
from watchword.server.sync.spans import RoomSpan
from watchword.server.sync.timelines import Timeline, timeline_of
from watchword.storage import Position, ReadTx

_FILTERS = tuple(SyncFilter(timeline=RoomEventFilter(limit=limit)) for limit in range(limits.sync_timeline_max + 1))


@dataclass(frozen=True, slots=True)
class Asked:
    """What all rooms of a response have in common. since: the connection's position; None for its first response.

    read: where the user's own receipts moved.
    """

    reader: Reader
    form: WireForm
    since: Position | None
    until: Position
    directs: Collection[RoomId]
    ignored: frozenset[UserId]
    read: Collection[RoomId] = ()


class Result(msgspec.Struct, frozen=True):
    """A room's result: encoded, or None if there is nothing to say; what the client knows then, None if it shall forget it.

    shown: the events of its timeline. initial: the room is told as if never before.
    """

    encoded: bytes | None
    told: Told | None
    shown: Collection[EventId] = ()
    initial: bool = False


class Subject(msgspec.Struct, frozen=True):
    """A room that a response is about: the user's membership, what is wanted of it, and what the client knows of it."""

    row: MembershipRow
    config: RoomConfig
    lists: Collection[str]
    told: Told | None


class _Stay(msgspec.Struct, frozen=True):
    """The reader in a room: since when, until when the room is told, and whether he is in it no more."""

    room: Room
    start: int
    until: Position
    left: bool


class _Found(msgspec.Struct, frozen=True):
    """What the database and the room in memory have to say. news: whether that is anything. told: what is known then."""

    view: RoomView
    timeline: Timeline
    state: Mapping[EventId, StoredEvent]
    stubs: Collection[StateKey]
    summary: list[bytes]
    stamp: int
    expanded: bool
    news: bool
    told: Told


@dataclass(frozen=True)
class RoomResults:
    """Builds results."""

    rooms: RoomReader
    invites: InviteSections
    states: StateParts
    bumps: BumpStamps
    unread: UnreadCounts
    clock: Clock

    async def result(self, asked: Asked, subject: Subject) -> Result:
        """What to say of a room."""
        row, told = subject.row, subject.told
        if row.position > asked.until:
            # The database is a moment ahead of the log: this room's turn is next time.
            return Result(None, told)
        if row.membership in ("invite", "knock"):
            return await self._outside(asked, subject)
        room = await self.rooms.registry.find(row.room_id)
        stay = None if room is None else await self._stay(asked, room, row)
        if stay is None:
            return await self._ended(asked, subject)
        if told is not None and row.position > told.until and stay.start > told.until:
            # Of what was before he came (again), his client knows nothing.
            subject = msgspec.structs.replace(subject, told=None)
        elif told is not None and not self._is_touched(asked, stay, subject.config, told):
            return Result(None, told)
        return await self._joined(asked, stay, subject)

    @staticmethod
    def _is_touched(asked: Asked, stay: _Stay, config: RoomConfig, told: Told) -> bool:
        """Whether there may be something to say of a room that the client knows; costs nothing."""
        room = stay.room
        return (
            room.last_position > told.until
            or room.last_state_position > told.until
            or min(config.timeline_limit, limits.sync_timeline_max) > told.depth
            or all(required != config.required or room.last_state_position > position for required, position in told.held)
            or (room.room_id in asked.directs) != told.is_dm
            or room.room_id in asked.read
        )

    async def _stay(self, asked: Asked, room: Room, row: MembershipRow) -> _Stay | None:
        user_id = asked.reader.user_id
        if row.membership == "join":
            start = room.joined_since.get(user_id)
            if start is None:
                async with self.rooms.database.read() as tx:
                    start = await self.rooms.sights.joined_since(tx, room, user_id)
            return _Stay(room, start, asked.until, left=False)
        async with self.rooms.database.read() as tx:
            stay = await self.rooms.sights.last_stay(tx, room, user_id)
        return None if stay is None else _Stay(room, stay[0], Position(min(asked.until, row.position)), left=True)

    # Rooms that the user is not in

    async def _outside(self, asked: Asked, subject: Subject) -> Result:
        row, told = subject.row, subject.told
        if told is not None and told.until >= row.position:
            return Result(None, told)
        parts = [b'"initial":true', b'"%b":%b' % (asked.form.stripped, await self.invites.events(row))]
        parts += _common(asked, subject, row.position)
        return Result(_object(parts), Told(row.position), initial=True)

    async def _ended(self, asked: Asked, subject: Subject) -> Result:
        """An invite or a knock came to nothing."""
        row, told = subject.row, subject.told
        if told is None or told.until >= row.position:
            return Result(None, told)
        event = (await self.rooms.found((row.event_id,))).get(row.event_id)
        if event is not None:
            encoded, stripped = finish(event.base()), strip(dict(event.pdu.json))
        else:
            # Of a room of another server only the membership is known.
            content = {"membership": row.membership}
            stripped = {"type": event_types.MEMBER, "state_key": row.user_id, "sender": row.sender, "content": content}
            encoded = orjson.dumps({**stripped, "event_id": row.event_id, "origin_server_ts": self.clock.now_ms()})
        # The form in use takes stripped state for an invite; the member event says that there is none.
        parts = [b'"required_state":[%b]' % encoded]
        if asked.form.tells_lists:
            parts.append(b'"stripped_state":' + orjson.dumps([stripped]))
        parts += _common(asked, subject, row.position)
        return Result(_object(parts), None)

    # Rooms that the user is or was in

    async def _joined(self, asked: Asked, stay: _Stay, subject: Subject) -> Result:
        async with self.rooms.database.read() as tx:
            found = await self._found(tx, asked, stay, subject)
        told, timeline, room = subject.told, found.timeline, stay.room
        if told is not None and not found.news:
            return Result(None, found.told)
        parts = [b'"initial":true'] if told is None else []
        if found.expanded:
            parts.append(b'"%b":true' % asked.form.expanded)
        parts += found.summary
        parts += await self._events(asked, found)
        if asked.form.has_counts and not stay.left and (told is None or timeline.events or room.room_id in asked.read):
            unread = await self.unread.unread(asked.reader.user_id, room)
            counts = (unread.notifications, unread.highlights)
            parts.append(b'"notification_count":%d,"highlight_count":%d' % counts)
        is_new = told is None or found.stamp > told.until
        parts += _common(asked, subject, found.stamp if is_new else None)
        shown = [event.event_id for event in timeline.events]
        return Result(_object(parts), found.told, shown, initial=told is None)

    async def _found(self, tx: ReadTx, asked: Asked, stay: _Stay, subject: Subject) -> _Found:
        room, told, config = stay.room, subject.told, subject.config
        limit = min(config.timeline_limit, limits.sync_timeline_max)
        expanded = told is not None and limit > told.depth
        since = None if told is None or expanded else Position(told.until)
        span = RoomSpan(room, asked.reader, since, stay.until, _FILTERS[limit], left=stay.left, ignored=asked.ignored)
        view = await self.rooms.sights.view(tx, room, asked.reader)
        timeline = await timeline_of(self.rooms, tx, view, span)
        part = await self.states.part(tx, StateSpan(room, config, told, stay.until))
        ids = part.ids
        members: tuple[str, ...] = ()
        if config.is_lazy:
            known = () if told is None else told.members
            appear, members = members_who_appear(part, timeline.events, known, limited=timeline.limited)
            ids.update(appear)
        own = (event_types.MEMBER, asked.reader.user_id)
        if stay.left and own in part.now:
            # Whoever was let go learns from his own member event by whom, and why.
            ids[own] = part.now[own]
        summary = await self._summary(tx, asked, stay, part)
        is_dm = room.room_id in asked.directs
        if is_dm != (told is not None and told.is_dm):
            summary.append(b'"is_dm":true' if is_dm else b'"is_dm":false')
        stubs = part.stubs(config) if asked.form.has_stubs else ()
        return _Found(
            view,
            timeline,
            await self.rooms.events.many(tx, ids.values()),
            stubs,
            summary,
            subject.row.position if stay.left else await self.bumps.of(tx, room),
            expanded=expanded and bool(timeline.events),
            news=bool(timeline.events or timeline.limited or ids or summary or stubs or room.room_id in asked.read),
            told=_told(told, span, timeline, part, limit, is_dm=is_dm, members=members),
        )

    async def _events(self, asked: Asked, found: _Found) -> list[bytes]:
        now_ms = self.clock.now_ms()
        view, timeline = found.view, found.timeline
        parts = []
        if found.state or found.stubs:
            encoded = view.encode_all(found.state.values(), now_ms, with_room_id=False)
            encoded += [orjson.dumps({"type": kind, "state_key": key}) for kind, key in found.stubs]
            parts.append(b'"required_state":[%b]' % b",".join(encoded))
        if timeline.events or timeline.limited:
            # "If `limited` is true then we include bundle aggregations": otherwise the client sees what relates to them.
            bundles: Mapping[EventId, bytes] = {}
            if timeline.limited:
                bundles = await self.rooms.bundles.encoded(view, timeline.events, now_ms, with_room_id=False)
            encoded = view.encode_all(timeline.events, now_ms, with_room_id=False, relations=bundles)
            live = 0 if asked.since is None else sum(_is_after(event, asked.since) for event in timeline.events)
            parts.append(b'"%b":[%b],"num_live":%d' % (asked.form.timeline, b",".join(encoded), live))
            parts.append(b'"limited":true' if timeline.limited else b'"limited":false')
            parts.append(b'"prev_batch":"%b"' % timeline_token(max(0, timeline.before)).encode())
        return parts

    async def _summary(self, tx: ReadTx, asked: Asked, stay: _Stay, part: StatePart) -> list[bytes]:
        """Name, picture, who is there: all of it, or what is new."""
        if part.changed is not None and not part.changed and not part.removed:
            return []
        parts: list[bytes] = []
        initial = part.changed is None
        members = part.touches(event_types.MEMBER)
        named = part.touches(event_types.NAME)
        if not (members or named or part.touches(event_types.AVATAR)):
            return []
        name = await self._content(tx, part, event_types.NAME, "name")
        if named and (name is not None or not initial):
            parts.append(b'"name":' + orjson.dumps(name))
        if part.touches(event_types.AVATAR):
            avatar = await self._content(tx, part, event_types.AVATAR, "url")
            if avatar is not None or not initial:
                parts.append(b'"avatar":' + orjson.dumps(avatar))
        if stay.left:
            # Who is there now is none of his business.
            return parts
        if name is None and (members or named):
            parts.append(b'"heroes":' + orjson.dumps(await self._heroes(tx, asked, stay.room, part)))
        if members:
            there = stay.room.members
            parts.append(b'"joined_count":%d,"invited_count":%d' % (len(there.joined), len(there.invited)))
        return parts

    async def _content(self, tx: ReadTx, part: StatePart, kind: str, name: str) -> str | None:
        event_id = part.now.get((kind, ""))
        if event_id is None:
            return None
        event = self.rooms.events.cached(event_id) or await self.rooms.events.one(tx, event_id)
        value = None if event is None else event.pdu.content.get(name)
        return value if isinstance(value, str) and value else None

    async def _heroes(self, tx: ReadTx, asked: Asked, room: Room, part: StatePart) -> list[dict[str, Any]]:
        found = []
        named = heroes(room, asked.reader.user_id)
        ids = {hero: part.now.get((event_types.MEMBER, hero)) for hero in named}
        events = await self.rooms.events.many(tx, [event_id for event_id in ids.values() if event_id is not None])
        for hero, event_id in ids.items():
            one: dict[str, Any] = {"user_id": hero}
            content: Mapping[str, object] = events[event_id].pdu.content if event_id in events else {}
            for key in ("displayname", "avatar_url"):
                if isinstance(content.get(key), str):
                    one[key] = content[key]
            found.append(one)
        return found


def _told(
    told: Told | None,
    span: RoomSpan,
    timeline: Timeline,
    part: StatePart,
    limit: int,
    *,
    is_dm: bool,
    members: tuple[str, ...],
) -> Told:
    """What the client knows with this result."""
    count = len(timeline.events)
    if span.since is None:
        depth = max(limit, count) if timeline.limited else EVERYTHING
    elif timeline.limited or told is None:
        depth = count
    else:
        depth = min(told.depth + count, EVERYTHING)
    if told is None:
        return Told(span.until, depth, part.held, members, is_dm)
    return msgspec.structs.replace(told, until=span.until, depth=depth, held=part.held, members=members, is_dm=is_dm)


def _is_after(event: StoredEvent, position: Position) -> bool:
    return not event.is_history and event.position > position


def _common(asked: Asked, subject: Subject, stamp: int | None) -> list[bytes]:
    parts = [] if stamp is None else [b'"bump_stamp":%d' % stamp]
    if asked.form.tells_lists:
        parts.append(b'"membership":' + orjson.dumps(subject.row.membership))
        if subject.lists:
            parts.append(b'"lists":' + orjson.dumps(list(subject.lists)))
    return parts


def _object(parts: list[bytes]) -> bytes:
    return b"{" + b",".join(parts) + b"}"
