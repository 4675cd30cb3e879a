"""The doors of sessions: login, refresh, logout, whoami, and what administrators do to an account."""

from watchword.base.errors import Forbidden, NotFound
from watchword.edge.auditing import Deed
from watchword.edge.authentication import bearer_token
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import parse_user_id
from watchword.server.accounts.assembly import Accounts
from watchword.server.accounts.endpoints_register import tokens_body

# Sessions


async def login_flows(request: Request, _: None, accounts: Accounts) -> Reply:
    flows = accounts.logins.flows()
    if len(flows) == 1:
        # Application services know that they may, and nobody else can.
        raise NotFound("This server does not offer this kind of login.", "M_UNRECOGNIZED")
    return Reply.json({"flows": flows})


async def login(request: Request, _: None, accounts: Accounts) -> Reply:
    tokens = await accounts.logins.log_in(request, bearer_token(request))
    body = tokens_body(tokens, accounts)
    if accounts.settings.public_base_url is not None:
        body["well_known"] = {"m.homeserver": {"base_url": accounts.settings.public_base_url}}
    return Reply.json(body)


async def refresh(request: Request, _: None, accounts: Accounts) -> Reply:
    tokens = await accounts.sessions.refresh(request.field("refresh_token", str))
    body: dict[str, object] = {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token}
    if tokens.expires_in_ms is not None:
        body["expires_in_ms"] = tokens.expires_in_ms
    return Reply.json(body)


async def login_token(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    token, lifetime_ms = await accounts.logins.tokens.ask(request, requester)
    return Reply.json({"login_token": token, "expires_in_ms": lifetime_ms})


async def logout(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    await accounts.logins.log_out(requester)
    return Reply.EMPTY


async def logout_all(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    await accounts.logins.log_out_everywhere(requester)
    return Reply.EMPTY


async def whoami(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    body: dict[str, object] = {"user_id": requester.user_id, "is_guest": requester.is_guest}
    if requester.device_id is not None:
        body["device_id"] = requester.device_id
    return Reply.json(body)


# Administrators


async def whois(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    user_id = request.param("userId", parse_user_id)
    found = await accounts.admin.whois(requester, user_id)
    if user_id != requester.user_id:
        await accounts.audit.read(Deed.asked(request, requester.user_id, "user.whois", user_id))
    return Reply.json(found)


async def see_lock(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    account = await accounts.admin.moderated(requester, request.param("userId", parse_user_id))
    return Reply.json({"locked": account.is_locked})


async def set_lock(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    locked = _flag(request, requester, "locked")
    user_id = request.param("userId", parse_user_id)
    async with accounts.audit.act(Deed.asked(request, requester.user_id, "user.lock", user_id)) as entry:
        entry.add(locked=locked)
        await accounts.admin.set_locked(requester, user_id, locked, also=entry)
    return Reply.json({"locked": locked})


async def see_suspension(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    account = await accounts.admin.moderated(requester, request.param("userId", parse_user_id))
    return Reply.json({"suspended": account.is_suspended})


async def set_suspension(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    suspended = _flag(request, requester, "suspended")
    user_id = request.param("userId", parse_user_id)
    async with accounts.audit.act(Deed.asked(request, requester.user_id, "user.suspend", user_id)) as entry:
        entry.add(suspended=suspended)
        await accounts.admin.set_suspended(requester, user_id, suspended, also=entry)
    return Reply.json({"suspended": suspended})


def _flag(request: Request, requester: Requester, name: str) -> bool:
    if not requester.is_admin:
        raise Forbidden("Only administrators of this server may do this.")
    return request.field(name, bool)


_LOGIN = "/_matrix/client/v3/login"
_LOCK = "/_matrix/client/v1/admin/lock/{userId}"
_SUSPEND = "/_matrix/client/v1/admin/suspend/{userId}"

ENDPOINTS = (
    Endpoint("GET", _LOGIN, login_flows, "client-server-api#get_matrixclientv3login", auth=Auth.NONE),
    Endpoint(
        "POST",
        _LOGIN,
        login,
        "client-server-api#post_matrixclientv3login",
        auth=Auth.NONE,
        rate=Rate.LOGIN,
        body=Body.JSON,
    ),
    Endpoint(
        "POST",
        "/_matrix/client/v1/login/get_token",
        login_token,
        "client-server-api#post_matrixclientv1loginget_token",
        rate=Rate.LOGIN,
        body=Body.OPTIONAL_JSON,
    ),
    Endpoint(
        "POST",
        "/_matrix/client/v3/refresh",
        refresh,
        "client-server-api#post_matrixclientv3refresh",
        auth=Auth.NONE,
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
    Endpoint(
        "POST",
        "/_matrix/client/v3/logout",
        logout,
        "client-server-api#post_matrixclientv3logout",
        auth=Auth.CLIENT_LOCKED,
        guests=True,
    ),
    Endpoint(
        "POST",
        "/_matrix/client/v3/logout/all",
        logout_all,
        "client-server-api#post_matrixclientv3logoutall",
        auth=Auth.CLIENT_LOCKED,
        guests=True,
    ),
    Endpoint(
        "GET",
        "/_matrix/client/v3/account/whoami",
        whoami,
        "client-server-api#get_matrixclientv3accountwhoami",
        guests=True,
    ),
    Endpoint("GET", "/_matrix/client/v3/admin/whois/{userId}", whois, "client-server-api#get_matrixclientv3adminwhoisuserid"),
    Endpoint("GET", _LOCK, see_lock, "client-server-api#get_matrixclientv1adminlockuserid"),
    Endpoint("PUT", _LOCK, set_lock, "client-server-api#put_matrixclientv1adminlockuserid", rate=Rate.WRITE, body=Body.JSON),
    Endpoint("GET", _SUSPEND, see_suspension, "client-server-api#get_matrixclientv1adminsuspenduserid"),
    Endpoint(
        "PUT",
        _SUSPEND,
        set_suspension,
        "client-server-api#put_matrixclientv1adminsuspenduserid",
        rate=Rate.WRITE,
        body=Body.JSON,
    ),
)
