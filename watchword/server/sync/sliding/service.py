"""One sliding sync request: what its windows and subscriptions show that its client has not been told, or a wait for it.

Theory of operation. The connection says what the client knows. The plan says which rooms the request is about; where neither
the rules nor the user's room list changed it is the plan of the request before. Then only rooms in which something happened,
and rooms that came into the plan, are looked at: an empty increment costs a look at the ring of recent changes.

Definition: MSC4186.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.edge.stopping import Stopping
from watchword.protocol.ids import EventId, RoomId
from watchword.server.accounts.reader import AccountReader
from watchword.server.changes import Change
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.view import Reader
from watchword.server.sync.ports import Presence
from watchword.server.sync.sliding.commands import RoomConfig, SlidingRequest
from watchword.server.sync.sliding.connections import Connection, Connections, Snapshot, Told
from watchword.server.sync.sliding.extensions import Extensions, Telling
from watchword.server.sync.sliding.plan import Plan, Wanted, made_plan
from watchword.server.sync.sliding.room_list import RoomList, RoomLists
from watchword.server.sync.sliding.room_results import Asked, RoomResults, Subject
from watchword.server.sync.waiting import WaitingRoom
from watchword.server.sync.window import Window, open_window
from watchword.storage import Log, Position


@dataclass(slots=True)
class _Rooms:
    """Room results being built. overfull: there is more than fits into one response."""

    told: dict[RoomId, Told]
    encoded: list[bytes] = field(default_factory=list)
    fresh: list[RoomId] = field(default_factory=list)
    shown: dict[RoomId, Iterable[EventId]] = field(default_factory=dict)
    overfull: bool = False


@dataclass(frozen=True)
class SlidingSync:
    """Answers sliding syncs."""

    log: Log[Change]
    rooms: RoomReader
    lists: RoomLists
    results: RoomResults
    extensions: Extensions
    connections: Connections
    accounts: AccountReader
    presence: Presence
    waiting: WaitingRoom
    stopping: Stopping
    clock: Clock

    async def sync(self, request: SlidingRequest) -> bytes:
        """The body of the response; waits up to timeout_ms for something to say. Raises Refusal."""
        user_id, device_id = request.requester.user_id, request.requester.device_id
        await self.presence.seen(user_id, request.set_presence)
        key = (user_id, device_id or "", request.conn_id)
        connection, base = await self.connections.open(key, request.pos)
        reader = Reader(user_id, device_id)
        deadline_ms = self.clock.monotonic_ms() + min(request.timeout_ms, limits.sync_timeout_ms_max)
        connection.in_use += 1
        try:
            if request.extensions.to_device is not None:
                await self.extensions.acknowledge(reader, request.extensions.to_device, self.log.position)
            while True:
                woken = self.waiting.enter(user_id)
                try:
                    body, snapshot, news = await self._answer(request, reader, None if request.pos is None else base)
                    left_ms = deadline_ms - self.clock.monotonic_ms()
                    if news or left_ms <= 0 or request.pos is None or self.stopping.is_set:
                        return b'{"pos":"%b",%b}' % (connection.answered(snapshot).encode(), body)
                    self._went_by(connection, base, snapshot)
                    await self.waiting.wait(woken, left_ms)
                finally:
                    self.waiting.leave(user_id, woken)
        finally:
            connection.in_use -= 1
            connection.used_ms = self.clock.now_ms()

    @staticmethod
    def _went_by(connection: Connection, base: Snapshot, snapshot: Snapshot) -> None:
        """Nothing was said, so what was looked at need not be looked at again while the request waits."""
        if connection.base is base:
            base.plan, base.extensions, base.directs = snapshot.plan, snapshot.extensions, snapshot.directs
            base.rooms, base.account_data, base.threads = snapshot.rooms, snapshot.account_data, snapshot.threads
            base.looked_at = snapshot.position

    async def _answer(self, request: SlidingRequest, reader: Reader, base: Snapshot | None) -> tuple[bytes, Snapshot, bool]:
        """The encoded response without its `pos`, what a client knows that gets it, and whether it says anything."""
        user_id = reader.user_id
        until = self.log.position
        since = _since(request, base)
        listed = await self.lists.at(user_id, until)
        memberships = await self.rooms.memberships.of(user_id)
        plan = await made_plan(self.lists, listed, request.rules, None if base is None else base.plan)
        if base is None:
            window = Window(since, until)
        else:
            window = open_window(self.log, user_id, request.requester.device_id, memberships, (since, until))
        rooms = _Rooms({} if base is None else base.rooms)
        await self._rooms(request, reader, base, (window, plan, listed), rooms)
        telling = Telling(
            reader,
            request.extensions,
            base,
            window,
            memberships,
            plan,
            rooms.told,
            rooms.fresh,
            rooms.shown,  # type: ignore[arg-type]
            await self._sticky_rooms(request, listed, plan),
        )
        parts, news = await self.extensions.answer(telling)
        snapshot = Snapshot(
            0,
            until,
            telling.told,
            int(until) if request.extensions.account_data is not None else -1 if base is None else base.account_data,
            int(until) if request.extensions.threads is not None else -1 if base is None else base.threads,
            None if rooms.overfull else plan,
            request.extensions,
            listed.directs,
        )
        counts = b",".join(orjson.dumps(name) + b':{"count":%d}' % count for name, count in plan.counts.items())
        body = b'"lists":{%b},"rooms":{%b},"extensions":{%b}' % (counts, b",".join(rooms.encoded), b",".join(parts))
        return body, snapshot, news or bool(rooms.encoded)

    async def _sticky_rooms(self, request: SlidingRequest, listed: RoomList, plan: Plan) -> list[RoomId]:
        """Rooms with sticky events that the client is interested in, though they be outside of its windows."""
        if request.extensions.sticky is None:
            return []
        rooms = [room_id for room_id in self.rooms.sticky.rooms() if room_id in listed.kinds]
        if all(room_id in plan.rooms for room_id in rooms):
            return rooms
        lists = [(await self.lists.filtered(listed, rule.room_filter)).rooms for rule in plan.rules.lists]
        return [room_id for room_id in rooms if room_id in plan.rooms or any(room_id in each for each in lists)]

    async def _rooms(
        self,
        request: SlidingRequest,
        reader: Reader,
        base: Snapshot | None,
        found: tuple[Window, Plan, RoomList],
        rooms: _Rooms,
    ) -> None:
        window, plan, listed = found
        rooms.fresh = _fresh(base, plan)
        candidates = _candidates(base, plan, window, listed, rooms.fresh)
        if not candidates:
            return
        rooms.told = dict(rooms.told)
        asked = Asked(
            reader,
            request.form,
            None if base is None else base.position,
            window.until,
            listed.directs,
            await self.accounts.ignored_users(reader.user_id),
            window.read,
        )
        memberships = await self.rooms.memberships.of(reader.user_id)
        for room_id in candidates:
            row = memberships.get(room_id)
            if row is None or row.forgotten:
                rooms.told.pop(room_id, None)
                continue
            told = rooms.told.get(room_id)
            wanted = plan.rooms.get(room_id) or _left(told)
            result = await self.results.result(asked, Subject(row, wanted.config, wanted.lists, told))
            if result.told is not None and (room_id in plan.rooms or row.position > window.until):
                rooms.told[room_id] = result.told
            else:
                # Who left by himself and comes back begins anew.
                rooms.told.pop(room_id, None)
            if result.encoded is not None:
                rooms.encoded.append(orjson.dumps(room_id) + b":" + result.encoded)
                rooms.shown[room_id] = result.shown
                if len(rooms.encoded) >= limits.sliding_rooms_per_response_max:
                    rooms.overfull = True
                    break
        while len(rooms.told) > limits.sliding_rooms_told_max:
            # Told again as if never before, if it is ever asked for.
            del rooms.told[next(iter(rooms.told))]


def _since(request: SlidingRequest, base: Snapshot | None) -> Position:
    """The position behind which there may be something to say."""
    if base is None:
        return Position(0)
    # Changed device lists are told by the span alone: who did not ask for them may have passed some by.
    knows = base.extensions is not None and (base.extensions.e2ee or not request.extensions.e2ee)
    return Position(max(base.position, base.looked_at) if knows else base.position)


def _left(told: Told | None) -> Wanted:
    """What is told of a room that is in the list no more: the end, and not more events than the client asked for before."""
    limit = min(limits.sync_timeline_default, 0 if told is None else told.depth)
    return Wanted(RoomConfig(limit, ()), (), subscribed=False)


def _fresh(base: Snapshot | None, plan: Plan) -> list[RoomId]:
    """Rooms that are wanted, or are wanted in another way, since this request."""
    before = None if base is None else base.plan
    if before is plan:
        return []
    if before is None or before.combinations is not plan.combinations:
        return list(plan.rooms)
    was = before.rooms
    return [room_id for room_id, wanted in plan.rooms.items() if was.get(room_id) is not wanted]


def _candidates(base: Snapshot | None, plan: Plan, window: Window, listed: RoomList, fresh: list[RoomId]) -> Iterable[RoomId]:
    """Rooms of which there may be something to say."""
    if base is None:
        return fresh
    if base.plan is None or window.everything:
        gone = [room_id for room_id in base.rooms if room_id not in listed.kinds]
        return [*plan.rooms, *gone]
    found = dict.fromkeys(fresh)
    for room_id in (*window.rooms, *window.read):
        # Of a room that is in the list no more, who was told of it is told the end.
        if room_id in plan.rooms or (room_id in base.rooms and room_id not in listed.kinds):
            found[room_id] = None
    if base.directs is not listed.directs:
        found.update((room_id, None) for room_id in base.directs ^ listed.directs if room_id in plan.rooms)
    return found
