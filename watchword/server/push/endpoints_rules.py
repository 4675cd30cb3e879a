"""The doors of push rules."""

from functools import partial

from watchword.base.errors import BadRequest, Forbidden
from watchword.edge.endpoint import Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import parse_user_id
from watchword.protocol.push_rule_editing import add_rule, delete_rule, find_rule, set_actions, set_enabled
from watchword.protocol.push_rules import rule_to_json
from watchword.server.push.assembly import Push


def _place(request: Request) -> tuple[str, str]:
    return request.param("kind", str), request.param("ruleId", str)


async def get_rule_sets(_: Request, requester: Requester, push: Push) -> Reply:
    return Reply.encoded(await push.rules.content(requester.user_id))


async def get_account_data(request: Request, requester: Requester, push: Push) -> Reply:
    """The same as account data, which exists also while it was never stored."""
    if request.param("userId", parse_user_id) != requester.user_id:
        raise Forbidden("This belongs to another user.")
    return await get_rule_sets(request, requester, push)


async def get_global_rules(_: Request, requester: Requester, push: Push) -> Reply:
    return Reply.json((await push.rules.rule_set(requester.user_id)).to_json())


async def get_rule(request: Request, requester: Requester, push: Push) -> Reply:
    kind, rule_id = _place(request)
    return Reply.json(rule_to_json(kind, find_rule(await push.rules.rule_set(requester.user_id), kind, rule_id)))


async def put_rule(request: Request, requester: Requester, push: Push) -> Reply:
    kind, rule_id = _place(request)
    before, after = request.query_one("before"), request.query_one("after")
    edit = partial(add_rule, kind=kind, rule_id=rule_id, body=request.json, before=before, after=after)
    await push.rules.change(requester.user_id, edit)
    return Reply.EMPTY


async def delete_one_rule(request: Request, requester: Requester, push: Push) -> Reply:
    kind, rule_id = _place(request)
    await push.rules.change(requester.user_id, partial(delete_rule, kind=kind, rule_id=rule_id))
    return Reply.EMPTY


async def get_enabled(request: Request, requester: Requester, push: Push) -> Reply:
    rule = find_rule(await push.rules.rule_set(requester.user_id), *_place(request))
    return Reply.json({"enabled": rule.enabled})


async def put_enabled(request: Request, requester: Requester, push: Push) -> Reply:
    kind, rule_id = _place(request)
    enabled = request.field("enabled", bool)
    await push.rules.change(requester.user_id, partial(set_enabled, kind=kind, rule_id=rule_id, enabled=enabled))
    return Reply.EMPTY


async def get_actions(request: Request, requester: Requester, push: Push) -> Reply:
    rule = find_rule(await push.rules.rule_set(requester.user_id), *_place(request))
    return Reply.json({"actions": list(rule.actions)})


async def put_actions(request: Request, requester: Requester, push: Push) -> Reply:
    kind, rule_id = _place(request)
    if "actions" not in request.json:
        raise BadRequest("M_MISSING_PARAM", "actions is missing.")
    actions = request.json["actions"]
    await push.rules.change(requester.user_id, partial(set_actions, kind=kind, rule_id=rule_id, actions=actions))
    return Reply.EMPTY


_RULES = "/_matrix/client/v3/pushrules"
_RULE = f"{_RULES}/global/{{kind}}/{{ruleId}}"
_SPEC = "client-server-api#"

ENDPOINTS = (
    Endpoint("GET", f"{_RULES}/", get_rule_sets, _SPEC + "get_matrixclientv3pushrules"),
    Endpoint(
        "GET",
        "/_matrix/client/v3/user/{userId}/account_data/m.push_rules",
        get_account_data,
        _SPEC + "get_matrixclientv3useruseridaccount_datatype",
    ),
    Endpoint("GET", f"{_RULES}/global/", get_global_rules, _SPEC + "get_matrixclientv3pushrulesglobal"),
    Endpoint("GET", _RULE, get_rule, _SPEC + "get_matrixclientv3pushrulesglobalkindruleid"),
    Endpoint(
        "PUT",
        _RULE,
        put_rule,
        _SPEC + "put_matrixclientv3pushrulesglobalkindruleid",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
    Endpoint("DELETE", _RULE, delete_one_rule, _SPEC + "delete_matrixclientv3pushrulesglobalkindruleid", rate=Rate.WRITE),
    Endpoint("GET", f"{_RULE}/enabled", get_enabled, _SPEC + "get_matrixclientv3pushrulesglobalkindruleidenabled"),
    Endpoint(
        "PUT",
        f"{_RULE}/enabled",
        put_enabled,
        _SPEC + "put_matrixclientv3pushrulesglobalkindruleidenabled",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
    Endpoint("GET", f"{_RULE}/actions", get_actions, _SPEC + "get_matrixclientv3pushrulesglobalkindruleidactions"),
    Endpoint(
        "PUT",
        f"{_RULE}/actions",
        put_actions,
        _SPEC + "put_matrixclientv3pushrulesglobalkindruleidactions",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
)
