"""The doors of signing in elsewhere, and of single sign-on for clients of the legacy API."""

from watchword.base import limits
from watchword.base.errors import BadRequest, LimitExceeded, NotFound, Refusal
from watchword.edge.endpoint import Rate
from watchword.edge.replies import Reply
from watchword.server.accounts.commands import RegistrationMode
from watchword.server.accounts.decide import SSO
from watchword.server.accounts.uia_stages import ProvedInBrowser
from watchword.server.oauth import metadata
from watchword.server.oauth.assembly import OAuth
from watchword.server.oauth.commands import PREFIX
from watchword.server.oauth.decide import form_target
from watchword.server.oauth.doors import DEPART, REGISTER, SIGN_IN, Asked, page, signed_in, with_query
from watchword.server.oauth.sign_in import Newcomer
from watchword.server.oauth.upstream.decide import CALLBACK, is_client_address, with_login_token

_FINISH = f"{PREFIX}/upstream/finish"
_CONTINUE = f"{PREFIX}/sso"
_CONFIRM = f"{PREFIX}/confirm"

# To a provider and back


async def depart(asked: Asked, oauth: OAuth) -> Reply:
    again = bool(asked.form.get("again"))
    url = await oauth.upstream.depart(asked.request.param("providerId", str), asked.visit, asked.next, again=again)
    return oauth.pages.go(asked.visit, url)


async def arrive(asked: Asked, oauth: OAuth) -> Reply:
    query = {name: values[0] for name, values in asked.request.query.items()}
    came = await oauth.upstream.arrive(query, asked.visit)
    if came.account is None:
        return oauth.pages.go(asked.visit, with_query(_FINISH, stranger=came.stranger_id))
    visit = await oauth.browsers.sign_in(asked.visit, came.account)
    return oauth.pages.go(visit, came.next or metadata.ACCOUNT)


async def finish_page(asked: Asked, oauth: OAuth) -> Reply:
    found, _ = oauth.upstream.stranger(asked.form.get("stranger"), asked.visit)
    wished = {"username": found.identity.localpart, "display_name": found.identity.display_name}
    return _finish_form(asked, oauth, wished)


def _finish_form(asked: Asked, oauth: OAuth, typed: dict[str, str], complaint: str = "", status: int = 200) -> Reply:
    _, provider = oauth.upstream.stranger(asked.form.get("stranger"), asked.visit)
    return oauth.pages.page(
        "upstream_finish",
        asked.visit,
        status=status,
        complaint=complaint,
        stranger=asked.form.get("stranger"),
        provider=provider.settings.name,
        username=typed["username"],
        display_name=typed["display_name"],
        token=asked.form.get("token"),
        needs_invitation=provider.settings.registration is RegistrationMode.INVITATION,
        policies=oauth.sign_in.policies,
    )


async def finish(asked: Asked, oauth: OAuth) -> Reply:
    form, stranger_id = asked.form, asked.form.get("stranger")
    found, _ = oauth.upstream.stranger(stranger_id, asked.visit)
    typed = {"username": form.get("username"), "display_name": form.get("display_name")}
    newcomer = Newcomer(typed["username"], None, form.get("token"), typed["display_name"], form.get("agreed") == "yes")
    try:
        account = await oauth.upstream.welcome(stranger_id, asked.visit, newcomer)
    except LimitExceeded:
        raise
    except Refusal as refusal:
        return _finish_form(asked, oauth, typed, refusal.text, refusal.status)
    visit = await oauth.browsers.sign_in(asked.visit, account)
    return oauth.pages.go(visit, found.next or metadata.ACCOUNT)


# Single sign-on for clients of the legacy API


async def redirect(asked: Asked, oauth: OAuth) -> Reply:
    """Spec: client-server-api#get_matrixclientv3loginssoredirect"""
    if not oauth.settings.providers:
        raise NotFound("This server does not offer single sign-on.", "M_UNRECOGNIZED")
    address = asked.request.query_one("redirectUrl")
    if address is None:
        raise BadRequest("M_MISSING_PARAM", "redirectUrl is missing.")
    if not is_client_address(address):
        raise BadRequest("M_INVALID_PARAM", "redirectUrl is not an address of an application.")
    here = with_query(_CONTINUE, redirect_url=address)
    provider_id = asked.request.params.get("idpId")
    if provider_id is not None:
        oauth.upstream.provider(provider_id)
        return oauth.pages.go(asked.visit, with_query(DEPART.format(providerId=provider_id), next=here), status=302)
    if asked.request.query_one("action") == "register" and oauth.sign_in.takes_newcomers and asked.visit.account is None:
        return oauth.pages.go(asked.visit, with_query(REGISTER, next=here), status=302)
    return oauth.pages.go(asked.visit, here, status=302)


