"""The doors of sync."""

from dataclasses import dataclass

from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.edge.endpoint import Endpoint
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.accounts.decide import PRESENCES
from watchword.server.rooms.tokens import parse_sync_token
from watchword.server.sync.filters import Filters
from watchword.server.sync.service import SyncRequest, SyncService
from watchword.server.sync.spans import OLD_STATE_AFTER, STATE, STATE_AFTER


@dataclass(frozen=True)
class SyncDoors:
    """The services that the endpoints of sync call."""

    service: SyncService
    filters: Filters


async def sync(request: Request, requester: Requester, doors: SyncDoors) -> Reply:
    since = request.query_one("since")
    presence = request.query_one("set_presence") or "online"
    if presence not in PRESENCES:
        raise BadRequest("M_INVALID_PARAM", "set_presence must be offline, online or unavailable.")
    state_after = request.query_bool("use_state_after")
    # COMPAT(clients from before v1.16): whoever knows the old name alone is answered under it.
    old_state_after = not state_after and request.query_bool("org.matrix.msc4222.use_state_after")
    wanted = SyncRequest(
        requester=requester,
        since=None if not since else parse_sync_token(since),
        sync_filter=await doors.filters.find(requester.user_id, request.query_one("filter")),
        timeout_ms=request.query_int("timeout", 0, most=limits.sync_timeout_ms_max),
        full_state=request.query_bool("full_state"),
        state_form=OLD_STATE_AFTER if old_state_after else STATE_AFTER if state_after else STATE,
        set_presence=presence,
    )
    return Reply.encoded(await doors.service.sync(wanted))


ENDPOINTS = (Endpoint("GET", "/_matrix/client/v3/sync", sync, "client-server-api#get_matrixclientv3sync", guests=True),)
