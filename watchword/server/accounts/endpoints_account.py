"""The doors of what is done to an account as a whole: its password, its end."""

from watchword.base.errors import Forbidden
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Kind, Requester
from watchword.server.accounts.assembly import Accounts
from watchword.server.accounts.decide import PASSWORD


async def change_password(request: Request, requester: Requester | None, accounts: Accounts) -> Reply:
    password = request.field("new_password", str)
    log_out = request.field_or("logout_devices", bool, True)
    accounts.registrar.check_password(password)
    if not accounts.settings.password_login:
        raise Forbidden("This server has no passwords.")
    _require_user(requester)
    meaning = {"new_password": password, "logout_devices": log_out}
    user_id = await accounts.uia.identify(request, requester, "account/password", meaning)
    keep = None if requester is None else requester.device_id
    await accounts.admin.change_password(user_id, password, log_out=log_out, keep=keep)
    return Reply.EMPTY


async def deactivate(request: Request, requester: Requester | None, accounts: Accounts) -> Reply:
    erase = request.field_or("erase", bool, False)
    _require_user(requester)
    user_id = await accounts.uia.identify(request, requester, "account/deactivate", {"erase": erase})
    await accounts.admin.deactivate(user_id, erase=erase)
    # There are no third-party identifiers here that could stay bound.
    return Reply.json({"id_server_unbind_result": "success"})


def _require_user(requester: Requester | None) -> None:
    if requester is not None and requester.kind is not Kind.USER:
        raise Forbidden(f"Only who logged in with {PASSWORD} may do this.")


async def third_party_ids(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    return Reply.json({"threepids": []})


ENDPOINTS = (
    Endpoint(
        "POST",
        "/_matrix/client/v3/account/password",
        change_password,
        "client-server-api#post_matrixclientv3accountpassword",
        auth=Auth.OPTIONAL,
        rate=Rate.LOGIN,
        body=Body.JSON,
    ),
    Endpoint(
        "POST",
        "/_matrix/client/v3/account/deactivate",
        deactivate,
        "client-server-api#post_matrixclientv3accountdeactivate",
        auth=Auth.OPTIONAL,
        rate=Rate.LOGIN,
        body=Body.OPTIONAL_JSON,
    ),
    Endpoint("GET", "/_matrix/client/v3/account/3pid", third_party_ids, "client-server-api#get_matrixclientv3account3pid"),
)
