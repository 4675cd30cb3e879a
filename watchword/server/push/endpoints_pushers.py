"""The doors of pushers."""

from watchword.base.errors import BadRequest
from watchword.edge.endpoint import Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.push.assembly import Push
from watchword.server.push.commands import PusherForm, PusherKey


async def get_pushers(_: Request, requester: Requester, push: Push) -> Reply:
    return Reply.json({"pushers": [pusher.to_json() for pusher in await push.pushers.of(requester.user_id)]})


async def set_pusher(request: Request, requester: Requester, push: Push) -> Reply:
    if "kind" not in request.json:
        raise BadRequest("M_MISSING_PARAM", "kind is missing.")
    key = PusherKey(requester.user_id, request.field("app_id", str), request.field("pushkey", str))
    if request.json["kind"] is None:
        await push.pushers.delete(key)
        return Reply.EMPTY
    form = PusherForm(
        kind=request.field("kind", str),
        app_display_name=request.field("app_display_name", str),
        device_display_name=request.field("device_display_name", str),
        profile_tag=request.field_or_none("profile_tag", str) or "",
        lang=request.field("lang", str),
        data=request.field("data", dict),
    )
    await push.pushers.save(key, requester.device_id, form, append=request.field_or("append", bool, False))
    return Reply.EMPTY


_PUSHERS = "/_matrix/client/v3/pushers"

ENDPOINTS = (
    Endpoint("GET", _PUSHERS, get_pushers, "client-server-api#get_matrixclientv3pushers"),
    Endpoint(
        "POST",
        f"{_PUSHERS}/set",
        set_pusher,
        "client-server-api#post_matrixclientv3pushersset",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
)
