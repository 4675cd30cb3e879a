"""The doors of calls."""

from watchword.base import limits
from watchword.base.errors import BadRequest, NotFound
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester, ServerRequester
from watchword.protocol.ids import parse_room_id, parse_server_name, parse_user_id
from watchword.server.calls import decide
from watchword.server.calls.commands import TokenRequest
from watchword.server.calls.service import Calls


async def turn_server(request: Request, requester: Requester, calls: Calls) -> Reply:
    return Reply.json(decide.turn_server(calls.settings, requester.user_id, calls.clock.now_ms()))


async def rtc_transports(request: Request, requester: Requester, calls: Calls) -> Reply:
    found = decide.rtc_transports(calls.settings)
    if not found:
        # As on a server that does not know this path: no flag in the versions says otherwise.
        raise NotFound("This server names no media servers.", "M_UNRECOGNIZED")
    return Reply.json({"rtc_transports": found, "transports": decide.transports(calls.settings)})


async def livekit_token(request: Request, requester: Requester, calls: Calls) -> Reply:
    server = request.field_parsed("server_name", parse_server_name) if "server_name" in request.json else None
    return Reply.json({"jwt": await calls.token(requester.user_id, server, _wanted(request))})


async def livekit_token_for_server(request: Request, requester: ServerRequester, calls: Calls) -> Reply:
    user_id = request.field_parsed("user_id", parse_user_id)
    return Reply.json({"jwt": await calls.token_for_server(requester.server_name, user_id, _wanted(request))})


def _wanted(request: Request) -> TokenRequest:
    texts = {name: request.field(name, str) for name in ("url", "slot_id", "member_id")}
    if any(len(text) > limits.livekit_name_characters_max for text in texts.values()):
        raise BadRequest("M_INVALID_PARAM", "url, slot_id or member_id is too long.")
    return TokenRequest(texts["url"], request.field_parsed("room_id", parse_room_id), texts["slot_id"], texts["member_id"])


_TOKEN = "rtc/livekit/get_token"  # noqa: S105 (a path)

ENDPOINTS = (
    Endpoint("GET", "/_matrix/client/v3/voip/turnServer", turn_server, "client-server-api#get_matrixclientv3voipturnserver"),
    Endpoint("GET", "/_matrix/client/v1/rtc/transports", rtc_transports, "proposals/4143"),
    Endpoint("GET", "/_matrix/client/unstable/org.matrix.msc4143/rtc/transports", rtc_transports, "proposals/4143"),
    *(
        Endpoint("POST", path, livekit_token, "proposals/4195", rate=Rate.WRITE, body=Body.JSON, guests=True)
        for path in (f"/_matrix/client/v1/{_TOKEN}", f"/_matrix/client/unstable/io.element.msc4195/{_TOKEN}")
    ),
    *(
        Endpoint(
            "POST", path, livekit_token_for_server, "proposals/4195", auth=Auth.SERVER, rate=Rate.FEDERATION, body=Body.JSON
        )
        for path in (f"/_matrix/federation/v1/{_TOKEN}", f"/_matrix/federation/unstable/io.element.msc4195/{_TOKEN}")
    ),
)
