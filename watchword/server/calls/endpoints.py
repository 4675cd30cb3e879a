"""The doors of calls."""

from watchword.base.errors import NotFound
from watchword.edge.endpoint import Endpoint
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.calls import decide
from watchword.server.calls.service import Calls


async def turn_server(request: Request, requester: Requester, calls: Calls) -> Reply:
    return Reply.json(decide.turn_server(calls.settings, requester.user_id, calls.clock.now_ms()))


async def rtc_transports(request: Request, requester: Requester, calls: Calls) -> Reply:
    found = decide.rtc_transports(calls.settings)
    if not found:
        # As on a server that does not know this path: no flag in the versions says otherwise.
        raise NotFound("This server names no media servers.", "M_UNRECOGNIZED")
    return Reply.json({"rtc_transports": found})


ENDPOINTS = (
    Endpoint("GET", "/_matrix/client/v3/voip/turnServer", turn_server, "client-server-api#get_matrixclientv3voipturnserver"),
    Endpoint("GET", "/_matrix/client/v1/rtc/transports", rtc_transports, "proposals/4143"),
    Endpoint("GET", "/_matrix/client/unstable/org.matrix.msc4143/rtc/transports", rtc_transports, "proposals/4143"),
)
