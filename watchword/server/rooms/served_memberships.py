"""Other servers' users join, leave, knock and are invited: templates, and the signed events that come back.

Templates are worked out like an event of ours, but not signed. What comes back goes through the same intake as every event,
and must besides be what this door is for.

Spec: server-server-api#joining-rooms, server-server-api#knocking-upon-a-room, server-server-api#inviting-to-a-room,
server-server-api#leaving-rooms-rejecting-invites
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from watchword.base import limits
from watchword.base.errors import BadRequest, Forbidden, NotFound, RemoteProtocolError
from watchword.protocol import event_types, unpadded_base64
from watchword.protocol.events import Pdu, reference_hash
from watchword.protocol.ids import EventId, RoomId, ServerName, UserId, domain_of
from watchword.protocol.room_versions import ROOM_VERSIONS, RoomVersion
from watchword.protocol.signatures import sign_event
from watchword.protocol.stripped_state import has_create, strip_all, strip_dated, stripped_state_keys
from watchword.server.accounts.reader import AccountReader
from watchword.server.rooms import decide, restricted
from watchword.server.rooms.commands import SendEvent
from watchword.server.rooms.incoming import IncomingChecks, RoomKind, Verified, encoded, read_event
from watchword.server.rooms.intake import Intake, Taken, Terms
from watchword.server.rooms.invite_permission import check_permission
from watchword.server.rooms.join_answers import JoinAnswers
from watchword.server.rooms.out_of_band import OutOfBand, Told
from watchword.server.rooms.own_auth import create_id_of
from watchword.server.rooms.ports import NO_BANS, InviteToSign, StandingBans
from watchword.server.rooms.room import Room
from watchword.server.rooms.servers_acl import RoomAcls
from watchword.server.rooms.writer import RoomWriter

_NO_ROOM = "This server is not in such a room."


@dataclass(frozen=True)
class ServedMemberships:
    """Serves memberships."""

    writer: RoomWriter
    intake: Intake
    checks: IncomingChecks
    acls: RoomAcls
    out_of_band: OutOfBand
    answers: JoinAnswers
    accounts: AccountReader
    bans: StandingBans = NO_BANS

    def _check_standing(self, origin: ServerName) -> None:
        """Raise Forbidden for a server that this one bans as a whole. It may always leave."""
        if self.bans.bans_server(origin):
            raise Forbidden("Your server is blocked on this server.")

    async def _room(self, origin: ServerName, room_id: RoomId) -> Room:
        room = await self.writer.registry.find(room_id)
        if room is None or not room.is_alive:
            raise NotFound(_NO_ROOM)
        await self.acls.check(room, origin)
        return room

    # Templates

    async def make_join(self, origin: ServerName, room_id: RoomId, user_id: UserId, versions: Sequence[str]) -> bytes:
        """A template of a join. Raises Refusal."""
        self._check_standing(origin)
        room = await self._room(origin, room_id)
        _check_version(room, versions)
        content: dict[str, Any] = {"membership": "join"}
        if restricted.needs_authoriser(room, user_id) and room.members.membership.get(user_id) != "ban":
            content["join_authorised_via_users_server"] = await self._authoriser(room, user_id)
        return await self._template(room, user_id, content)

    async def _authoriser(self, room: Room, user_id: UserId) -> UserId:
        """Who here vouches for a join. Raises Refusal. Spec: server-server-api#restricted-rooms"""
        match await restricted.judge(room, user_id, self.writer.registry):
            case restricted.Verdict.FAILED:
                raise Forbidden("The user does not meet the conditions to join this room.")
            case restricted.Verdict.UNKNOWN:
                raise BadRequest("M_UNABLE_TO_AUTHORISE_JOIN", "This server cannot tell whether the user may join.")
            case restricted.Verdict.MET:
                pass
        found = restricted.authoriser_here(room)
        if found is None:
            raise BadRequest("M_UNABLE_TO_GRANT_JOIN", "Nobody of this server may let the user in: ask another one.")
        return found

    async def make_leave(self, origin: ServerName, room_id: RoomId, user_id: UserId) -> bytes:
        """A template of a leave. Raises Refusal."""
        return await self._template(await self._room(origin, room_id), user_id, {"membership": "leave"})

    async def make_knock(self, origin: ServerName, room_id: RoomId, user_id: UserId, versions: Sequence[str]) -> bytes:
        """A template of a knock. Raises Refusal."""
        self._check_standing(origin)
        room = await self._room(origin, room_id)
        _check_version(room, versions)
        if not room.version.knocking:
            raise Forbidden("Rooms of this version do not support knocking.")
        return await self._template(room, user_id, {"membership": "knock"})

    async def _template(self, room: Room, user_id: UserId, content: Mapping[str, Any]) -> bytes:
        command = SendEvent(room.room_id, user_id, event_types.MEMBER, content, user_id)
        draft = decide.draft_event(room, command, self.writer.clock.now_ms())
        reason = decide.authorise(room, draft)
        if reason is not None:
            raise Forbidden(reason)
        event = {
            "auth_events": await self._references(room, draft.auth_events),
            "content": content,
            "depth": draft.depth,
            "origin": self.writer.identity.server_name,
            "origin_server_ts": draft.origin_server_ts,
            "prev_events": await self._references(room, draft.prev_events),
            "room_id": room.room_id,
            "sender": user_id,
            "state_key": user_id,
            "type": event_types.MEMBER,
        }
        return orjson.dumps({"event": event, "room_version": room.version.identifier})

    async def _references(self, room: Room, event_ids: Sequence[EventId]) -> Sequence[object]:
        if not room.version.event_ids_in_events:
            return list(event_ids)
        async with self.writer.database.read() as tx:
            found = await self.writer.events.many(tx, event_ids)
        return [
            [event_id, {"sha256": unpadded_base64.encode(reference_hash(event.pdu.json, room.version))}]
            for event_id, event in found.items()
        ]

    # Signed events

    async def send_join(
        self, origin: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any], omit_members: bool
    ) -> bytes:
        """Take a join in; the state before it, for the new server. Raises Refusal."""
        self._check_standing(origin)
        room = await self._room(origin, room_id)
        pdu = _expected(event, room, origin, event_id, "join")
        if restricted.needs_authoriser(room, UserId(pdu.sender)):
            pdu = await self._vouched_for(room, pdu)
        servers = list(room.members.servers)
        verified, taken = await self._take(room, pdu, Terms(is_sent_out=True, wants_before=True))
        if taken.before is None:
            # It was received before: the state before it is still known.
            before = await self.answers.state_before(room, pdu.event_id)
        else:
            before = taken.before
        return await self.answers.encode(room, verified, before, servers, omit_members=omit_members)

    async def _vouched_for(self, room: Room, pdu: Pdu) -> Pdu:
        """A restricted join, with our signature if it names one of our users."""
        authoriser = pdu.content.get("join_authorised_via_users_server")
        identity = self.writer.identity
        if not isinstance(authoriser, str) or domain_of(authoriser) != identity.server_name:
            return pdu
        # Time has passed since the template: the conditions may not be met any more.
        await self._authoriser(room, UserId(pdu.sender))
        signed = sign_event(pdu.json, room.version, identity.server_name, identity.signing_key)
        return read_event(signed, RoomKind(room.room_id, room.version))

    async def send_leave(self, origin: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any]) -> None:
        """Take a leave in. Raises Refusal."""
        room = await self._room(origin, room_id)
        await self._take(room, _expected(event, room, origin, event_id, "leave"), Terms(is_sent_out=True))

    async def send_knock(self, origin: ServerName, room_id: RoomId, event_id: EventId, event: Mapping[str, Any]) -> bytes:
        """Take a knock in; what is shown of the room. Raises Refusal."""
        self._check_standing(origin)
        room = await self._room(origin, room_id)
        await self._take(room, _expected(event, room, origin, event_id, "knock"), Terms(is_sent_out=True))
        ids = [room.state[key] for key in stripped_state_keys() if key in room.state]
        async with self.writer.database.read() as tx:
            found = await self.writer.events.many(tx, ids)
        return b'{"knock_room_state":[%b]}' % b",".join(found[each].json for each in ids if each in found)

    async def _take(self, room: Room, pdu: Pdu, terms: Terms) -> tuple[Verified, Taken]:
        (verified,) = await self.checks.verify([pdu], room.version)
        if not isinstance(verified, Verified):
            raise Forbidden("The event is not signed as it must be.")
        taken = await self.intake.take(room.room_id, verified, terms)
        if taken.is_waiting:
            raise BadRequest("M_INVALID_PARAM", "The event builds on events that are not here.")
        if taken.reason is not None:
            raise Forbidden(taken.reason)
        await taken.durable()
        return verified, taken

    # Invites

    async def invite(self, origin: ServerName, invite: InviteToSign) -> bytes:
        """Sign an invite of a local user; keep it if this server is not in the room. Raises Refusal."""
        self._check_standing(origin)
        if self.bans.bans_room(invite.room_id):
            raise Forbidden("This room is blocked on this server.")
        room = await self.writer.registry.find(invite.room_id)
        version = _invite_version(invite, room)
        pdu = await self._invite_event(origin, invite, version)
        if room is not None:
            await self.acls.check(room, origin)
        target = UserId(str(pdu.state_key))
        if self.bans.bans_user(pdu.sender):
            raise Forbidden("This server takes no invites from you.")
        if not await self.accounts.exists_or_made(target):
            raise NotFound("There is no such user here.")
        await check_permission(self.accounts, target, pdu.sender)
        _check_shown_create(invite, version)
        identity = self.writer.identity
        signed = sign_event(pdu.json, version, identity.server_name, identity.signing_key)
        if room is None or not room.is_alive:
            shown = invite.invite_room_state[: limits.invite_state_events_max]
            told = Told(target, "invite", pdu.event_id, pdu.sender, [*strip_all(shown), strip_dated(pdu)])
            # In the room the invite comes as every event does; here nobody else would tell.
            await self.out_of_band.record(invite.room_id, version, told)
        return encoded(read_event(signed, RoomKind(invite.room_id, version)), version)

    async def _invite_event(self, origin: ServerName, invite: InviteToSign, version: RoomVersion) -> Pdu:
        try:
            pdu = read_event(invite.event, RoomKind(invite.room_id, version))
        except RemoteProtocolError as error:
            raise BadRequest("M_INVALID_PARAM", "The invite is malformed.") from error
        target = pdu.state_key
        if (
            pdu.type != event_types.MEMBER
            or pdu.content.get("membership") != "invite"
            or target is None
            or domain_of(target) != self.writer.identity.server_name
            or domain_of(pdu.sender) != origin
            or pdu.event_id != invite.event_id
        ):
            raise BadRequest("M_INVALID_PARAM", "This is not an invite of one of your users to one of ours.")
        (verified,) = await self.checks.verify([pdu], version)
        if not isinstance(verified, Verified):
            raise Forbidden("The invite is not signed as it must be.")
        return verified.pdu


