"""Doors to events by their time, for clients and for other servers. `app.py` mounts this table with `Timestamps`."""

from watchword.base.errors import BadRequest
from watchword.edge.endpoint import Auth, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester, ServerRequester
from watchword.protocol.ids import parse_room_id
from watchword.server.rooms.timestamps import Timestamps, Wanted


async def by_time(request: Request, requester: Requester, times: Timestamps) -> Reply:
    room_id = request.param("roomId", parse_room_id)
    event_id, ts = await times.for_user(requester.user_id, room_id, _wanted(request))
    return Reply.json({"event_id": event_id, "origin_server_ts": ts})


async def by_time_for_server(request: Request, requester: ServerRequester, times: Timestamps) -> Reply:
    room_id = request.param("roomId", parse_room_id)
    event_id, ts = await times.for_server(requester.server_name, room_id, _wanted(request))
    return Reply.json({"event_id": event_id, "origin_server_ts": ts})


def _wanted(request: Request) -> Wanted:
    direction = request.query_one("dir")
    for name in ("ts", "dir"):
        if request.query_one(name) is None:
            raise BadRequest("M_MISSING_PARAM", f"{name} is missing.")
    if direction not in ("f", "b"):
        raise BadRequest("M_INVALID_PARAM", "dir must be b or f.")
    return Wanted(request.query_int("ts", 0), direction == "b")


_SPEC = "client-server-api#get_matrixclientv1roomsroomidtimestamp_to_event"

ENDPOINTS = (
    Endpoint("GET", "/_matrix/client/v1/rooms/{roomId}/timestamp_to_event", by_time, _SPEC),
    Endpoint("GET", "/_matrix/client/unstable/org.matrix.msc3030/rooms/{roomId}/timestamp_to_event", by_time, "proposals/3030"),
    Endpoint(
        "GET",
        "/_matrix/federation/v1/timestamp_to_event/{roomId}",
        by_time_for_server,
        "server-server-api#get_matrixfederationv1timestamp_to_eventroomid",
        auth=Auth.SERVER,
        rate=Rate.FEDERATION,
    ),
)
