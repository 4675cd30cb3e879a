"""The doors through which other servers' users join, leave, knock and are invited. `rooms` judges the events.

Spec: server-server-api#joining-rooms, server-server-api#inviting-to-a-room
"""

from collections.abc import Mapping
from typing import Any

from watchword.base import limits
from watchword.base.errors import BadRequest, NotFound
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import ServerRequester
from watchword.protocol.ids import domain_of, parse_event_id, parse_room_alias, parse_room_id, parse_user_id
from watchword.server.federation.doors import FederationDoors, require_user_of, spliced
from watchword.server.federation.ports import IncomingInvite

_VERSIONS_MAX = 100
_INVITE_STATE_MAX = 100


def _versions(request: Request) -> list[str]:
    """The room versions that the asking server knows. "Defaults to [1]." """
    return list(request.query.get("ver", ("1",)))[:_VERSIONS_MAX]


async def make_join(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """A template of a join."""
    room_id, user_id = request.param("roomId", parse_room_id), request.param("userId", parse_user_id)
    require_user_of(requester, user_id)
    return Reply.encoded(await doors.rooms.make_join(requester.server_name, room_id, user_id, _versions(request)))


async def make_leave(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """A template of a leave."""
    room_id, user_id = request.param("roomId", parse_room_id), request.param("userId", parse_user_id)
    require_user_of(requester, user_id)
    return Reply.encoded(await doors.rooms.make_leave(requester.server_name, room_id, user_id))


async def make_knock(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """A template of a knock."""
    room_id, user_id = request.param("roomId", parse_room_id), request.param("userId", parse_user_id)
    require_user_of(requester, user_id)
    return Reply.encoded(await doors.rooms.make_knock(requester.server_name, room_id, user_id, _versions(request)))


async def send_join(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """A signed join."""
    room_id, event_id = request.param("roomId", parse_room_id), request.param("eventId", parse_event_id)
    omit_members = request.query_bool("omit_members")
    return Reply.encoded(await doors.rooms.send_join(requester.server_name, room_id, event_id, request.json, omit_members))


async def send_leave(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """A signed leave."""
    room_id, event_id = request.param("roomId", parse_room_id), request.param("eventId", parse_event_id)
    await doors.rooms.send_leave(requester.server_name, room_id, event_id, request.json)
    return Reply.EMPTY


async def send_knock(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """A signed knock."""
    room_id, event_id = request.param("roomId", parse_room_id), request.param("eventId", parse_event_id)
    return Reply.encoded(await doors.rooms.send_knock(requester.server_name, room_id, event_id, request.json))


async def invite_v2(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """An invite to sign."""
    version = request.field("room_version", str)
    if len(version) > limits.room_version_characters_max:
        raise BadRequest("M_INVALID_PARAM", "room_version is too long.")
    event, state = request.field("event", dict), request.field_or("invite_room_state", list, [])
    return Reply.encoded(spliced({"event": await _sign_invite(request, requester, doors, (version, event, state))}))


async def invite_v1(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """An invite to sign, in the form of room versions 1 and 2: the event itself, and the answer in a list with 200."""
    unsigned = request.json.get("unsigned")
    state = unsigned.get("invite_room_state", []) if isinstance(unsigned, dict) else []
    event = {name: value for name, value in request.json.items() if name != "unsigned"}
    signed = await _sign_invite(request, requester, doors, ("", event, state))
    return Reply.encoded(b"[200," + spliced({"event": signed}) + b"]")


async def _sign_invite(
    request: Request, requester: ServerRequester, doors: FederationDoors, form: tuple[str, Mapping[str, Any], Any]
) -> bytes:
    version, event, state = form
    if not isinstance(state, list) or len(state) > _INVITE_STATE_MAX or not all(isinstance(each, dict) for each in state):
        raise BadRequest("M_BAD_JSON", "invite_room_state must be a list of events.")
    invite = IncomingInvite(
        request.param("roomId", parse_room_id), request.param("eventId", parse_event_id), version, event, state
    )
    return await doors.rooms.invite(requester.server_name, invite)


async def query_directory(request: Request, requester: ServerRequester, doors: FederationDoors) -> Reply:
    """Which room a local alias names."""
    alias = request.query_parsed("room_alias", parse_room_alias)
    if alias is None:
        raise BadRequest("M_MISSING_PARAM", "room_alias is missing.")
    found = await doors.rooms.resolve_alias(alias) if domain_of(alias) == doors.server_name else None
    if found is None:
        raise NotFound("There is no such alias here.")
    return Reply.json({"room_id": found[0], "servers": list(found[1])})


def _door(method: str, path: str, handler: Any, anchor: str) -> Endpoint:
    body = Body.JSON if method == "PUT" else Body.NONE
    size = limits.client_body_bytes_max
    return Endpoint(method, path, handler, f"server-server-api#{anchor}", Auth.SERVER, Rate.FEDERATION, body, size)


_V1 = "/_matrix/federation/v1"
_V2 = "/_matrix/federation/v2"
ENDPOINTS = (
    _door("GET", f"{_V1}/make_join/{{roomId}}/{{userId}}", make_join, "get_matrixfederationv1make_joinroomiduserid"),
    _door("PUT", f"{_V2}/send_join/{{roomId}}/{{eventId}}", send_join, "put_matrixfederationv2send_joinroomideventid"),
    _door("GET", f"{_V1}/make_leave/{{roomId}}/{{userId}}", make_leave, "get_matrixfederationv1make_leaveroomiduserid"),
    _door("PUT", f"{_V2}/send_leave/{{roomId}}/{{eventId}}", send_leave, "put_matrixfederationv2send_leaveroomideventid"),
    _door("GET", f"{_V1}/make_knock/{{roomId}}/{{userId}}", make_knock, "get_matrixfederationv1make_knockroomiduserid"),
    _door("PUT", f"{_V1}/send_knock/{{roomId}}/{{eventId}}", send_knock, "put_matrixfederationv1send_knockroomideventid"),
    _door("PUT", f"{_V1}/invite/{{roomId}}/{{eventId}}", invite_v1, "put_matrixfederationv1inviteroomideventid"),
    _door("PUT", f"{_V2}/invite/{{roomId}}/{{eventId}}", invite_v2, "put_matrixfederationv2inviteroomideventid"),
    _door("GET", f"{_V1}/query/directory", query_directory, "get_matrixfederationv1querydirectory"),
)
