"""The doors of moderation. `app` mounts this table with a `Moderation`."""

from watchword.edge.endpoint import Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import parse_event_id, parse_room_id, parse_user_id
from watchword.server.moderation.assembly import Moderation
from watchword.server.rooms.view import Reader


async def report_room(request: Request, requester: Requester, moderation: Moderation) -> Reply:
    room_id = request.param("roomId", parse_room_id)
    await moderation.reports.report_room(requester.user_id, room_id, request.field("reason", str))
    return Reply.EMPTY


async def report_event(request: Request, requester: Requester, moderation: Moderation) -> Reply:
    room_id, event_id = request.param("roomId", parse_room_id), request.param("eventId", parse_event_id)
    reason = request.field_or_none("reason", str) or ""
    reader = Reader(requester.user_id, requester.device_id)
    await moderation.reports.report_event(reader, room_id, event_id, reason)
    return Reply.EMPTY


async def report_user(request: Request, requester: Requester, moderation: Moderation) -> Reply:
    user_id = request.param("userId", parse_user_id)
    await moderation.reports.report_user(requester.user_id, user_id, request.field("reason", str))
    return Reply.EMPTY


_SPEC = "client-server-api#post_matrixclientv3"

ENDPOINTS = (
    Endpoint(
        "POST",
        "/_matrix/client/v3/rooms/{roomId}/report",
        report_room,
        _SPEC + "roomsroomidreport",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
    Endpoint(
        "POST",
        "/_matrix/client/v3/rooms/{roomId}/report/{eventId}",
        report_event,
        _SPEC + "roomsroomidreporteventid",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
    Endpoint(
        "POST",
        "/_matrix/client/v3/users/{userId}/report",
        report_user,
        _SPEC + "usersuseridreport",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
)
