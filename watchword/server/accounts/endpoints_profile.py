"""The doors of profiles and presence."""

from watchword.base.errors import BadRequest, Forbidden
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import parse_user_id
from watchword.server.accounts.assembly import Accounts


async def get_profile(request: Request, requester: Requester | None, accounts: Accounts) -> Reply:
    return Reply.json(await accounts.profiles.profile(requester, request.param("userId", parse_user_id)))


async def get_field(request: Request, requester: Requester | None, accounts: Accounts) -> Reply:
    field = request.param("keyName", str)
    return Reply.json(await accounts.profiles.profile(requester, request.param("userId", parse_user_id), field))


async def put_field(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    field = request.param("keyName", str)
    if field not in request.json:
        raise BadRequest("M_MISSING_PARAM", "The body must have the field that the path names.")
    await accounts.profiles.set_field(requester, request.param("userId", parse_user_id), field, request.json[field])
    return Reply.EMPTY


async def delete_field(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    user_id = request.param("userId", parse_user_id)
    await accounts.profiles.delete_field(requester, user_id, request.param("keyName", str))
    return Reply.EMPTY


async def get_presence(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    user_id = request.param("userId", parse_user_id)
    if user_id != requester.user_id and not await accounts.shared_rooms.share_room(requester.user_id, user_id):
        raise Forbidden("You may not see the presence of this user.")
    content = accounts.presence.content(user_id)
    return Reply.json({"presence": "offline"} if content is None else content)


async def put_presence(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    if request.param("userId", parse_user_id) != requester.user_id:
        raise Forbidden("You may only set your own presence.")
    presence = request.field("presence", str)
    await accounts.presence.set(requester.user_id, presence, request.field_or_none("status_msg", str))
    return Reply.EMPTY


_FIELD = "/_matrix/client/v3/profile/{userId}/{keyName}"
_PRESENCE = "/_matrix/client/v3/presence/{userId}/status"

ENDPOINTS = (
    Endpoint(
        "GET",
        "/_matrix/client/v3/profile/{userId}",
        get_profile,
        "client-server-api#get_matrixclientv3profileuserid",
        auth=Auth.OPTIONAL,
        guests=True,
    ),
    Endpoint(
        "GET",
        _FIELD,
        get_field,
        "client-server-api#get_matrixclientv3profileuseridkeyname",
        auth=Auth.OPTIONAL,
        guests=True,
    ),
    Endpoint(
        "PUT",
        _FIELD,
        put_field,
        "client-server-api#put_matrixclientv3profileuseridkeyname",
        rate=Rate.WRITE,
        body=Body.JSON,
        guests=True,
    ),
    Endpoint(
        "DELETE",
        _FIELD,
        delete_field,
        "client-server-api#delete_matrixclientv3profileuseridkeyname",
        rate=Rate.WRITE,
        guests=True,
    ),
    Endpoint("GET", _PRESENCE, get_presence, "client-server-api#get_matrixclientv3presenceuseridstatus"),
    Endpoint(
        "PUT",
        _PRESENCE,
        put_presence,
        "client-server-api#put_matrixclientv3presenceuseridstatus",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
)