async def continue_page(asked: Asked, oauth: OAuth) -> Reply:
    """Nobody gets a token before the user has seen who he is. Spec: client-server-api#security-considerations-5"""
    address = _address(asked)
    return oauth.pages.page(
        "sso_continue",
        asked.visit,
        form_targets=[form_target(address)],
        redirect_url=address,
        target=form_target(address),
        switch=with_query(SIGN_IN, next=with_query(_CONTINUE, redirect_url=address), again="1"),
    )


async def go_on(asked: Asked, oauth: OAuth) -> Reply:
    address = _address(asked)
    token = await oauth.accounts.logins.tokens.give(asked.account.user_id, limits.sso_login_token_ms)
    return oauth.pages.go(asked.visit, with_login_token(address, token))


def _address(asked: Asked) -> str:
    address = asked.form.get("redirect_url")
    if not is_client_address(address):
        raise BadRequest("M_INVALID_PARAM", "This link does not lead back to an application.")
    return address


# Proving once more who asks (m.login.sso as a stage)

_ACTIONS = {
    "devices/delete": "sign out one of your devices",
    "delete_devices": "sign out devices of yours",
    "keys/device_signing/upload": "replace your cryptographic identity",
    "account/password": "change your password",
    "account/deactivate": "deactivate your account",
    "login/get_token": "sign in another device",
}
_DONE = (
    "if(window.onAuthDone){window.onAuthDone()}else if(window.opener&&window.opener.postMessage)"
    '{window.opener.postMessage("authDone","*")}'
)


async def fallback(asked: Asked, oauth: OAuth) -> Reply:
    """Spec: client-server-api#fallback"""
    return oauth.pages.go(asked.visit, with_query(_CONFIRM, session=asked.form.get("session")), status=302)


async def confirm_page(asked: Asked, oauth: OAuth) -> Reply:
    session = oauth.accounts.uia.session(asked.form.get("session"))
    if session is None or not any(SSO in flow for flow in session.flows):
        return oauth.pages.message(asked.visit, "Too late", "Nothing waits for you here. Please start again.", status=404)
    here = with_query(_CONFIRM, session=session.session_id)
    if not oauth.browsers.is_fresh(asked.visit):
        return oauth.pages.go(asked.visit, with_query(SIGN_IN, next=here, again="1"))
    return oauth.pages.page(
        "confirm",
        asked.visit,
        session=session.session_id,
        action=_ACTIONS.get(session.action, "do something that needs you"),
        is_other=session.user_id not in (None, asked.account.user_id),
        switch=with_query(SIGN_IN, next=here, again="1"),
    )


async def confirm(asked: Asked, oauth: OAuth) -> Reply:
    if not oauth.browsers.is_fresh(asked.visit):
        return await confirm_page(asked, oauth)
    proof = {"proof": ProvedInBrowser(asked.account.user_id)}
    if not await oauth.accounts.uia.attempt_in_browser(asked.request, asked.form.get("session"), SSO, proof):
        return await confirm_page(asked, oauth)
    text = "You may close this window and go back to your application."
    return oauth.pages.page("message", asked.visit, script=_DONE, title="Done", text=text)


_SSO = "client-server-api#sso-client-loginauthentication"
_REDIRECT = "/_matrix/client/v3/login/sso/redirect"

ENDPOINTS = (
    page("GET", _REDIRECT, redirect, rate=Rate.LOGIN, spec="client-server-api#get_matrixclientv3loginssoredirect"),
    page(
        "GET",
        f"{_REDIRECT}/{{idpId}}",
        redirect,
        rate=Rate.LOGIN,
        spec="client-server-api#get_matrixclientv3loginssoredirectidpid",
    ),
    page("GET", _CONTINUE, signed_in(continue_page), spec=_SSO),
    page("POST", _CONTINUE, signed_in(go_on), rate=Rate.LOGIN, spec=_SSO),
    page("GET", "/_matrix/client/v3/auth/m.login.sso/fallback/web", fallback, spec="client-server-api#fallback"),
    page("GET", _CONFIRM, signed_in(confirm_page), spec="client-server-api#fallback"),
    page("POST", _CONFIRM, signed_in(confirm), rate=Rate.LOGIN, spec="client-server-api#fallback"),
    page("GET", DEPART, depart, rate=Rate.LOGIN, spec=_SSO),
    page("GET", CALLBACK, arrive, rate=Rate.LOGIN, spec=_SSO),
    page("GET", _FINISH, finish_page, spec=_SSO),
    page("POST", _FINISH, finish, rate=Rate.REGISTER, spec=_SSO),
)
