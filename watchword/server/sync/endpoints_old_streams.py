"""The doors of the event stream from before /sync. `app` mounts this table with an `OldStreams`."""

from watchword.base import limits
from watchword.edge.endpoint import Endpoint
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import parse_event_id, parse_room_id
from watchword.server.rooms.tokens import parse_sync_token
from watchword.server.rooms.view import Reader
from watchword.server.sync.old_streams import OldStreams, StreamRequest

_LIMIT_DEFAULT = 20
_TIMEOUT_DEFAULT_MS = 30_000


def _reader(requester: Requester) -> Reader:
    return Reader(requester.user_id, requester.device_id)


async def events(request: Request, requester: Requester, streams: OldStreams) -> Reply:
    since = request.query_one("from")
    wanted = StreamRequest(
        _reader(requester),
        None if not since else parse_sync_token(since),
        request.query_int("timeout", _TIMEOUT_DEFAULT_MS, most=limits.sync_timeout_ms_max),
        request.query_parsed("room_id", parse_room_id),
    )
    return Reply.encoded(await streams.events(wanted))


async def one_event(request: Request, requester: Requester, streams: OldStreams) -> Reply:
    return Reply.encoded(await streams.one_event(request.param("eventId", parse_event_id), _reader(requester)))


async def initial_sync(request: Request, requester: Requester, streams: OldStreams) -> Reply:
    limit = request.query_int("limit", _LIMIT_DEFAULT, most=limits.messages_page_max)
    archived = request.query_bool("archived")
    return Reply.encoded(await streams.snapshot(_reader(requester), limit, archived=archived))


async def room_initial_sync(request: Request, requester: Requester, streams: OldStreams) -> Reply:
    limit = request.query_int("limit", _LIMIT_DEFAULT, most=limits.messages_page_max)
    return Reply.encoded(await streams.room_snapshot(request.param("roomId", parse_room_id), _reader(requester), limit))


_SPEC = "client-server-api#get_matrixclientv3"

ENDPOINTS = (
    Endpoint("GET", "/_matrix/client/v3/events", events, _SPEC + "events", guests=True),
    Endpoint("GET", "/_matrix/client/v3/events/{eventId}", one_event, _SPEC + "eventseventid"),
    Endpoint("GET", "/_matrix/client/v3/initialSync", initial_sync, _SPEC + "initialsync"),
    Endpoint(
        "GET", "/_matrix/client/v3/rooms/{roomId}/initialSync", room_initial_sync, _SPEC + "roomsroomidinitialsync", guests=True
    ),
)
