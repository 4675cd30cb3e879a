"""The doors of pushers. Spec: proposals/3881 for switching them on and off, also those of other sessions."""

from watchword.base.errors import BadRequest
from watchword.edge.endpoint import Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.push.assembly import Push
from watchword.server.push.commands import PusherForm, PusherKey
from watchword.server.push.pushers import Setting

_ENABLED = "org.matrix.msc3881.enabled"
_DEVICE_ID = "org.matrix.msc3881.device_id"


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
        enabled=request.field_or(_ENABLED, bool, True),
    )
    # Who only switches it names what another session has made; who makes it anew says nothing of that, or names himself.
    moves = _ENABLED not in request.json or request.json.get(_DEVICE_ID) == requester.device_id
    wanted = Setting(requester.device_id, form, append=request.field_or("append", bool, False), moves=moves)
    await push.pushers.save(key, wanted)
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
