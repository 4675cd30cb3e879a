"""The doors of discovery. CORS is the router's."""

from watchword.base.errors import NotFound
from watchword.edge.endpoint import Auth, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.discovery.service import Discovery


async def versions(request: Request, requester: Requester | None, discovery: Discovery) -> Reply:
    return Reply.encoded(discovery.versions)


async def capabilities(request: Request, requester: Requester, discovery: Discovery) -> Reply:
    return Reply.encoded(discovery.capabilities(requester))


async def well_known_client(request: Request, _: None, discovery: Discovery) -> Reply:
    return _announced(discovery.well_known_client)


async def well_known_server(request: Request, _: None, discovery: Discovery) -> Reply:
    return _announced(discovery.well_known_server)


async def well_known_support(request: Request, _: None, discovery: Discovery) -> Reply:
    return _announced(discovery.well_known_support)


async def well_known_policy_server(request: Request, _: None, discovery: Discovery) -> Reply:
    return _announced(discovery.well_known_policy_server)


def _announced(encoded: bytes | None) -> Reply:
    if encoded is None:
        raise NotFound("This server does not announce that.")
    return Reply.encoded(encoded)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET",
        "/_matrix/client/versions",
        versions,
        "client-server-api#get_matrixclientversions",
        auth=Auth.OPTIONAL,
        rate=Rate.NONE,
        guests=True,
    ),
    Endpoint(
        "GET",
        "/_matrix/client/v3/capabilities",
        capabilities,
        "client-server-api#get_matrixclientv3capabilities",
        guests=True,
    ),
    Endpoint(
        "GET",
        "/.well-known/matrix/client",
        well_known_client,
        "client-server-api#getwell-knownmatrixclient",
        auth=Auth.NONE,
        rate=Rate.NONE,
    ),
    Endpoint(
        "GET",
        "/.well-known/matrix/server",
        well_known_server,
        "server-server-api#getwell-knownmatrixserver",
        auth=Auth.NONE,
        rate=Rate.NONE,
    ),
    Endpoint(
        "GET",
        "/.well-known/matrix/support",
        well_known_support,
        "client-server-api#getwell-knownmatrixsupport",
        auth=Auth.NONE,
        rate=Rate.NONE,
    ),
    Endpoint(
        "GET",
        "/.well-known/matrix/policy_server",
        well_known_policy_server,
        "client-server-api#getwell-knownmatrixpolicy_server",
        auth=Auth.NONE,
        rate=Rate.NONE,
    ),
)
