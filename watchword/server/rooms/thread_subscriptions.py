"""Which threads a user wants to hear of (proposal 4306), and how his clients catch up with it (proposal 4308).

Clients subscribe by themselves when their user is mentioned; they name the event that made them do so. Who has ended a
subscription since that event was sent is not subscribed again by a device that comes late.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from watchword.base.errors import BadRequest, Conflict, NotFound
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.relations import thread_root
from watchword.server.changes import Change, ThreadSubscriptionChanged
from watchword.server.rooms import records, subscription_tables
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room
from watchword.server.rooms.subscription_tables import SubscriptionRow
from watchword.server.rooms.view import Reader
from watchword.storage import Log, Position
from watchword.storage.names import Names

_NOT_IN_THREAD = "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD"
_CONFLICT = "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION"


@dataclass(frozen=True)
class ThreadSubscriptions:
    """Keeps subscriptions."""

    reader: RoomReader
    log: Log[Change]
    names: Names

    async def subscribe(self, reader: Reader, room_id: RoomId, root_id: EventId, cause_id: EventId | None) -> None:
        """Subscribe by hand, or automatically because of an event of the thread; never less than there is.

        Raises NotFound if the user may not see the root, BadRequest if the event is not in the thread, Conflict if the user
        ended a subscription since it was sent.
        """
        view, _ = await self.reader.one_event(room_id, root_id, reader)
        cause = None if cause_id is None else await self._cause(reader, room_id, root_id, cause_id)
        row = await self._row(reader.user_id, view.room, root_id)
        if row is not None and row.is_subscribed and (cause is not None or not row.is_automatic):
            return
        if row is not None and cause is not None and cause <= row.unsubscribed_at:
            raise Conflict(_CONFLICT, "You have unsubscribed from this thread since.")
        row = row or SubscriptionRow(room_id, root_id, True, True, 0, Position(0))
        await self._save(reader.user_id, view.room, replace(row, is_subscribed=True, is_automatic=cause is not None))

    async def unsubscribe(self, reader: Reader, room_id: RoomId, root_id: EventId) -> None:
        """End a subscription; nothing happens if there is none. Raises NotFound if the user may not see the root."""
        view, _ = await self.reader.one_event(room_id, root_id, reader)
        row = await self._row(reader.user_id, view.room, root_id)
        if row is not None and row.is_subscribed:
            await self._save(reader.user_id, view.room, replace(row, is_subscribed=False))

    async def subscription(self, reader: Reader, room_id: RoomId, root_id: EventId) -> SubscriptionRow:
        """A user's subscription to a thread. Raises NotFound if there is none."""
        view, _ = await self.reader.one_event(room_id, root_id, reader)
        row = await self._row(reader.user_id, view.room, root_id)
        if row is None or not row.is_subscribed:
            raise NotFound("You are not subscribed to this thread.")
        return row

    async def changes(self, user_id: UserId, after: Position, until: Position, limit: int) -> Sequence[SubscriptionRow]:
        """What a user last said of threads, if he said it after one position and not after another; the newest first."""
        async with self.reader.database.read() as tx:
            user_nid = await self.names.find(tx, user_id)
            return [] if user_nid is None else await subscription_tables.changes(tx, user_nid, after, until, limit)

    async def _cause(self, reader: Reader, room_id: RoomId, root_id: EventId, cause_id: EventId) -> int:
        """The position of the event that made a client subscribe."""
        try:
            _, event = await self.reader.one_event(room_id, cause_id, reader)
        except NotFound as error:
            raise BadRequest(_NOT_IN_THREAD, "There is no such event in the thread.") from error
        if thread_root(event.pdu.content) != root_id:
            raise BadRequest(_NOT_IN_THREAD, "The event is not in the thread.")
        assert event.ordering is not None, cause_id
        return records.position_of(event.ordering)

    async def _row(self, user_id: UserId, room: Room, root_id: EventId) -> SubscriptionRow | None:
        async with self.reader.database.read() as tx:
            user_nid = await self.names.find(tx, user_id)
            return None if user_nid is None else await subscription_tables.subscription(tx, user_nid, room.room_nid, root_id)

    async def _save(self, user_id: UserId, room: Room, row: SubscriptionRow) -> None:
        async with self.reader.database.write() as tx:
            user_nid = await self.names.number(tx, user_id)
            position = await self.log.append(tx, ThreadSubscriptionChanged(user_id, row.room_id, row.root_id))
            unsubscribed_at = row.unsubscribed_at if row.is_subscribed else position
            row = replace(row, position=position, unsubscribed_at=unsubscribed_at)
            await subscription_tables.save_subscription(tx, user_nid, room.room_nid, row)
