"""Sending what a client asks for, by all the rules of its doors: also the ones that stand before the writer.

State is not only written: a member event is a change of membership, and an alias is looked up before it is announced.
The doors of this feature and events sent later go through here. Plain messages may go straight to the writer.

Spec: client-server-api#sending-events-to-a-room
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watchword.base.errors import BadRequest, Forbidden, ProtocolError
from watchword.edge.requester import Requester
from watchword.protocol import event_types
from watchword.protocol.ids import EventId, parse_event_id, parse_user_id
from watchword.server.rooms.commands import ChangeMembership, SendEvent
from watchword.server.rooms.directory import Directory
from watchword.server.rooms.guests import check_join
from watchword.server.rooms.membership import Membership
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.writer import RoomWriter

_ACTIONS = ("join", "invite", "leave", "ban", "knock")


def require_not_suspended(requester: Requester) -> None:
    """Raise Forbidden for a suspended account. Spec: client-server-api#account-suspension"""
    if requester.is_suspended:
        raise Forbidden("Your account is suspended.", "M_USER_SUSPENDED")


def is_own_leave(requester: Requester, kind: str, state_key: str, content: Mapping[str, Any]) -> bool:
    """Whether a state event would be its sender's leave, which is open to suspended accounts too."""
    return kind == event_types.MEMBER and state_key == requester.user_id and content.get("membership") == "leave"


def redaction_of(content: Mapping[str, Any]) -> tuple[dict[str, Any], EventId]:
    """The content of a redaction as a client sends it, without its target, and the target. Raises BadRequest.

    Whether it stands in the content or beside it is the room version's business.
    """
    target = content.get("redacts")
    if target is None:
        raise BadRequest("M_MISSING_PARAM", "redacts is missing.")
    if not isinstance(target, str):
        raise BadRequest("M_BAD_JSON", "redacts must be a string.")
    try:
        event_id = parse_event_id(target)
    except ProtocolError as error:
        raise BadRequest("M_INVALID_PARAM", "redacts is not valid.") from error
    return {key: value for key, value in content.items() if key != "redacts"}, event_id


@dataclass(frozen=True)
class Posting:
    """Sends for clients."""

    writer: RoomWriter
    reader: RoomReader
    membership: Membership
    directory: Directory

    async def post(self, requester: Requester, command: SendEvent) -> EventId:
        """Send a message or a state event; returns once it is durable. Raises Refusal."""
        if command.state_key is None:
            if command.type == event_types.REDACTION:
                await self.require_may_redact(requester, command.redacts)
            else:
                require_not_suspended(requester)
            return await self.writer.send(command)
        if not is_own_leave(requester, command.type, command.state_key, command.content):
            require_not_suspended(requester)
        if command.type == event_types.MEMBER:
            return await self._member(requester, command)
        if command.type == event_types.CANONICAL_ALIAS and command.state_key == "":
            await self.directory.check_canonical_alias(command.room_id, command.content)
        return await self.writer.send(command)

    async def require_may_redact(self, requester: Requester, target: EventId | None) -> None:
        """Raise Forbidden if a suspended account would redact anything but its own events.

        Spec: client-server-api#account-suspension
        """
        if not requester.is_suspended:
            return
        async with self.writer.database.read() as tx:
            event = None if target is None else await self.writer.events.one(tx, target)
        if event is None or event.pdu.sender != requester.user_id:
            require_not_suspended(requester)

    async def _member(self, requester: Requester, command: SendEvent) -> EventId:
        """A member event as plain state: the same rules as at the doors of membership."""
        room_id, state_key = command.room_id, command.state_key
        try:
            target = parse_user_id(state_key or "")
        except ProtocolError as error:
            raise BadRequest("M_INVALID_PARAM", "The state key of a member event is a user ID.") from error
        action = command.content.get("membership")
        if action is None:
            raise BadRequest("M_MISSING_PARAM", "membership is missing.")
        if action not in _ACTIONS:
            raise BadRequest("M_BAD_JSON", "There is no such membership.")
        content = {key: value for key, value in command.content.items() if key != "membership"}
        room = await self.reader.room(room_id)
        now = None if room is None else room.members.membership.get(target)
        if action == "leave" and target != requester.user_id:
            action = "unban" if now == "ban" else "kick"
        change = ChangeMembership(room_id, command.sender, target, action, content, command.transaction)
        if action == "invite":
            return await self.membership.invite(change)
        if action == "leave":
            await self.membership.check_rejectable(change)
        if action == "join":
            await check_join(self.reader, requester, room_id)
        if action == "join" and now == "join":
            return await self.writer.renew_member(change)
        return await self.writer.change_membership(change)
