"""The doors of search. `app.py` mounts this table with a `Search`."""

from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.edge.endpoint import Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import UserId, is_valid_new_localpart, localpart_of, parse_user_id
from watchword.server.rooms.view import Reader
from watchword.server.search.assembly import Search
from watchword.server.search.parsing import parse_criteria, parse_place


async def search(request: Request, requester: Requester, parts: Search) -> Reply:
    criteria = parse_criteria(request.json)
    token = request.query_one("next_batch")
    place = None if token is None else parse_place(token)
    if criteria is None:
        return Reply.json({"search_categories": {}})
    reader = Reader(requester.user_id, requester.device_id)
    return Reply.encoded(await parts.messages.search(reader, criteria, place))


async def search_people(request: Request, requester: Requester, parts: Search) -> Reply:
    term = request.field("search_term", str)
    limit = request.field_or("limit", int, limits.people_page_default)
    if limit < 0:
        raise BadRequest("M_INVALID_PARAM", "limit must be an integer of at least 0.")
    return Reply.json(await parts.people.search(requester.user_id, term, min(limit, limits.people_page_max)))


async def mutual_rooms(request: Request, requester: Requester, parts: Search) -> Reply:
    body = await parts.people.mutual_rooms(requester.user_id, _other(request), request.query_one("from"))
    return Reply.json(body)


async def mutual_rooms_before_spec(request: Request, requester: Requester, parts: Search) -> Reply:
    """The form of before it was specified: the tokens had other names."""
    token = request.query_one("from") or request.query_one("batch_token")
    body = await parts.people.mutual_rooms(requester.user_id, _other(request), token)
    if "next_batch" in body:
        body["next_batch_token"] = body["next_batch"]
    return Reply.json(body)


def _other(request: Request) -> UserId:
    user_id = request.query_parsed("user_id", parse_user_id)
    if user_id is None:
        raise BadRequest("M_MISSING_PARAM", "user_id is missing.")
    if not is_valid_new_localpart(localpart_of(user_id)):
        # Forms of the past are no longer good here. Spec: appendices#historical-user-ids
        raise BadRequest("M_INVALID_PARAM", "user_id is not valid.")
    return user_id


_SPEC = "client-server-api#"

ENDPOINTS = (
    Endpoint("POST", "/_matrix/client/v3/search", search, _SPEC + "post_matrixclientv3search", rate=Rate.WRITE, body=Body.JSON),
    Endpoint(
        "POST",
        "/_matrix/client/v3/user_directory/search",
        search_people,
        _SPEC + "post_matrixclientv3user_directorysearch",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
    Endpoint("GET", "/_matrix/client/v1/mutual_rooms", mutual_rooms, _SPEC + "get_matrixclientv1mutual_rooms"),
    Endpoint(
        "GET",
        "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms",
        mutual_rooms_before_spec,
        "proposals/2666",
    ),
)
