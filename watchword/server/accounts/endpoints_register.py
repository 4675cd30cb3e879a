"""The doors for newcomers: registration, names, registration tokens, and the pages of interactive authentication."""

import base64
import hashlib
from html import escape
from urllib.parse import parse_qsl

from watchword.base.errors import BadRequest, Forbidden, NotFound
from watchword.edge.authentication import bearer_token
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.server.accounts.assembly import Accounts
from watchword.server.accounts.commands import RegistrationMode, Tokens
from watchword.server.accounts.decide import APPSERVICE, DUMMY, REGISTRATION_TOKEN
from watchword.server.accounts.registration import Registered

_FORM_BYTES_MAX = 4_096
_STYLE = "body{font-family:sans-serif;max-width:30em;margin:3em auto;padding:0 1em}"
_SCRIPT = (
    "if(window.onAuthDone){window.onAuthDone()}else if(window.opener&&window.opener.postMessage)"
    '{window.opener.postMessage("authDone","*")}'
)


def _fingerprint(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_PAGE_HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": f"default-src 'none'; script-src {_fingerprint(_SCRIPT)}; style-src {_fingerprint(_STYLE)}; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


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


# The pages for clients that do not know a stage. Spec: client-server-api#fallback


async def fallback_page(request: Request, _: None, accounts: Accounts) -> Reply:
    stage = _page_stage(request)
    return _page(_form(stage, request.query_one("session") or "", ""))


async def fallback_submit(request: Request, _: None, accounts: Accounts) -> Reply:
    stage = _page_stage(request)
    form = await _form_fields(request)
    session_id = form.get("session", "")
    auth = {"token": form.get("token", "").strip()} if stage == REGISTRATION_TOKEN else {}
    if await accounts.uia.attempt_in_browser(request, session_id, stage, auth):
        return _page(_DONE)
    return _page(_form(stage, session_id, "This did not work. The token may be wrong, or too much time has passed."), 401)


def _page_stage(request: Request) -> str:
    stage = request.param("type", str)
    if stage not in (DUMMY, REGISTRATION_TOKEN):
        raise NotFound("There is no page for this stage.", "M_UNRECOGNIZED")
    return stage


async def _form_fields(request: Request) -> dict[str, str]:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _FORM_BYTES_MAX:
            raise BadRequest("M_BAD_JSON", "The form is too large.")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=10, errors="strict"))
    except ValueError as error:
        raise BadRequest("M_BAD_JSON", "The form is not valid.") from error


def _page(body: str, status: int = 200) -> Reply:
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Authentication</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )
    return Reply(status, page.encode(), _PAGE_HEADERS)


def _form(stage: str, session_id: str, complaint: str) -> str:
    more = ""
    if stage == REGISTRATION_TOKEN:
        more = '<p><label>Registration token <input name="token" maxlength="64" required autocomplete="off"></label></p>'
    return (
        f'<h1>Go on</h1><p role="alert">{escape(complaint)}</p><form method="post">'
        f'<input type="hidden" name="session" value="{escape(session_id)}">{more}<button>Continue</button></form>'
    )


_DONE = f"<h1>Done</h1><p>You may close this window and go back to your application.</p><script>{_SCRIPT}</script>"

_OPERATOR = "/_synapse/admin/v1/register"
_PAGE = "/_matrix/client/v3/auth/{type}/fallback/web"

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
    Endpoint("GET", _PAGE, fallback_page, "client-server-api#fallback", auth=Auth.NONE, rate=Rate.READ),
    Endpoint("POST", _PAGE, fallback_submit, "client-server-api#fallback", auth=Auth.NONE, rate=Rate.LOGIN, body=Body.STREAM),
)
