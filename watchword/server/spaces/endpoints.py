"""The doors of spaces, for clients and for other servers. `app.py` mounts this table with `Spaces`."""

from watchword.base import limits
from watchword.edge.endpoint import Auth, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester, ServerRequester
from watchword.protocol.ids import parse_room_id
from watchword.server.rooms.doors import room_id_or_alias, via_of
from watchword.server.spaces.commands import HierarchyQuery
from watchword.server.spaces.service import Spaces

_OLD_NAMES = {"room_version": "im.nheko.summary.room_version", "encryption": "im.nheko.summary.encryption"}


async def hierarchy(request: Request, requester: Requester, spaces: Spaces) -> Reply:
    query = HierarchyQuery(
        user_id=requester.user_id,
        room_id=request.param("roomId", parse_room_id),
        suggested_only=request.query_bool("suggested_only"),
        max_depth=request.query_int("max_depth", limits.space_depth_max, most=limits.space_depth_max),
        limit=request.query_int("limit", limits.space_page_default, least=1, most=limits.space_page_max),
        token=request.query_one("from"),
    )
    return Reply.json(await spaces.hierarchy(query))


async def hierarchy_for_server(request: Request, requester: ServerRequester, spaces: Spaces) -> Reply:
    room_id = request.param("roomId", parse_room_id)
    suggested_only = request.query_bool("suggested_only")
    return Reply.json(await spaces.for_server(requester.server_name, room_id, suggested_only=suggested_only))


async def room_summary(request: Request, requester: Requester | None, spaces: Spaces) -> Reply:
    name = request.param("roomIdOrAlias", room_id_or_alias)
    user_id = None if requester is None else requester.user_id
    return Reply.json(await spaces.summary(user_id, name, via_of(request)))


async def room_summary_before_spec(request: Request, requester: Requester | None, spaces: Spaces) -> Reply:
    """The form of before it was specified, in which two keys had other names."""
    name = request.param("roomIdOrAlias", room_id_or_alias)
    user_id = None if requester is None else requester.user_id
    summary = await spaces.summary(user_id, name, via_of(request))
    return Reply.json(summary | {old: summary[key] for key, old in _OLD_NAMES.items() if key in summary})


_SPEC = "client-server-api#"
_NHEKO = "/_matrix/client/unstable/im.nheko.summary"
# Whoever asks makes this server ask others: not as often as he may read.
_ASKS_OTHERS = Rate.WRITE

ENDPOINTS = (
    Endpoint(
        "GET",
        "/_matrix/client/v1/rooms/{roomId}/hierarchy",
        hierarchy,
        _SPEC + "get_matrixclientv1roomsroomidhierarchy",
        rate=_ASKS_OTHERS,
    ),
    Endpoint(
        "GET",
        "/_matrix/federation/v1/hierarchy/{roomId}",
        hierarchy_for_server,
        "server-server-api#get_matrixfederationv1hierarchyroomid",
        auth=Auth.SERVER,
        rate=Rate.FEDERATION,
    ),
    Endpoint(
        "GET",
        "/_matrix/client/v1/room_summary/{roomIdOrAlias}",
        room_summary,
        _SPEC + "get_matrixclientv1room_summaryroomidoralias",
        auth=Auth.OPTIONAL,
        rate=_ASKS_OTHERS,
        guests=True,
    ),
    Endpoint(
        "GET",
        _NHEKO + "/rooms/{roomIdOrAlias}/summary",
        room_summary_before_spec,
        "proposals/3266",
        auth=Auth.OPTIONAL,
        rate=_ASKS_OTHERS,
        guests=True,
    ),
    Endpoint(
        "GET",
        _NHEKO + "/summary/{roomIdOrAlias}",
        room_summary_before_spec,
        "proposals/3266",
        auth=Auth.OPTIONAL,
        rate=_ASKS_OTHERS,
        guests=True,
    ),
)
