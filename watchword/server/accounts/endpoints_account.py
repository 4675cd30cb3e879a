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
    session = await accounts.uia.regain(request, requester, "account/password", meaning)
    assert session.user_id is not None
    keep = None if requester is None else requester.device_id
    await accounts.admin.change_password(session.user_id, password, log_out=log_out, keep=keep)
    for proof in session.proofs.values():
        await accounts.threepids.proofs.spend(proof)
    return Reply.EMPTY


async def deactivate(request: Request, requester: Requester | None, accounts: Accounts) -> Reply:
    erase = request.field_or("erase", bool, False)
    id_server = request.field_or_none("id_server", str)
    _require_user(requester)
    meaning = {"erase": erase, "id_server": id_server}
    user_id = await accounts.uia.identify(request, requester, "account/deactivate", meaning)
    unbound = await accounts.admin.deactivate(user_id, erase=erase, id_server=id_server)
    return Reply.json({"id_server_unbind_result": "success" if unbound else "no-support"})


def _require_user(requester: Requester | None) -> None:
    if requester is not None and requester.kind is not Kind.USER:
        raise Forbidden(f"Only who logged in with {PASSWORD} may do this.")


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
)
