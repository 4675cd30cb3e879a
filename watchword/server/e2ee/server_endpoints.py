"""The door of devices and keys, for other servers: only what local users publish."""

from watchword.base import limits
from watchword.base.errors import BadRequest, NotFound
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import ServerRequester
from watchword.protocol.ids import domain_of, parse_user_id
from watchword.server.e2ee.service import E2eeService


async def user_devices(request: Request, requester: ServerRequester, service: E2eeService) -> Reply:
    """GET user/devices/{userId}."""
    user_id = request.param("userId", parse_user_id)
    if domain_of(user_id) != service.server_name:
        raise BadRequest("M_INVALID_PARAM", "The user belongs to another server.")
    found = await service.user_devices(user_id)
    if found is None:
        raise NotFound("There is no such user.")
    return Reply.json(found)


async def query_keys(request: Request, requester: ServerRequester, service: E2eeService) -> Reply:
    """POST user/keys/query."""
    answer = await service.keys.query_for_server(request.field("device_keys", dict))
    return Reply.json(answer.for_server())


async def claim_keys(request: Request, requester: ServerRequester, service: E2eeService) -> Reply:
    """POST user/keys/claim."""
    return Reply.json({"one_time_keys": await service.keys.claim_for_server(request.field("one_time_keys", dict))})


_USER = "/_matrix/federation/v1/user/"
_SPEC = "server-server-api#"

ROWS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET",
        _USER + "devices/{userId}",
        user_devices,
        _SPEC + "get_matrixfederationv1userdevicesuserid",
        auth=Auth.SERVER,
        rate=Rate.FEDERATION,
    ),
    Endpoint(
        "POST",
        _USER + "keys/query",
        query_keys,
        _SPEC + "post_matrixfederationv1userkeysquery",
        auth=Auth.SERVER,
        rate=Rate.FEDERATION,
        body=Body.JSON,
        body_bytes_max=limits.keys_body_bytes_max,
    ),
    Endpoint(
        "POST",
        _USER + "keys/claim",
        claim_keys,
        _SPEC + "post_matrixfederationv1userkeysclaim",
        auth=Auth.SERVER,
        rate=Rate.FEDERATION,
        body=Body.JSON,
        body_bytes_max=limits.keys_body_bytes_max,
    ),
)
