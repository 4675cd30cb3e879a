"""The doors: third-party networks for clients, the ping for application services."""

from collections.abc import Sequence
from typing import Any

from watchword.base.errors import BadRequest, NotFound
from watchword.edge.endpoint import Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.appservices.queries import Queries


async def get_protocols(_request: Request, _requester: Requester, queries: Queries) -> Reply:
    """GET thirdparty/protocols."""
    return Reply.json(await queries.protocols())


async def get_protocol(request: Request, _requester: Requester, queries: Queries) -> Reply:
    """GET thirdparty/protocol/{protocol}."""
    found = await queries.protocol(request.params["protocol"])
    if found is None:
        raise NotFound("No application service of this server leads to this network.")
    return Reply.json(found)


async def find_locations(request: Request, _requester: Requester, queries: Queries) -> Reply:
    """GET thirdparty/location/{protocol}."""
    return _found(await queries.entries("location", request.params["protocol"], request.query))


async def find_users(request: Request, _requester: Requester, queries: Queries) -> Reply:
    """GET thirdparty/user/{protocol}."""
    return _found(await queries.entries("user", request.params["protocol"], request.query))


async def locations_of_alias(request: Request, _requester: Requester, queries: Queries) -> Reply:
    """GET thirdparty/location?alias=."""
    return _found(await queries.entries("location", None, {"alias": [_required(request, "alias")]}))


async def users_of_user_id(request: Request, _requester: Requester, queries: Queries) -> Reply:
    """GET thirdparty/user?userid=."""
    return _found(await queries.entries("user", None, {"userid": [_required(request, "userid")]}))


async def ping(request: Request, requester: Requester, queries: Queries) -> Reply:
    """POST appservice/{appserviceId}/ping."""
    transaction_id = request.field_or_none("transaction_id", str)
    return Reply.json(
        {"duration_ms": await queries.ping(requester.appservice_id, request.params["appserviceId"], transaction_id)}
    )


def _required(request: Request, name: str) -> str:
    value = request.query_one(name)
    if value is None:
        raise BadRequest("M_MISSING_PARAM", f"{name} is missing.")
    return value


def _found(entries: Sequence[Any] | None) -> Reply:
    if not entries:
        raise NotFound("No application service of this server knows of any.")
    return Reply.json(entries)


_PATH = "/_matrix/client/v3/thirdparty"
_SPEC = "client-server-api#get_matrixclientv3thirdparty"

ENDPOINTS = (
    Endpoint("GET", f"{_PATH}/protocols", get_protocols, _SPEC + "protocols"),
    Endpoint("GET", f"{_PATH}/protocol/{{protocol}}", get_protocol, _SPEC + "protocolprotocol"),
    Endpoint("GET", f"{_PATH}/location/{{protocol}}", find_locations, _SPEC + "locationprotocol"),
    Endpoint("GET", f"{_PATH}/user/{{protocol}}", find_users, _SPEC + "userprotocol"),
    Endpoint("GET", f"{_PATH}/location", locations_of_alias, _SPEC + "location"),
    Endpoint("GET", f"{_PATH}/user", users_of_user_id, _SPEC + "user"),
    Endpoint(
        "POST",
        "/_matrix/client/v1/appservice/{appserviceId}/ping",
        ping,
        "client-server-api#post_matrixclientv1appserviceappserviceidping",
        rate=Rate.WRITE,
        body=Body.OPTIONAL_JSON,
    ),
)
