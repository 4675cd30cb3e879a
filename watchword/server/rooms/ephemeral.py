"""Receipts and typing. Receipts are rows; who is typing lives in memory and ends by itself.

Spec: client-server-api#receipts, client-server-api#typing-notifications
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import cachebox

from watchword.base.clock import Clock
from watchword.base.errors import BadRequest, Forbidden, NotFound
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.relations import may_be_thread_root, relation_of, thread_of
from watchword.server.changes import Change, ReceiptChanged, TypingChanged
from watchword.server.rooms import member_tables
from watchword.server.rooms.records import ReceiptRow
from watchword.server.rooms.registry import RoomRegistry
from watchword.server.rooms.room import Room
from watchword.server.rooms.stored import EventStore, StoredEvent
from watchword.storage import Database, Log, Position
from watchword.storage.names import Names

READ = "m.read"
READ_PRIVATE = "m.read.private"
MAIN_TIMELINE = "main"
TYPING_MS_MAX = 120_000
_RELATION_STEPS_MAX = 4
_TYPING_PER_ROOM_MAX = 1_000
_TYPING_ROOMS_MAX = 50_000
_TYPING_READ_BACK = 5_000
_RECEIPTS_PAGE_MAX = 5_000


@dataclass(frozen=True, slots=True)
class Receipt:
    """A read receipt to set. thread_id: None for the unthreaded one, `main`, or a thread's root."""

    room_id: RoomId
    user_id: UserId
    receipt_type: str
    event_id: EventId
    thread_id: str | None


@dataclass
class Typing:
    """Who is typing where: room → user → when it ends. Bounded; ends are noticed when somebody looks.

    moved: room → the position at which its list last changed.
    """

    clock: Clock
    rooms: dict[RoomId, dict[UserId, int]] = field(default_factory=dict)
    moved: "cachebox.LRUCache[RoomId, Position | None]" = field(default_factory=lambda: cachebox.LRUCache(_TYPING_ROOMS_MAX))

    def moved_at(self, room_id: RoomId) -> int:
        """The position at which the list of a room last changed; 0 if it did not since the start."""
        return self.moved.get(room_id, None) or 0

    def set(self, room_id: RoomId, user_id: UserId, timeout_ms: int) -> bool:
        """Start, renew (timeout_ms > 0) or stop typing; whether the list of users changed."""
        users = self.rooms.setdefault(room_id, {})
        if timeout_ms <= 0:
            changed = users.pop(user_id, None) is not None
            if not users:
                del self.rooms[room_id]
            return changed
        if user_id not in users and len(users) >= _TYPING_PER_ROOM_MAX:
            return False
        changed = user_id not in users
        users[user_id] = self.clock.now_ms() + min(timeout_ms, TYPING_MS_MAX)
        return changed

    def users(self, room_id: RoomId) -> list[UserId]:
        """Who is typing in a room now."""
        now_ms = self.clock.now_ms()
        return sorted(user_id for user_id, end in self.rooms.get(room_id, {}).items() if end > now_ms)

    def is_expired(self, room_id: RoomId, user_id: UserId) -> bool:
        """Whether a user's typing has ended without a word."""
        end = self.rooms.get(room_id, {}).get(user_id)
        return end is not None and end <= self.clock.now_ms()

    def expired(self) -> list[tuple[RoomId, UserId]]:
        """Whose typing ended without a word."""
        now_ms = self.clock.now_ms()
        return [(room_id, user_id) for room_id, users in self.rooms.items() for user_id, end in users.items() if end <= now_ms]


