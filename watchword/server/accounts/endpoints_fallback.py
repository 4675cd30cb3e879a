"""The pages of interactive authentication, for clients that do not know a stage: every stage that this server asks for.

Spec: client-server-api#fallback
"""

from collections.abc import Mapping

from watchword.base import limits
from watchword.base.errors import BadRequest, NotFound, Refusal
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.server.accounts import fallback_forms as forms
from watchword.server.accounts.assembly import Accounts
from watchword.server.accounts.decide import (
    CAPTCHA,
    DUMMY,
    EMAIL_IDENTITY,
    MSISDN_IDENTITY,
    PASSWORD,
    REGISTRATION_TOKEN,
    TERMS,
)
from watchword.server.accounts.threepids.commands import EMAIL, MSISDN, AskProof, Threepid
from watchword.server.accounts.threepids.decide import parse_email
from watchword.server.accounts.threepids.phone_numbers import parse_msisdn
from watchword.server.accounts.uia_stages import UiaSession
from watchword.server.accounts.web_pages import form_of, page

_TITLE = "Go on"
_FAILED = "This did not work. What you entered may be wrong, or too much time has passed."
_DONE_SCRIPT = (
    "if(window.onAuthDone){window.onAuthDone()}else if(window.opener&&window.opener.postMessage)"
    '{window.opener.postMessage("authDone","*")}'
)
_STAGES = frozenset({CAPTCHA, DUMMY, EMAIL_IDENTITY, MSISDN_IDENTITY, PASSWORD, REGISTRATION_TOKEN, TERMS})
_NONCE_BYTES = 16
_SECRET_BYTES = 24


async def show(request: Request, _: None, accounts: Accounts) -> Reply:
    return _asked(_stage(request, accounts), request.query_one("session") or "", accounts)


async def take(request: Request, _: None, accounts: Accounts) -> Reply:
    stage = _stage(request, accounts)
    form = await form_of(request, limits.threepid_form_bytes_max)
    session_id = form.get("session", "")
    if stage in (EMAIL_IDENTITY, MSISDN_IDENTITY):
        return await _take_address(request, stage, session_id, form, accounts)
    if await accounts.uia.attempt_in_browser(request, session_id, stage, _auth(stage, form, accounts)):
        return _done()
    return _asked(stage, session_id, accounts, _FAILED)


def _stage(request: Request, accounts: Accounts) -> str:
    stage = request.param("type", str)
    if stage not in _STAGES or (stage == CAPTCHA and accounts.settings.captcha is None):
        raise NotFound("There is no page for this stage.", "M_UNRECOGNIZED")
    return stage


def _auth(stage: str, form: Mapping[str, str], accounts: Accounts) -> dict[str, object]:
    """What a client would have sent."""
    if stage == REGISTRATION_TOKEN:
        return {"token": form.get("token", "").strip()}
    if stage == PASSWORD:
        auth: dict[str, object] = {"password": form.get("password", "")}
        return {**auth, "identifier": {"type": "m.id.user", "user": form["user"]}} if form.get("user") else auth
    if stage == CAPTCHA and accounts.settings.captcha is not None:
        # reCAPTCHA, hCaptcha and Turnstile name their field alike.
        return {"response": form.get(f"{accounts.settings.captcha.css_class}-response", "")}
    return {}


def _asked(stage: str, session_id: str, accounts: Accounts, complaint: str = "") -> Reply:
    status = 401 if complaint else 200
    if stage == CAPTCHA and accounts.settings.captcha is not None:
        nonce = accounts.registrar.entropy.token(_NONCE_BYTES)
        # The script brings further scripts and a frame, from wherever the service keeps them.
        sources = f"script-src 'nonce-{nonce}' 'strict-dynamic'; frame-src https:; connect-src https:; img-src https:; "
        inside = forms.captcha(accounts.settings.captcha, nonce)
        return page(_TITLE, forms.form(session_id, inside, complaint), status, sources=sources)
    return page(_TITLE, forms.form(session_id, _inside(stage, session_id, accounts), complaint), status)


def _inside(stage: str, session_id: str, accounts: Accounts) -> str:
    match stage:
        case "m.login.registration_token":
            return forms.registration_token()
        case "m.login.password":
            session = accounts.uia.session(session_id)
            return forms.password(asks_name=session is None or session.user_id is None)
        case "m.login.terms":
            return forms.terms(accounts.settings.policies)
        case "m.login.email.identity":
            return forms.email()
        case "m.login.msisdn":
            return forms.phone()
        case _:
            return forms.simple()


def _done() -> Reply:
    return page("Done", "<p>You may close this window and go back to your application.</p>", script=_DONE_SCRIPT)


# Addresses: first the message, then what it says


async def _take_address(request: Request, stage: str, session_id: str, form: Mapping[str, str], accounts: Accounts) -> Reply:
    session = accounts.uia.session(session_id)
    if session is None or not any(stage in flow for flow in session.flows):
        return _asked(stage, session_id, accounts, _FAILED)
    try:
        if "sid" not in form:
            return await _ask(stage, session, form, accounts)
        return await _check(request, stage, session_id, form, accounts)
    except Refusal as refusal:
        return _asked(stage, session_id, accounts, refusal.text)


async def _ask(stage: str, session: UiaSession, form: Mapping[str, str], accounts: Accounts) -> Reply:
    is_email = stage == EMAIL_IDENTITY
    # Whatever country: a number with its code is international.
    address = parse_email(form.get("email", "")) if is_email else parse_msisdn("GB", form.get("phone", ""))
    if address is None:
        raise BadRequest("M_INVALID_PARAM", "This address is not valid.")
    secret = accounts.registrar.entropy.token(_SECRET_BYTES)
    threepid = Threepid(EMAIL if is_email else MSISDN, address)
    asked = await accounts.threepids.proofs.ask(AskProof(session.purpose, threepid, secret, 1, None))
    return _sent(stage, session.session_id, {"sid": asked.sid, "client_secret": secret})


def _sent(stage: str, session_id: str, kept: Mapping[str, str], complaint: str = "") -> Reply:
    inside = forms.email_sent() if stage == EMAIL_IDENTITY else forms.code()
    return page(_TITLE, forms.form(session_id, inside, complaint, kept), 401 if complaint else 200)


async def _check(request: Request, stage: str, session_id: str, form: Mapping[str, str], accounts: Accounts) -> Reply:
    creds = {"sid": form["sid"], "client_secret": form.get("client_secret", "")}
    if stage == MSISDN_IDENTITY:
        try:
            await accounts.threepids.proofs.submit(creds["sid"], creds["client_secret"], form.get("code", "").strip())
        except BadRequest as refusal:
            return _sent(stage, session_id, creds, refusal.text)
    if await accounts.uia.attempt_in_browser(request, session_id, stage, {"threepid_creds": creds}):
        return _done()
    return _sent(stage, session_id, creds, "The link has not been opened yet.")


_PAGE = "/_matrix/client/v3/auth/{type}/fallback/web"

ENDPOINTS = (
    Endpoint("GET", _PAGE, show, "client-server-api#fallback", auth=Auth.NONE, rate=Rate.READ),
    Endpoint("POST", _PAGE, take, "client-server-api#fallback", auth=Auth.NONE, rate=Rate.LOGIN, body=Body.STREAM),
)
