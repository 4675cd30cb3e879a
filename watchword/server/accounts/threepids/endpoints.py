"""The doors of addresses outside of Matrix. The page that a mail leads to is in `endpoints_page`."""

from collections.abc import Awaitable, Callable
from typing import Any

from watchword.base.errors import BadRequest, Forbidden, Refusal
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.accounts.assembly import Accounts
from watchword.server.accounts.commands import RegistrationMode
from watchword.server.accounts.threepids import endpoints_page
from watchword.server.accounts.threepids.commands import EMAIL, MSISDN, AskProof, Credentials, Purpose, Threepid, Wanted
from watchword.server.accounts.threepids.decide import is_opaque, parse_email, parse_threepid
from watchword.server.accounts.threepids.phone_numbers import parse_msisdn
from watchword.server.accounts.threepids.proofs import not_supported

# The addresses of an account


async def list_threepids(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    owned = await accounts.threepids.of_user(requester.user_id)
    shown = [
        {
            "medium": each.threepid.medium,
            "address": each.threepid.address,
            "validated_at": each.validated_ts,
            "added_at": each.added_ts,
        }
        for each in owned
    ]
    return Reply.json({"threepids": shown})


async def add(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    shown = Credentials(_opaque(request.json, "sid"), _opaque(request.json, "client_secret"))
    accounts.threepids.require_changes()
    await accounts.uia.authorise(request, requester, "account/3pid/add", {"sid": shown.sid})
    await accounts.threepids.add(requester.user_id, shown)
    return Reply.EMPTY


async def bind(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    await _bind(request.json, requester, accounts)
    return Reply.EMPTY


async def bind_of_old(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    """Deprecated, and «equivalent to /3pid/bind»; only that a refusal has a code of its own."""
    creds = request.field("three_pid_creds", dict)
    try:
        await _bind(creds, requester, accounts)
    except BadRequest:
        raise
    except Refusal as refusal:
        if refusal.status == 502:
            raise
        raise Forbidden("The identity server did not accept this.", "M_THREEPID_AUTH_FAILED") from refusal
    return Reply.EMPTY


async def _bind(body: dict[str, Any] | Any, requester: Requester, accounts: Accounts) -> None:
    shown = Credentials(_opaque(body, "sid"), _opaque(body, "client_secret"))
    id_server, token = _text(body, "id_server"), _text(body, "id_access_token")
    if not token.isascii() or not token.isprintable():
        raise BadRequest("M_INVALID_PARAM", "id_access_token is not valid.")
    await accounts.threepids.bind(requester.user_id, id_server, token, shown)


async def unbind(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    threepid = _threepid(request)
    done = await accounts.threepids.unbind(requester.user_id, threepid, request.field_or_none("id_server", str))
    return _unbound(done)


async def delete(request: Request, requester: Requester, accounts: Accounts) -> Reply:
    threepid = _threepid(request)
    done = await accounts.threepids.delete(requester.user_id, threepid, request.field_or_none("id_server", str))
    return _unbound(done)


def _unbound(done: bool) -> Reply:
    return Reply.json({"id_server_unbind_result": "success" if done else "no-support"})


def _threepid(request: Request) -> Threepid:
    medium = request.field("medium", str)
    if medium not in (EMAIL, MSISDN):
        raise BadRequest("M_INVALID_PARAM", "medium is email or msisdn.")
    found = parse_threepid(medium, request.field("address", str))
    if found is None:
        raise BadRequest("M_INVALID_PARAM", "This is no such address.")
    return found


# Asking for a message


def _asking(purpose: Purpose, medium: str) -> Callable[[Request, None, Accounts], Awaitable[Reply]]:
    async def ask(request: Request, _: None, accounts: Accounts) -> Reply:
        secret = _opaque(request.json, "client_secret")
        address = _email(request) if medium == EMAIL else _msisdn(request)
        attempt = request.field("send_attempt", int)
        next_link = request.field_or_none("next_link", str)
        _require_wanted(purpose, medium, accounts)
        wanted = AskProof(purpose, Threepid(medium, address), secret, _in_bounds(attempt), next_link)
        asked = await accounts.threepids.proofs.ask(wanted)
        body = {"sid": asked.sid}
        return Reply.json(body if asked.submit_url is None else {**body, "submit_url": asked.submit_url})

    return ask


def _require_wanted(purpose: Purpose, medium: str, accounts: Accounts) -> None:
    settings = accounts.settings
    if purpose is Purpose.ADD and settings.threepids.sends_to(medium):
        accounts.threepids.require_changes()
    if purpose is Purpose.REGISTER:
        if settings.registration is RegistrationMode.CLOSED:
            raise Forbidden("This server does not take registrations.", "M_THREEPID_DENIED")
        if settings.threepids.at_registration(medium) is Wanted.OFF:
            raise not_supported()
    if purpose is Purpose.RESET and not settings.password_login:
        raise Forbidden("This server has no passwords.", "M_THREEPID_DENIED")


def _in_bounds(attempt: int) -> int:
    return max(-(1 << 31), min(attempt, 1 << 31))


def _email(request: Request) -> str:
    found = parse_email(request.field("email", str))
    if found is None:
        raise BadRequest("M_INVALID_PARAM", "This is no e-mail address.")
    return found


def _msisdn(request: Request) -> str:
    found = parse_msisdn(request.field("country", str), request.field("phone_number", str))
    if found is None:
        raise BadRequest("M_INVALID_PARAM", "This is no telephone number of that country.")
    return found


def _text(body: Any, name: str) -> str:
    if name not in body:
        raise BadRequest("M_MISSING_PARAM", f"{name} is missing.")
    value = body[name]
    if not isinstance(value, str):
        raise BadRequest("M_BAD_JSON", f"{name} must be a string.")
    return value


def _opaque(body: Any, name: str) -> str:
    value = _text(body, name)
    if not is_opaque(value):
        raise BadRequest("M_INVALID_PARAM", f"{name} is not valid.")
    return value


_THREEPID = "/_matrix/client/v3/account/3pid"
_SPEC = "client-server-api#post_matrixclientv3"


def _asked_at(path: str, purpose: Purpose, medium: str) -> Endpoint:
    whole = f"{path}/{medium}/requestToken"
    return Endpoint(
        "POST",
        f"/_matrix/client/v3/{whole}",
        _asking(purpose, medium),
        _SPEC + whole.replace("/", "").lower(),
        auth=Auth.NONE,
        rate=Rate.LOGIN,
        body=Body.JSON,
    )


ENDPOINTS = (
    Endpoint("GET", _THREEPID, list_threepids, "client-server-api#get_matrixclientv3account3pid"),
    Endpoint("POST", _THREEPID, bind_of_old, _SPEC + "account3pid", rate=Rate.WRITE, body=Body.JSON),
    Endpoint("POST", _THREEPID + "/add", add, _SPEC + "account3pidadd", rate=Rate.LOGIN, body=Body.JSON),
    Endpoint("POST", _THREEPID + "/bind", bind, _SPEC + "account3pidbind", rate=Rate.WRITE, body=Body.JSON),
    Endpoint("POST", _THREEPID + "/unbind", unbind, _SPEC + "account3pidunbind", rate=Rate.WRITE, body=Body.JSON),
    Endpoint("POST", _THREEPID + "/delete", delete, _SPEC + "account3piddelete", rate=Rate.WRITE, body=Body.JSON),
    _asked_at("account/3pid", Purpose.ADD, EMAIL),
    _asked_at("account/3pid", Purpose.ADD, MSISDN),
    _asked_at("account/password", Purpose.RESET, EMAIL),
    _asked_at("account/password", Purpose.RESET, MSISDN),
    _asked_at("register", Purpose.REGISTER, EMAIL),
    _asked_at("register", Purpose.REGISTER, MSISDN),
    *endpoints_page.ENDPOINTS,
)