def _check_version(room: Room, versions: Sequence[str]) -> None:
    if room.version.identifier not in versions:
        text = "Your server does not support the version of this room."
        raise BadRequest("M_INCOMPATIBLE_ROOM_VERSION", text, extra={"room_version": room.version.identifier})


def _expected(event: Mapping[str, Any], room: Room, origin: ServerName, event_id: EventId, membership: str) -> Pdu:
    """The event, if it is what the door is for. Raises BadRequest M_INVALID_PARAM."""
    try:
        pdu = read_event(event, RoomKind(room.room_id, room.version))
    except RemoteProtocolError as error:
        raise BadRequest("M_INVALID_PARAM", "The event is malformed.") from error
    if (
        pdu.type != event_types.MEMBER
        or pdu.content.get("membership") != membership
        or pdu.state_key != pdu.sender
        or domain_of(pdu.sender) != origin
        or pdu.event_id != event_id
    ):
        raise BadRequest("M_INVALID_PARAM", f"This is not a {membership} of one of your users.")
    return pdu


def _invite_version(invite: InviteToSign, room: Room | None) -> RoomVersion:
    """The version of the room. Invites of the first form do not say it: they are for versions 1 and 2, which look alike."""
    if room is not None and room.state:
        return room.version
    version = ROOM_VERSIONS.get(invite.room_version or "1")
    if version is None:
        extra = {"room_version": invite.room_version[: limits.room_version_characters_max]}
        raise BadRequest("M_INCOMPATIBLE_ROOM_VERSION", "This server does not support the room's version.", extra=extra)
    return version


def _check_shown_create(invite: InviteToSign, version: RoomVersion) -> None:
    """In version 12 the create event proves which room it is. Older servers send it stripped, which proves nothing."""
    if not version.room_id_is_create_hash:
        return
    if not has_create(strip_all(invite.invite_room_state)):
        raise BadRequest("M_MISSING_PARAM", "invite_room_state lacks the create event.")
    for shown in invite.invite_room_state:
        if shown.get("type") == event_types.CREATE and "hashes" in shown:
            try:
                pdu = read_event(shown, RoomKind(invite.room_id, version))
            except RemoteProtocolError as error:
                raise BadRequest("M_INVALID_PARAM", "The create event is not of this room.") from error
            assert pdu.event_id == create_id_of(invite.room_id), pdu.event_id
