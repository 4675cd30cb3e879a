"""Guests in rooms: they come in only where `m.room.guest_access` says `can_join`, and leave when it says so no more.

Deliberately absent: what else guests may do (each door says it), and guests of other servers, who are their server's.

Spec: client-server-api#guest-access
"""

import asyncio
import logging
from dataclasses import dataclass, field

from watchword.base.clock import Clock
from watchword.base.errors import Forbidden, StorageError, WatchwordError
from watchword.edge.requester import Requester
from watchword.protocol import event_types
from watchword.protocol.ids import RoomId, UserId
from watchword.server.accounts.reader import AccountReader
from watchword.server.changes import Change, EventAppended, StateChanged
from watchword.server.rooms.commands import ChangeMembership
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.room import Room
from watchword.server.rooms.writer import RoomWriter
from watchword.storage import Database, Log, Logged, Position

logger = logging.getLogger(__name__)

NAME = "guests"
_KEY = (event_types.GUEST_ACCESS, "")
_PAGE = 500
_CURSOR_LAG_MAX = 5_000
_REFUSED_PAUSE_MS = 1_000


async def check_join(reader: RoomReader, requester: Requester, room_id: RoomId) -> None:
    """Raises Forbidden M_GUEST_ACCESS_FORBIDDEN if the requester is a guest whom the room does not let in.

    A room that this server is not in has not told it that guests may join, so they may not.
    """
    if not requester.is_guest:
        return
    room = await reader.room(room_id)
    if room is None or not room.is_alive or not await _lets_guests_in(reader, room):
        raise Forbidden("This room does not admit guests.", "M_GUEST_ACCESS_FORBIDDEN")


async def _lets_guests_in(reader: RoomReader, room: Room) -> bool:
    event_id = room.state.get(_KEY)
    if event_id is None:
        return False
    event = (await reader.found((event_id,))).get(event_id)
    return event is not None and event.pdu.content.get("guest_access") == "can_join"


@dataclass
class RoomGuests:
    """Follows rooms, and makes this server's guests leave those that do not admit them any more. Run `run` once.

    followed: the position up to which this run has acted.
    """

    database: Database
    log: Log[Change]
    reader: RoomReader
    writer: RoomWriter
    accounts: AccountReader
    clock: Clock
    followed: Position = field(default=Position(0))

    async def run(self) -> None:
        """Act on what comes, for ever. A step that is repeated finds nobody to send away."""
        concerned = asyncio.Event()

        def heard(logged: Logged[Change]) -> None:
            if _concerns(logged.change) or logged.position - saved >= _CURSOR_LAG_MAX:
                concerned.set()

        async with self.database.read() as tx:
            cursor = saved = await self.log.cursor(tx, NAME)
        self.log.listen(heard)
        while True:
            concerned.clear()
            batch = await self.log.read(cursor, _PAGE)
            if not batch:
                await concerned.wait()
                continue
            try:
                # Several changes of one room are one: what counts is how it is now.
                rooms = {_room_of(change) for _, change in batch if _concerns(change)}
                acted = False
                for room_id in rooms:
                    acted |= await self._send_away(room_id)
                if acted or batch[-1].position - saved >= _CURSOR_LAG_MAX:
                    saved = await self._save(batch[-1].position)
            except StorageError as error:
                logger.warning("The database refused; guests are looked after again soon.", extra={"cause": str(error)})
                await self.clock.sleep(_REFUSED_PAUSE_MS)
            else:
                cursor = self.followed = batch[-1].position

    async def _save(self, cursor: Position) -> Position:
        async with self.database.write() as tx:
            await self.log.move_cursor(tx, NAME, cursor)
        return cursor

    async def _send_away(self, room_id: RoomId) -> bool:
        """Whether there was anybody to send away."""
        room = await self.reader.room(room_id)
        if room is None or not room.is_alive or await _lets_guests_in(self.reader, room):
            return False
        guests = sorted(await self.accounts.guests_among(room.members.joined_local))
        for user_id in guests:
            await self._leave(room_id, user_id)
        return bool(guests)

    async def _leave(self, room_id: RoomId, user_id: UserId) -> None:
        try:
            await self.writer.change_membership(ChangeMembership(room_id, user_id, user_id, "leave"))
        except StorageError:
            raise
        except WatchwordError:
            logger.info("A guest could not leave a room.", extra={"room_id": room_id, "user_id": user_id})


def _concerns(change: Change) -> bool:
    match change:
        case EventAppended(type=kind, state_key=state_key):
            return kind == event_types.GUEST_ACCESS and state_key == ""
        case StateChanged():
            return True
        case _:
            return False


def _room_of(change: Change) -> RoomId:
    assert isinstance(change, EventAppended | StateChanged), change
    return change.room_id
