"""The doors of sliding sync: one for each form."""

from watchword.base import limits
from watchword.edge.endpoint import Body, Endpoint
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.sync.sliding import accepted, in_use
from watchword.server.sync.sliding.service import SlidingSync


async def sync_in_use(request: Request, requester: Requester, service: SlidingSync) -> Reply:
    return Reply.encoded(await service.sync(in_use.read(request, requester)))


async def sync_accepted(request: Request, requester: Requester, service: SlidingSync) -> Reply:
    return Reply.encoded(await service.sync(accepted.read(request, requester)))


ENDPOINTS = (
    Endpoint(
        "POST",
        "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync",
        sync_in_use,
        "client-server-api#syncing",
        body=Body.OPTIONAL_JSON,
        body_bytes_max=limits.sliding_body_bytes_max,
        guests=True,
        waits=True,
    ),
    Endpoint(
        "POST",
        "/_matrix/client/v4/sync",
        sync_accepted,
        "client-server-api#syncing",
        body=Body.OPTIONAL_JSON,
        body_bytes_max=limits.sliding_body_bytes_max,
        guests=True,
        waits=True,
    ),
)
