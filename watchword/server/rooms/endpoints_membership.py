"""Doors of membership: join, invite, leave, kick, ban, knock, forget."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from watchword.base.errors import BadRequest, Forbidden, PeerError, ProtocolError
from watchword.edge.endpoint import Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import RoomId, UserId, parse_user_id
from watchword.server.rooms.commands import ChangeMembership, PromisedInvite
from watchword.server.rooms.doors import RoomDoors, address_of, room_id_or_alias, room_of, via_of
from watchword.server.rooms.guests import check_join
from watchword.server.rooms.membership import reason_of
from watchword.server.rooms.posting import require_not_suspended


async def join(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    require_not_suspended(requester)
    named = request.params.get("roomIdOrAlias")
    via = via_of(request)
    if named is None:
        room_id = room_of(request)
    else:
        room_id, servers = await doors.membership.resolve(request.param("roomIdOrAlias", room_id_or_alias))
        via = [*via, *servers]
    signed = request.field_or_none("third_party_signed", dict)
    if signed is not None:
        await _show_promise(doors, room_id, requester.user_id, signed)
    await check_join(doors.reader, requester, room_id)
    command = ChangeMembership(room_id, requester.user_id, requester.user_id, "join", reason_of(request.json))
    return Reply.json({"room_id": await doors.membership.join(command, via)})


async def _show_promise(doors: RoomDoors, room_id: RoomId, user_id: UserId, signed: Mapping[str, Any]) -> None:
    """Have the invite made that was promised to an address of the user's. Raises Refusal."""
    sender = signed.get("sender")
    if signed.get("mxid") != user_id:
        raise Forbidden("This invite is for somebody else.")
    try:
        promised = PromisedInvite(room_id, parse_user_id(sender if isinstance(sender, str) else ""), user_id, signed)
        await doors.addresses.keep(promised)
    except ProtocolError as error:
        raise BadRequest("M_BAD_JSON", "third_party_signed must name its sender.") from error
    except PeerError as error:
        raise Forbidden("No server in the room made the invite.") from error


async def knock(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    require_not_suspended(requester)
    room_id, servers = await doors.membership.resolve(request.param("roomIdOrAlias", room_id_or_alias))
    command = ChangeMembership(room_id, requester.user_id, requester.user_id, "knock", reason_of(request.json))
    return Reply.json({"room_id": await doors.membership.knock(command, [*via_of(request), *servers])})


async def leave(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    command = ChangeMembership(room_of(request), requester.user_id, requester.user_id, "leave", reason_of(request.json))
    await doors.membership.leave(command)
    return Reply.EMPTY


async def forget(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    await doors.membership.forget(room_of(request), requester.user_id)
    return Reply.EMPTY


async def invite(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    require_not_suspended(requester)
    if "user_id" not in request.json and "medium" in request.json:
        await doors.addresses.invite(address_of(request.json, room_of(request), requester.user_id))
        return Reply.EMPTY
    await doors.membership.invite(_command(request, requester, "invite"))
    return Reply.EMPTY


async def kick(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    require_not_suspended(requester)
    await doors.writer.change_membership(_redacting(request, requester, "kick"))
    return Reply.EMPTY


async def ban(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    require_not_suspended(requester)
    await doors.writer.change_membership(_redacting(request, requester, "ban"))
    return Reply.EMPTY


async def unban(request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    require_not_suspended(requester)
    await doors.writer.change_membership(_command(request, requester, "unban"))
    return Reply.EMPTY


def _command(request: Request, requester: Requester, action: str) -> ChangeMembership:
    target = request.field_parsed("user_id", parse_user_id)
    return ChangeMembership(room_of(request), requester.user_id, target, action, reason_of(request.json))


def _redacting(request: Request, requester: Requester, action: str) -> ChangeMembership:
    """A kick or ban that may take what its target said with it (proposal 4293)."""
    command = _command(request, requester, action)
    flags = {name: request.field_or(name, bool, False) for name in ("redact_events", "org.matrix.msc4293.redact_events")}
    return replace(command, content={**command.content, **{name: True for name, flag in flags.items() if flag}})


async def joined_rooms(_request: Request, requester: Requester, doors: RoomDoors) -> Reply:
    rooms: list[RoomId] = await doors.reader.joined_rooms(requester.user_id)
    return Reply.json({"joined_rooms": rooms})


_ROOM = "/_matrix/client/v3/rooms/{roomId}"
_SPEC = "client-server-api#post_matrixclientv3"

ENDPOINTS = (
    Endpoint(
        "POST",
        "/_matrix/client/v3/join/{roomIdOrAlias}",
        join,
        _SPEC + "joinroomidoralias",
        rate=Rate.WRITE,
        body=Body.OPTIONAL_JSON,
        guests=True,
    ),
    Endpoint("POST", _ROOM + "/join", join, _SPEC + "roomsroomidjoin", rate=Rate.WRITE, body=Body.OPTIONAL_JSON, guests=True),
    Endpoint(
        "POST",
        "/_matrix/client/v3/knock/{roomIdOrAlias}",
        knock,
        _SPEC + "knockroomidoralias",
        rate=Rate.WRITE,
        body=Body.OPTIONAL_JSON,
    ),
    Endpoint(
        "POST", _ROOM + "/leave", leave, _SPEC + "roomsroomidleave", rate=Rate.WRITE, body=Body.OPTIONAL_JSON, guests=True
    ),
    Endpoint("POST", _ROOM + "/forget", forget, _SPEC + "roomsroomidforget", rate=Rate.WRITE, body=Body.OPTIONAL_JSON),
    Endpoint("POST", _ROOM + "/invite", invite, _SPEC + "roomsroomidinvite", rate=Rate.INVITE, body=Body.JSON),
    Endpoint("POST", _ROOM + "/kick", kick, _SPEC + "roomsroomidkick", rate=Rate.WRITE, body=Body.JSON),
    Endpoint("POST", _ROOM + "/ban", ban, _SPEC + "roomsroomidban", rate=Rate.WRITE, body=Body.JSON),
    Endpoint("POST", _ROOM + "/unban", unban, _SPEC + "roomsroomidunban", rate=Rate.WRITE, body=Body.JSON),
    Endpoint("GET", "/_matrix/client/v3/joined_rooms", joined_rooms, "client-server-api#get_matrixclientv3joined_rooms"),
)
