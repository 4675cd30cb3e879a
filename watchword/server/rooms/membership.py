"""Joining, inviting, leaving: what happens here, and what must go through another server.

A room that this server is in is changed by the writer. Otherwise, and for inviting people of other servers, the other
server has a word; never is the room's lock held meanwhile.

Spec: client-server-api#room-membership
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from watchword.base.errors import BadRequest, Forbidden, NotFound
from watchword.protocol.ids import EventId, RoomAlias, RoomId, ServerName, UserId, domain_of
from watchword.server.accounts.reader import AccountReader
from watchword.server.rooms import member_tables, restricted
from watchword.server.rooms.commands import ChangeMembership, CreateRoom
from watchword.server.rooms.creation import RoomMaker, invite_step
from watchword.server.rooms.invite_permission import check_permission
from watchword.server.rooms.ports import NO_BANS, RemoteRooms, StandingBans
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.registry import RoomRegistry
from watchword.server.rooms.room import Room
from watchword.server.rooms.writer import NOT_IN_ROOM, RoomWriter

VIA_MAX = 20


@dataclass(frozen=True)
class Membership:
    """Carries memberships of local users through."""

    writer: RoomWriter
    maker: RoomMaker
    reader: RoomReader
    registry: RoomRegistry
    accounts: AccountReader
    remote: RemoteRooms
    server_name: ServerName
    bans: StandingBans = NO_BANS
    notices_user: UserId | None = None

    async def member_content(self, user_id: UserId) -> dict[str, Any]:
        """Display name and avatar for a local user's member event."""
        profile = await self.accounts.profile(user_id)
        return {key: profile[key] for key in ("displayname", "avatar_url") if isinstance(profile.get(key), str)}

    async def create(self, command: CreateRoom) -> RoomId:
        """Make a room and send its invites. Raises Refusal."""
        profiles: dict[UserId, Mapping[str, Any]] = {}
        for user_id in command.invite:
            await self._check_invitee(user_id, command.creator)
            if domain_of(user_id) == self.server_name:
                profiles[user_id] = await self.member_content(user_id)
        command = replace(command, extra_invite_content={**profiles, **command.extra_invite_content})
        room_id = await self.maker.create(command)
        for user_id in command.invite:
            if domain_of(user_id) != self.server_name:
                step = invite_step(command, user_id)
                await self.remote.invite(ChangeMembership(room_id, command.creator, user_id, "invite", step.content))
        return room_id

    async def resolve(self, room_id_or_alias: str) -> tuple[RoomId, Sequence[ServerName]]:
        """A room ID, or what an alias stands for, with servers to go through. Raises NotFound, BadRequest."""
        if not room_id_or_alias.startswith("#"):
            return RoomId(room_id_or_alias), ()
        alias = RoomAlias(room_id_or_alias)
        if domain_of(alias) == self.server_name:
            found = await self.reader.resolve_alias(alias)
        else:
            found = await self.remote.resolve_alias(alias)
        if found is None:
            raise NotFound("This alias names no room.")
        return found

    async def join(self, command: ChangeMembership, via: Sequence[ServerName]) -> RoomId:
        """Join a room, here or through other servers. Raises Refusal."""
        self._check_room(command.room_id)
        profile = await self.member_content(command.target)
        command = ChangeMembership(command.room_id, command.sender, command.target, "join", {**profile, **command.content})
        room = await self.registry.find(command.room_id)
        if room is None or not room.is_alive:
            await self.remote.join(command, await self._vias(command, via))
            return command.room_id
        if restricted.needs_authoriser(room, command.target):
            return await self._join_restricted(room, command)
        await self.writer.change_membership(command)
        return command.room_id

    async def _join_restricted(self, room: Room, command: ChangeMembership) -> RoomId:
        """A local user who may invite vouches; if nobody can, another server is asked. Raises Forbidden if conditions fail.

        Spec: client-server-api#restricted-rooms
        """
        verdict = await restricted.judge(room, command.target, self.registry)
        authoriser = restricted.authoriser_here(room)
        if verdict is restricted.Verdict.MET and authoriser is not None:
            content = {**command.content, "join_authorised_via_users_server": authoriser}
            vouched = ChangeMembership(command.room_id, command.sender, command.target, "join", content)
            await self.writer.change_membership(vouched)
            return command.room_id
        others = [name for name in room.members.servers if name != self.server_name]
        if verdict is restricted.Verdict.FAILED or not others:
            raise Forbidden("You do not meet the conditions to join this room.")
        await self.remote.join(command, others[:VIA_MAX])
        return command.room_id

    async def _vias(self, command: ChangeMembership, via: Sequence[ServerName]) -> Sequence[ServerName]:
        """Servers to try, at least one. Raises NotFound."""
        servers = await self._servers(command, via)
        if not servers:
            raise NotFound("This room is not known here, and no server was named to go through.")
        return servers

    async def _servers(self, command: ChangeMembership, via: Sequence[ServerName]) -> Sequence[ServerName]:
        """Servers to try, in order: those named, the inviter's, the room ID's."""
        candidates = list(via)
        row = await self.reader.membership_of(command.target, command.room_id)
        if row is not None:
            candidates.append(domain_of(row.sender))
        candidates.append(domain_of(command.room_id))
        return [name for name in dict.fromkeys(candidates) if name and name != self.server_name][:VIA_MAX]

    async def invite(self, command: ChangeMembership) -> EventId:
        """Invite somebody, on this server or another. Raises Refusal."""
        self._check_room(command.room_id)
        await self._check_invitee(command.target, command.sender)
        if domain_of(command.target) == self.server_name:
            profile = await self.member_content(command.target)
            content = {**profile, **command.content}
            return await self.writer.change_membership(replace(command, content=content))
        room = await self.registry.find(command.room_id)
        if room is None or not room.is_alive:
            raise Forbidden(NOT_IN_ROOM)
        return await self.remote.invite(command)

    def _check_room(self, room_id: RoomId) -> None:
        if self.bans.bans_room(room_id):
            raise Forbidden("This room is blocked on this server.")

    async def _check_invitee(self, user_id: UserId, inviter: UserId) -> None:
        if self.bans.bans_user(inviter):
            raise Forbidden("This server takes no invites from you.")
        if domain_of(user_id) != self.server_name:
            return
        if not await self.accounts.exists_or_made(user_id):
            raise NotFound("There is no such user here.")
        await check_permission(self.accounts, user_id, inviter)

    async def leave(self, command: ChangeMembership, *, is_forced: bool = False) -> None:
        """Leave a room, reject an invite, take a knock back. Raises Refusal.

        is_forced: the account ends, and takes even those invites with it that cannot be rejected.
        """
        room = await self.registry.find(command.room_id)
        row = await self.reader.membership_of(command.target, command.room_id)
        if not is_forced:
            await self.check_rejectable(command)
        if room is not None and room.is_alive:
            if row is not None and row.membership in ("leave", "ban") and not row.forgotten:
                return
            await self.writer.change_membership(command)
            return
        if row is None or row.membership not in ("invite", "knock"):
            raise Forbidden(NOT_IN_ROOM)
        # Where nobody is left to be asked (all have gone since the invite), it is enough that this server knows.
        await self.remote.leave(command, await self._servers(command, ()))

    async def check_rejectable(self, command: ChangeMembership) -> None:
        """Raise Forbidden if it is an invite to the room in which the server talks to a user.

        Spec: client-server-api#server-notices
        """
        row = await self.reader.membership_of(command.target, command.room_id)
        if row is not None and row.membership == "invite" and row.sender == self.notices_user:
            raise Forbidden("This room is for what the server has to say to you.", "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM")

    async def knock(self, command: ChangeMembership, via: Sequence[ServerName]) -> RoomId:
        """Ask to be invited. Raises Refusal."""
        self._check_room(command.room_id)
        profile = await self.member_content(command.target)
        command = ChangeMembership(command.room_id, command.sender, command.target, "knock", {**profile, **command.content})
        room = await self.registry.find(command.room_id)
        if room is None or not room.is_alive:
            await self.remote.knock(command, await self._vias(command, via))
        else:
            await self.writer.change_membership(command)
        return command.room_id

    async def forget(self, room_id: RoomId, user_id: UserId, *, by_server: bool = False) -> None:
        """Hide a room that the user has left. Raises BadRequest M_UNKNOWN if he is in it."""
        row = await self.reader.membership_of(user_id, room_id)
        if row is None:
            raise NotFound("You have never been in this room.")
        if row.membership not in ("leave", "ban"):
            raise BadRequest("M_UNKNOWN", "Leave the room first.")
        async with self.writer.database.write() as tx:
            room_nid = await self.writer.names.number(tx, room_id)
            user_nid = await self.writer.names.number(tx, user_id)
            await member_tables.forget(tx, room_nid, user_nid, by_server=by_server)
            tx.after_commit(lambda: self.reader.memberships.forget(user_id))


def reason_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The `reason` of a request's body, as content of the member event. Raises BadRequest."""
    reason = body.get("reason")
    if reason is None:
        return {}
    if not isinstance(reason, str):
        raise BadRequest("M_BAD_JSON", "reason must be a string.")
    return {"reason": reason}