@dataclass(frozen=True)
class Ephemeral:
    """Sets and reads receipts and typing."""

    database: Database
    log: Log[Change]
    names: Names
    events: EventStore
    registry: RoomRegistry
    typing: Typing
    clock: Clock

    # Receipts

    async def set_receipt(self, receipt: Receipt) -> None:
        """Move a local user's receipt; never backwards. Raises Forbidden, NotFound, BadRequest."""
        room = await self._joined(receipt.room_id, receipt.user_id)
        async with self.database.read() as tx:
            event = await self.events.one(tx, receipt.event_id)
        if event is None or event.pdu.room_id != receipt.room_id or event.ordering is None:
            raise NotFound("There is no such event in this room.")
        if receipt.thread_id is not None and not await self._is_in_thread(event, receipt.thread_id):
            raise BadRequest("M_INVALID_PARAM", "thread_id must be main or the root of a thread that the event belongs to.")
        await self._save(room, receipt, event.ordering, self.clock.now_ms())

    async def _is_in_thread(self, event: StoredEvent, thread_id: str) -> bool:
        """Whether an event belongs to a thread, by itself or through what it relates to; a root is in the main timeline, too.

        Spec: client-server-api#threaded-read-receipts
        """
        if event.event_id == thread_id:
            return may_be_thread_root(event.pdu.content)
        contents: dict[EventId, Mapping[str, Any]] = {}
        relation = relation_of(event.pdu.content)
        async with self.database.read() as tx:
            for _ in range(_RELATION_STEPS_MAX):
                related = None if relation is None else await self.events.one(tx, relation.event_id)
                if related is None or related.pdu.room_id != event.pdu.room_id:
                    break
                contents[related.event_id] = related.pdu.content
                relation = relation_of(related.pdu.content)
        return thread_id == (thread_of(event.pdu.content, contents.get) or MAIN_TIMELINE)

    async def receive_receipt(self, receipt: Receipt, ts: int) -> None:
        """Take over a remote user's public receipt; what does not fit is ignored."""
        room = await self.registry.find(receipt.room_id)
        if room is None or room.members.membership.get(receipt.user_id) != "join":
            return
        async with self.database.read() as tx:
            event = await self.events.one(tx, receipt.event_id)
        await self._save(room, receipt, None if event is None else event.ordering, ts)

    async def _save(self, room: Room, receipt: Receipt, ordering: int | None, ts: int) -> None:
        thread_id = receipt.thread_id or ""
        async with self.database.write() as tx:
            user_nid = await self.names.number(tx, receipt.user_id)
            for row in await member_tables.receipts_of_user(tx, room.room_nid, user_nid):
                same = row.receipt_type == receipt.receipt_type and row.thread_id == thread_id
                if same and (row.event_id == receipt.event_id or (row.ordering or 0) > (ordering or row.ordering or 0)):
                    return
            change = ReceiptChanged(
                room.room_id, receipt.user_id, receipt.receipt_type, receipt.event_id, receipt.thread_id, ts
            )
            position = await self.log.append(tx, change)
            row = ReceiptRow(receipt.user_id, receipt.receipt_type, thread_id, receipt.event_id, ordering, ts, position)
            await member_tables.save_receipt(tx, room.room_nid, user_nid, row)
            # Too high after a failed commit does no harm: it only makes a reader look.
            room.receipts_position = position

    async def receipts_since(self, room: Room, user_id: UserId, after: Position, until: Position) -> Sequence[ReceiptRow]:
        """Receipts that moved in a span, as this user may see them: other people's private ones never."""
        async with self.database.read() as tx:
            rows = await member_tables.receipts_since(tx, room.room_nid, after, until, _RECEIPTS_PAGE_MAX)
        return [row for row in rows if row.receipt_type != READ_PRIVATE or row.user_id == user_id]

    async def receipts_of_user(self, room: Room, user_id: UserId) -> Sequence[ReceiptRow]:
        """One user's receipts in a room."""
        async with self.database.read() as tx:
            user_nid = await self.names.find(tx, user_id)
            return [] if user_nid is None else await member_tables.receipts_of_user(tx, room.room_nid, user_nid)

    # Typing

    async def set_typing(self, room_id: RoomId, user_id: UserId, timeout_ms: int) -> None:
        """A local user types or stops (0). Raises Forbidden if he is not in the room."""
        await self._joined(room_id, user_id)
        await self._note_typing(room_id, user_id, timeout_ms)

    async def receive_typing(self, room_id: RoomId, user_id: UserId, timeout_ms: int) -> None:
        """A remote user types or stops; ignored if he is not in the room."""
        room = await self.registry.find(room_id)
        if room is not None and room.members.membership.get(user_id) == "join":
            await self._note_typing(room_id, user_id, timeout_ms)

    async def _note_typing(self, room_id: RoomId, user_id: UserId, timeout_ms: int) -> None:
        if not self.typing.set(room_id, user_id, timeout_ms):
            return
        async with self.database.write() as tx:
            position = await self.log.append(tx, TypingChanged(room_id, user_id, timeout_ms > 0, timeout_ms))
            tx.after_commit(partial(self.typing.moved.__setitem__, room_id, position))
            tx.after_failure(partial(self.typing.set, room_id, user_id, 0))

    async def start(self) -> None:
        """End the typing of before the restart: memory knows nothing of it, and clients would wait for its end."""
        after = Position(max(0, self.log.position - _TYPING_READ_BACK))
        typing: dict[tuple[RoomId, UserId], bool] = {}
        for _, change in await self.log.read(after, _TYPING_READ_BACK):
            if isinstance(change, TypingChanged):
                typing[change.room_id, change.user_id] = change.typing
        for room_id, user_id in (who for who, is_typing in typing.items() if is_typing):
            async with self.database.write(wait=False) as tx:
                position = await self.log.append(tx, TypingChanged(room_id, user_id, False))
                tx.after_commit(partial(self.typing.moved.__setitem__, room_id, position))

    async def run(self) -> None:
        """End the typing of those who fell silent. Runs until cancelled."""
        while True:
            await self.clock.sleep(1_000)
            for room_id, user_id in self.typing.expired():
                # He may have gone on while the others were noted.
                if self.typing.is_expired(room_id, user_id):
                    await self._note_typing(room_id, user_id, 0)

    async def _joined(self, room_id: RoomId, user_id: UserId) -> Room:
        room = await self.registry.find(room_id)
        if room is None or room.members.membership.get(user_id) != "join":
            raise Forbidden("You are not in this room.")
        return room
