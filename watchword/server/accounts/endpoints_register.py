"""The doors for newcomers: registration, names, registration tokens."""

from watchword.base.errors import BadRequest, Forbidden
from watchword.edge.authentication import bearer_token
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.server.accounts.assembly import Accounts
from watchword.server.accounts.commands import RegistrationMode, Tokens
from watchword.server.accounts.decide import APPSERVICE
from watchword.server.accounts.registration import Registered


def tokens_body(tokens: Tokens, accounts: Accounts) -> dict[str, object]:
    """What a client is told that has been logged in."""
    body: dict[str, object] = {
        "user_id": tokens.user_id,
        "access_token": tokens.access_token,
        "device_id": tokens.device_id,
        "home_server": accounts.settings.server_name,
    }
    if tokens.refresh_token is not None:
        body["refresh_token"] = tokens.refresh_token
    if tokens.expires_in_ms is not None:
        body["expires_in_ms"] = tokens.expires_in_ms
    return body


def _registered(registered: Registered, accounts: Accounts) -> Reply:
    if registered.tokens is None:
        return Reply.json({"user_id": registered.user_id, "home_server": accounts.settings.server_name})
    return Reply.json(tokens_body(registered.tokens, accounts))


async def register(request: Request, _: None, accounts: Accounts) -> Reply:
    kind = request.query_one("kind")
    if kind == "guest":
        return _registered(await accounts.registrar.register_guest(request), accounts)
    if kind not in (None, "user"):
        raise BadRequest("M_INVALID_PARAM", "kind is user or guest.")
    if request.json.get("type") == APPSERVICE:
        token = bearer_token(request)
        return _registered(await accounts.registrar.register_for_appservice(request, token), accounts)
    return _registered(await accounts.registrar.register(request), accounts)


async def available(request: Request, _: None, accounts: Accounts) -> Reply:
    username = request.query_one("username")
    if username is None:
        raise BadRequest("M_MISSING_PARAM", "username is missing.")
    await accounts.registrar.check_name(username)
    return Reply.json({"available": True})


async def token_validity(request: Request, _: None, accounts: Accounts) -> Reply:
    if accounts.settings.registration is RegistrationMode.CLOSED:
        raise Forbidden("This server does not take registrations.")
    token = request.query_one("token")
    if token is None:
        raise BadRequest("M_MISSING_PARAM", "token is missing.")
    return Reply.json({"valid": await accounts.invitations.is_valid(token)})


async def operator_nonce(request: Request, _: None, accounts: Accounts) -> Reply:
    return Reply.json({"nonce": accounts.shared_secret.nonce()})


async def operator_register(request: Request, _: None, accounts: Accounts) -> Reply:
    return _registered(await accounts.shared_secret.register(request), accounts)


_OPERATOR = "/_synapse/admin/v1/register"

ENDPOINTS = (
    Endpoint(
        "POST",
        "/_matrix/client/v3/register",
        register,
        "client-server-api#post_matrixclientv3register",
        auth=Auth.NONE,
        rate=Rate.REGISTER,
        body=Body.OPTIONAL_JSON,
    ),
    Endpoint(
        "GET",
        "/_matrix/client/v3/register/available",
        available,
        "client-server-api#get_matrixclientv3registeravailable",
        auth=Auth.NONE,
        rate=Rate.READ,
    ),
    Endpoint(
        "GET",
        "/_matrix/client/v1/register/m.login.registration_token/validity",
        token_validity,
        "client-server-api#get_matrixclientv1registermloginregistration_tokenvalidity",
        auth=Auth.NONE,
        rate=Rate.LOGIN,
    ),
    # Whoever knows the secret may provision many accounts; nothing costly happens before the HMAC is right.
    Endpoint("GET", _OPERATOR, operator_nonce, "", auth=Auth.NONE, rate=Rate.WRITE),
    Endpoint("POST", _OPERATOR, operator_register, "", auth=Auth.NONE, rate=Rate.WRITE, body=Body.JSON),
)
