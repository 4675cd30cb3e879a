"""Sends notices: finds or makes the room in which the server talks to a user, has the user in it, says it.

Whoever left the room is invited again when there is something to say.

Spec: client-server-api#server-notices
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from watchword.base.errors import NotFound
from watchword.protocol import event_types
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.accounts.user_data import UserData
from watchword.server.notices import tables
from watchword.server.notices.commands import NoticeSettings
from watchword.server.notices.ports import NoticeAccount
from watchword.server.rooms.commands import ChangeMembership, CreateRoom, SendEvent
from watchword.server.rooms.membership import Membership
from watchword.storage import Database

TAG = "m.server_notice"
_READ_ONLY = -10


@dataclass
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


@dataclass(frozen=True)
class ServerNotices:
    """Talks to users."""

    database: Database
    membership: Membership
    user_data: UserData
    account: NoticeAccount
    settings: NoticeSettings
    _turns: dict[UserId, _Turn] = field(default_factory=dict)

    @property
    def enabled(self) -> bool:
        """Whether the server can say anything."""
        return self.settings.user_id is not None

    async def send(self, user_id: UserId, content: Mapping[str, Any], *, kind: str = event_types.MESSAGE) -> EventId:
        """Say something to a local user; returns once it is durable. Raises NotFound if notices are off, or nobody is there."""
        sender = self.settings.user_id
        if sender is None:
            raise NotFound("This server sends no notices.")
        if user_id == sender or not await self.membership.accounts.exists(user_id):
            raise NotFound("There is no such user here.")
        async with self._turn(user_id):
            room_id = await self._room(sender, user_id)
        return await self.membership.writer.send(SendEvent(room_id, sender, kind, content))

    @asynccontextmanager
    async def _turn(self, user_id: UserId) -> AsyncIterator[None]:
        """Two notices at once must not make two rooms."""
        turn = self._turns.setdefault(user_id, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[user_id]

    async def _room(self, sender: UserId, user_id: UserId) -> RoomId:
        """The room for a user, with the user in it or invited."""
        async with self.database.read() as tx:
            room_id = await tables.room_of(tx, user_id)
        room = None if room_id is None else await self.membership.reader.room(room_id)
        if room_id is None or room is None or room.members.membership.get(sender) != "join":
            return await self._make(sender, user_id)
        if room.members.membership.get(user_id) not in ("join", "invite"):
            await self._tag(user_id, room_id)
            await self._invite(room_id, sender, user_id)
        return room_id

    async def _make(self, sender: UserId, user_id: UserId) -> RoomId:
        chosen = self.settings
        await self.account.ensure(sender, chosen.display_name, chosen.avatar_url)
        state = []
        if chosen.room_avatar_url is not None:
            state.append((event_types.AVATAR, "", {"url": chosen.room_avatar_url}))
        room_id = await self.membership.create(
            CreateRoom(
                sender,
                chosen.room_version,
                "private_chat",
                name=chosen.room_name,
                topic=chosen.room_topic,
                initial_state=state,
                power_level_override={"users_default": _READ_ONLY},
                creator_profile=await self.membership.member_content(sender),
            )
        )
        # The tag is there before the invite, so that clients show it as what it is.
        async with self.database.write() as tx:
            await tables.save_room(tx, user_id, room_id)
        await self._tag(user_id, room_id)
        await self._invite(room_id, sender, user_id)
        return room_id

    async def _tag(self, user_id: UserId, room_id: RoomId) -> None:
        await self.user_data.set_tag(user_id, room_id, TAG, {})

    async def _invite(self, room_id: RoomId, sender: UserId, user_id: UserId) -> None:
        """Past the user's own rules about invites: what the server has to say is no offer."""
        profile = await self.membership.member_content(user_id)
        await self.membership.writer.change_membership(ChangeMembership(room_id, sender, user_id, "invite", profile))
