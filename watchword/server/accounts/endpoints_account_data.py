"""The doors of what a user keeps here: account data, room tags, filters, OpenID tokens."""

import orjson

from watchword.base.errors import Forbidden
from watchword.edge.endpoint import Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import RoomId, UserId, parse_room_id, parse_user_id
from watchword.server.accounts.assembly import Accounts
from watchword.server.accounts.decide import tags_in
from watchword.server.accounts.user_data import TAGS, found


def _own(request: Request, requester: Requester) -> UserId:
    user_id = request.param("userId", parse_user_id)
    if user_id != requester.user_id:
        raise Forbidden("This belongs to another user.")
    return user_id


def _room(request: Request) -> RoomId | None:
    return request.param("roomId", parse_room_id) if "roomId" in request.params else None


async def get_account_data(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    user_id = _own(request, requester)
    return Reply.encoded(found(await accounts.reader.account_data(user_id, _room(request), request.param("type", str))))


async def put_account_data(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    user_id = _own(request, requester)
    await accounts.user_data.set_account_data(user_id, _room(request), request.param("type", str), request.json)
    return Reply.EMPTY


async def delete_account_data(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    user_id = _own(request, requester)
    await accounts.user_data.delete_account_data(user_id, _room(request), request.param("type", str))
    return Reply.EMPTY


async def get_tags(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    user_id = _own(request, requester)
    content = await accounts.reader.account_data(user_id, request.param("roomId", parse_room_id), TAGS)
    return Reply.json({"tags": {} if content is None else tags_in(orjson.loads(content))})


async def put_tag(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    user_id = _own(request, requester)
    room_id = request.param("roomId", parse_room_id)
    await accounts.user_data.set_tag(user_id, room_id, request.param("tag", str), request.json)
    return Reply.EMPTY


async def delete_tag(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    user_id = _own(request, requester)
    await accounts.user_data.delete_tag(user_id, request.param("roomId", parse_room_id), request.param("tag", str))
    return Reply.EMPTY


async def post_filter(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    user_id = _own(request, requester)
    return Reply.json({"filter_id": await accounts.user_data.store_filter(user_id, request.json)})


async def get_filter(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    user_id = _own(request, requester)
    return Reply.encoded(found(await accounts.reader.filter(user_id, request.param("filterId", str))))


async def request_openid_token(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    return Reply.json(await accounts.admin.openid_token(_own(request, requester)))


_USER = "/_matrix/client/v3/user/{userId}"
_GLOBAL = f"{_USER}/account_data/{{type}}"
_ROOM = f"{_USER}/rooms/{{roomId}}/account_data/{{type}}"
_TAG = f"{_USER}/rooms/{{roomId}}/tags/{{tag}}"
_PROPOSED = "/_matrix/client/unstable/org.matrix.msc3391/user/{userId}"
_SPEC = "client-server-api#"

ENDPOINTS = (
    Endpoint("GET", _GLOBAL, get_account_data, _SPEC + "get_matrixclientv3useruseridaccount_datatype"),
    Endpoint(
        "PUT",
        _GLOBAL,
        put_account_data,
        _SPEC + "put_matrixclientv3useruseridaccount_datatype",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
    Endpoint("GET", _ROOM, get_account_data, _SPEC + "get_matrixclientv3useruseridroomsroomidaccount_datatype"),
    Endpoint(
        "PUT",
        _ROOM,
        put_account_data,
        _SPEC + "put_matrixclientv3useruseridroomsroomidaccount_datatype",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
    Endpoint("DELETE", f"{_PROPOSED}/account_data/{{type}}", delete_account_data, "proposals/3391", rate=Rate.WRITE),
    Endpoint(
        "DELETE",
        f"{_PROPOSED}/rooms/{{roomId}}/account_data/{{type}}",
        delete_account_data,
        "proposals/3391",
        rate=Rate.WRITE,
    ),
    Endpoint("GET", f"{_USER}/rooms/{{roomId}}/tags", get_tags, _SPEC + "get_matrixclientv3useruseridroomsroomidtags"),
    Endpoint(
        "PUT",
        _TAG,
        put_tag,
        _SPEC + "put_matrixclientv3useruseridroomsroomidtagstag",
        rate=Rate.WRITE,
        body=Body.OPTIONAL_JSON,
    ),
    Endpoint("DELETE", _TAG, delete_tag, _SPEC + "delete_matrixclientv3useruseridroomsroomidtagstag", rate=Rate.WRITE),
    Endpoint(
        "POST",
        f"{_USER}/filter",
        post_filter,
        _SPEC + "post_matrixclientv3useruseridfilter",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
    Endpoint("GET", f"{_USER}/filter/{{filterId}}", get_filter, _SPEC + "get_matrixclientv3useruseridfilterfilterid"),
    Endpoint(
        "POST",
        f"{_USER}/openid/request_token",
        request_openid_token,
        _SPEC + "post_matrixclientv3useruseridopenidrequest_token",
        rate=Rate.WRITE,
        body=Body.OPTIONAL_JSON,
    ),
)
