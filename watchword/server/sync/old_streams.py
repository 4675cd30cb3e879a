"""The event stream from before /sync: /events, /initialSync and their like, deprecated yet part of the API.

With a room named, the stream also previews rooms that everybody may read, which /sync does not.
Deliberately absent: anything that is not an event of a room. Typing, receipts and devices are for /sync.

Spec: client-server-api#get_matrixclientv3events, client-server-api#room-previews
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import NotFound
from watchword.edge.stopping import Stopping
from watchword.protocol import event_types
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.accounts.reader import AccountReader
from watchword.server.changes import Change, EventAppended
from watchword.server.rooms import records
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.records import MembershipRow
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import StoredEvent
from watchword.server.rooms.tokens import sync_token, timeline_token
from watchword.server.rooms.view import Reader, RoomView
from watchword.server.sync.ports import Presence
from watchword.server.sync.waiting import WaitingRoom
from watchword.server.sync.window import open_window
from watchword.storage import Log, Logged, Position

_SHOWN = ("invite", "join", "leave", "ban")


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """Listen from a position on; None from now on. room_id: to that room alone."""

    reader: Reader
    since: Position | None
    timeout_ms: int
    room_id: RoomId | None = None


@dataclass
class RoomBell:
    """Wakes those who listen to one room, members or not. Listens to the log from `listen` on."""

    _listening: dict[RoomId, set[asyncio.Future[None]]] = field(default_factory=dict)

    def listen(self, log: Log[Change]) -> None:
        """Hear of every change."""
        log.listen(self._heard)

    def enter(self, room_id: RoomId, woken: asyncio.Future[None]) -> None:
        """Wake this one with the next event of a room. Pair with `leave`."""
        self._listening.setdefault(room_id, set()).add(woken)

    def leave(self, room_id: RoomId, woken: asyncio.Future[None]) -> None:
        """Do not wake it any more."""
        listening = self._listening[room_id]
        listening.discard(woken)
        if not listening:
            del self._listening[room_id]

    def _heard(self, logged: Logged[Change]) -> None:
        if self._listening and isinstance(logged.change, EventAppended):
            for woken in self._listening.get(logged.change.room_id, ()):
                if not woken.done():
                    woken.set_result(None)


@dataclass(frozen=True)
class OldStreams:
    """Answers what older clients ask."""

    log: Log[Change]
    rooms: RoomReader
    accounts: AccountReader
    presence: Presence
    waiting: WaitingRoom
    bell: RoomBell
    stopping: Stopping
    clock: Clock

    # The stream

    async def events(self, request: StreamRequest) -> bytes:
        """The body of /events; waits up to timeout_ms for something to say. Raises Forbidden."""
        if request.room_id is not None:
            await self.rooms.readable_room(request.room_id, request.reader.user_id)
        since = self.log.position if request.since is None else Position(min(request.since, self.log.position))
        request = replace(request, since=since)
        deadline_ms = self.clock.monotonic_ms() + min(request.timeout_ms, limits.sync_timeout_ms_max)
        while True:
            woken = self._enter(request)
            try:
                left_ms = deadline_ms - self.clock.monotonic_ms()
                chunk, end = await self._chunk(request, since)
                if chunk or left_ms <= 0 or self.stopping.is_set:
                    return b'{"chunk":[%b],"end":"%b","start":"%b"}' % (
                        b",".join(chunk),
                        sync_token(end).encode(),
                        sync_token(since).encode(),
                    )
                await self.waiting.wait(woken, left_ms)
            finally:
                self._leave(request, woken)

    def _enter(self, request: StreamRequest) -> asyncio.Future[None]:
        woken = self.waiting.enter(request.reader.user_id)
        if request.room_id is not None:
            self.bell.enter(request.room_id, woken)
        return woken

    def _leave(self, request: StreamRequest, woken: asyncio.Future[None]) -> None:
        self.waiting.leave(request.reader.user_id, woken)
        if request.room_id is not None:
            self.bell.leave(request.room_id, woken)

    async def _chunk(self, request: StreamRequest, since: Position) -> tuple[list[bytes], Position]:
        """Encoded events after a position, oldest first, and the position that they reach to."""
        until = self.log.position
        if since >= until:
            return [], since
        found: list[tuple[RoomView, StoredEvent]] = []
        for room_id in await self._concerned(request, since, until):
            room = await self.rooms.room(room_id)
            if room is not None and room.last_position > since:
                new, until = await self._new_in(room, request.reader, (since, until))
                found.extend(new)
        ignored = await self.accounts.ignored_users(request.reader.user_id) if found else frozenset()
        found.sort(key=lambda each: each[1].ordering or 0)
        if len(found) > limits.old_stream_page_max:
            until = min(until, Position(found[limits.old_stream_page_max - 1][1].position))
        now_ms = self.clock.now_ms()
        return [
            view.encode(event, now_ms) for view, event in found if event.position <= until and _is_heard(event, ignored)
        ], until

    async def _concerned(self, request: StreamRequest, since: Position, until: Position) -> Iterable[RoomId]:
        if request.room_id is not None:
            return (request.room_id,)
        user_id = request.reader.user_id
        memberships = await self.rooms.memberships.of(user_id)
        window = open_window(self.log, user_id, None, memberships, (since, until))
        candidates = tuple(memberships) if window.everything else tuple(window.rooms)
        return [room_id for room_id in candidates if not memberships[room_id].forgotten]

    async def _new_in(
        self, room: Room, reader: Reader, span: tuple[Position, Position]
    ) -> tuple[list[tuple[RoomView, StoredEvent]], Position]:
        """What is new in one room, and how far this reaches: a room in which much is hidden is read in steps."""
        floor, ceiling = records.ordering_of(span[0]), records.ordering_of(span[1])
        async with self.rooms.database.read() as tx:
            view = await self.rooms.view(tx, room, reader)
            page = await self.rooms.timeline(view, tx, (floor, ceiling), limits.old_stream_page_max + 1, backwards=False)
        # What was fetched of the past is no news.
        new = [(view, event) for event in page.events if not event.is_history]
        return new, span[1] if page.end is None else Position(records.position_of(page.end))

    async def one_event(self, event_id: EventId, reader: Reader) -> bytes:
        """One event of whatever room. Raises NotFound, the same for what is absent and what is hidden."""
        found = (await self.rooms.found((event_id,))).get(event_id)
        if found is None:
            raise NotFound("There is no such event, or you may not see it.")
        view, event = await self.rooms.one_event(found.pdu.room_id, event_id, reader)
        return view.encode(event, self.clock.now_ms())

    # Snapshots

    async def room_snapshot(self, room_id: RoomId, reader: Reader, limit: int) -> bytes:
        """The body of /rooms/{roomId}/initialSync. Raises Forbidden."""
        row = await self.rooms.membership_of(reader.user_id, room_id)
        if row is not None and row.membership == "invite" and not row.forgotten:
            return await self._invited(row, reader)
        membership = None if row is None or row.forgotten else row.membership
        return await self._room(room_id, reader, limit, membership)

    async def snapshot(self, reader: Reader, limit: int, *, archived: bool) -> bytes:
        """The body of /initialSync. archived: also rooms that the user has left."""
        end = self.log.position
        wanted = _SHOWN if archived else ("invite", "join")
        parts = []
        for row in tuple((await self.rooms.memberships.of(reader.user_id)).values()):
            if row.forgotten or row.membership not in wanted:
                continue
            if row.membership == "invite":
                if not await self.accounts.hides_invite(reader.user_id, row.sender):
                    parts.append(await self._invited(row, reader))
            elif row.membership == "join" or await self._was_in(row):
                parts.append(await self._room(row.room_id, reader, limit, row.membership))
        return b'{"account_data":[%b],"end":"%b","presence":[%b],"rooms":[%b]}' % (
            b",".join(await self._account_data(reader.user_id, None)),
            sync_token(end).encode(),
            b",".join(await self._presence(reader.user_id)),
            b",".join(parts),
        )

    async def _was_in(self, row: MembershipRow) -> bool:
        """Whether there is anything to show of a left room: an invite that was rejected shows nothing."""
        room = await self.rooms.room(row.room_id)
        return room is not None and await self.rooms.readable_until(room, row.user_id) is not None

    async def _invited(self, row: MembershipRow, reader: Reader) -> bytes:
        invite = await self._invite_event(row, reader)
        parts = [b'"membership":"invite"', b'"room_id":' + orjson.dumps(row.room_id)]
        if invite is not None:
            parts.append(b'"invite":' + invite)
        return b"{" + b",".join(parts) + b"}"

    async def _invite_event(self, row: MembershipRow, reader: Reader) -> bytes | None:
        event = (await self.rooms.found((row.event_id,))).get(row.event_id)
        room = await self.rooms.room(row.room_id)
        if event is not None and room is not None:
            async with self.rooms.database.read() as tx:
                view = await self.rooms.view(tx, room, reader)
            return view.encode(event, self.clock.now_ms())
        # Ours of them is the last: another server chose those before it.
        for stripped in () if row.stripped is None else reversed(orjson.loads(row.stripped)):
            if stripped["type"] == event_types.MEMBER and stripped["state_key"] == row.user_id:
                return orjson.dumps({**stripped, "event_id": row.event_id, "room_id": row.room_id})
        return None

    async def _room(self, room_id: RoomId, reader: Reader, limit: int, membership: str | None) -> bytes:
        room, state = await self.rooms.readable_state(room_id, reader.user_id)
        ceiling = records.ordering_of(room.last_position)
        async with self.rooms.database.read() as tx:
            view = await self.rooms.view(tx, room, reader)
            page = await self.rooms.timeline(view, tx, (0, ceiling), limit, backwards=True)
            state_events: Sequence[StoredEvent] = list((await self.rooms.events.many(tx, state.values())).values())
        now_ms = self.clock.now_ms()
        shown = [view.encode(event, now_ms) for event in reversed(page.events)]
        start = b"" if page.end is None else b'"start":"%b",' % timeline_token(page.end).encode()
        parts = [
            b'"room_id":' + orjson.dumps(room_id),
            b'"visibility":"public"' if room.is_public else b'"visibility":"private"',
            b'"messages":{%b"end":"%b","chunk":[%b]}' % (start, timeline_token(ceiling).encode(), b",".join(shown)),
            b'"state":[' + b",".join(view.encode(event, now_ms) for event in state_events) + b"]",
            b'"account_data":[' + b",".join(await self._account_data(reader.user_id, room_id)) + b"]",
        ]
        if membership in _SHOWN:
            parts.append(b'"membership":' + orjson.dumps(membership))
        return b"{" + b",".join(parts) + b"}"

    async def _account_data(self, user_id: UserId, room_id: RoomId | None) -> list[bytes]:
        rows = await self.accounts.account_data_since(user_id, Position(0))
        return [b'{"content":%b,"type":%b}' % (row.content, orjson.dumps(row.type)) for row in rows if row.room_id == room_id]

    async def _presence(self, user_id: UserId) -> list[bytes]:
        if not self.presence.enabled:
            return []
        users = sorted(await self.rooms.users_sharing_room_with(user_id))[: limits.old_stream_presence_max]
        known = ((other, self.presence.content(other)) for other in users)
        return [
            orjson.dumps({"type": "m.presence", "sender": other, "content": content})
            for other, content in known
            if content is not None
        ]


def _is_heard(event: StoredEvent, ignored: Collection[UserId]) -> bool:
    """State events of ignored users are sent all the same. Spec: client-server-api#ignoring-users"""
    return event.pdu.state_key is not None or event.pdu.sender not in ignored
