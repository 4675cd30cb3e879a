"""What happens in rooms because something happened to an account: new names, first invites, the end. And what happens to
accounts because somebody joined a room that replaces another.

A step is repeated after a crash at the worst: renewing a member event that says the same already, inviting who is invited,
and leaving where one is not, change nothing.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from watchword.base.clock import Clock
from watchword.base.errors import Refusal, StorageError, WatchwordError
from watchword.protocol import event_types
from watchword.protocol.ids import RoomId, UserId, domain_of
from watchword.server.changes import (
    AccountCreated,
    AccountDeactivated,
    Change,
    EventAppended,
    OutOfBandMembership,
    ProfileChanged,
)
from watchword.server.rooms.commands import ChangeMembership
from watchword.server.rooms.membership import Membership
from watchword.server.rooms.upgrade_follow import RoomTransfer
from watchword.storage import Database, Log, Logged, Position

logger = logging.getLogger(__name__)

NAME = "rooms"
_PAGE = 500
_MEMBER_FIELDS = ("displayname", "avatar_url")
_CURSOR_LAG_MAX = 1_000
_REFUSED_PAUSE_MS = 1_000
_CONCERN = (ProfileChanged, AccountCreated, AccountDeactivated)


@dataclass
class RoomFollower:
    """Follows accounts. Run `run` once."""

    database: Database
    log: Log[Change]
    membership: Membership
    clock: Clock
    transfer: RoomTransfer
    forgets_left: bool = False

    async def run(self) -> None:
        """Act on what comes, for ever."""
        concerned = asyncio.Event()

        def heard(logged: Logged[Change]) -> None:
            # Messages are no concern of ours: waking for each would cost more than everything done here.
            if self._concerns(logged.change) or logged.position - saved >= _CURSOR_LAG_MAX:
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
                acted = False
                for _, change in batch:
                    acted |= await self._act(change)
                if acted or batch[-1].position - saved >= _CURSOR_LAG_MAX:
                    saved = await self._save(batch[-1].position)
            except StorageError as error:
                logger.warning("The database refused; rooms follow accounts again soon.", extra={"cause": str(error)})
                await self.clock.sleep(_REFUSED_PAUSE_MS)
            else:
                cursor = batch[-1].position

    def _concerns(self, change: Change) -> bool:
        if isinstance(change, EventAppended):
            return self._is_own_leave(change) or (self._is_own_join(change) and self.transfer.may_replace(change.room_id))
        return isinstance(change, _CONCERN) or (isinstance(change, OutOfBandMembership) and self._is_own_leave(change))

    def _is_own_leave(self, change: EventAppended | OutOfBandMembership) -> bool:
        if not self.forgets_left or change.membership not in ("leave", "ban"):
            return False
        user_id = change.state_key if isinstance(change, EventAppended) else change.user_id
        return user_id is not None and domain_of(user_id) == self.membership.server_name

    async def _forget(self, change: EventAppended | OutOfBandMembership) -> None:
        """Spec: client-server-api#mforget_forced_upon_leave-capability"""
        user_id = change.state_key if isinstance(change, EventAppended) else change.user_id
        with suppress(Refusal):
            # He may have come back meanwhile.
            await self.membership.forget(change.room_id, UserId(user_id or ""), by_server=True)

    def _is_own_join(self, change: EventAppended) -> bool:
        user_id = change.state_key
        return change.membership == "join" and user_id is not None and domain_of(user_id) == self.membership.server_name

    async def _save(self, cursor: Position) -> Position:
        async with self.database.write() as tx:
            await self.log.move_cursor(tx, NAME, cursor)
        return cursor

    async def _act(self, change: Change) -> bool:
        match change:
            case ProfileChanged(user_id=user_id, field=field) if field in _MEMBER_FIELDS:
                await self._renew_member_events(user_id)
            case AccountCreated(user_id=user_id, invite_to=rooms, invited_by=inviter) if rooms and inviter is not None:
                for room_id in rooms:
                    await self._try(ChangeMembership(room_id, inviter, user_id, "invite"))
            case AccountDeactivated(user_id=user_id):
                await self._leave_all(user_id)
            case EventAppended() if self._is_own_join(change):
                return await self.transfer.joined(change)
            case EventAppended() | OutOfBandMembership() if self._is_own_leave(change):
                await self._forget(change)
            case _:
                return False
        return True

    async def _renew_member_events(self, user_id: UserId) -> None:
        profile = await self.membership.member_content(user_id)
        for room_id in await self.membership.reader.joined_rooms(user_id):
            room = await self.membership.registry.find(room_id)
            if room is None or not room.is_alive:
                continue
            event_id = room.state.get((event_types.MEMBER, user_id))
            found = await self.membership.reader.found(() if event_id is None else (event_id,))
            content = {key: value for event in found.values() for key, value in event.pdu.content.items()}
            renewed = {key: value for key, value in content.items() if key not in ("membership", *_MEMBER_FIELDS)}
            renewed.update(profile)
            if {**renewed, "membership": "join"} != content:
                await self._renew(room_id, user_id, renewed)

    async def _renew(self, room_id: RoomId, user_id: UserId, content: dict[str, object]) -> None:
        try:
            await self.membership.writer.renew_member(ChangeMembership(room_id, user_id, user_id, "join", content))
        except Refusal:
            logger.info("A member event could not be renewed.", extra={"room_id": room_id, "user_id": user_id})

    async def _leave_all(self, user_id: UserId) -> None:
        for row in list((await self.membership.reader.memberships.of(user_id)).values()):
            if row.membership in ("join", "invite", "knock"):
                await self._try(ChangeMembership(row.room_id, user_id, user_id, "leave"))

    async def _try(self, command: ChangeMembership) -> None:
        try:
            if command.action == "invite":
                await self.membership.invite(command)
            else:
                await self.membership.leave(command, is_forced=True)
        except StorageError:
            raise
        except WatchwordError:
            logger.info(
                "A membership could not follow an account.",
                extra={"room_id": command.room_id, "user_id": command.target, "action": command.action},
            )
