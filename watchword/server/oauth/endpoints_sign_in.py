"""The pages between a client and its tokens: sign in, register, consent, let a device in, sign out."""

from watchword.base.errors import LimitExceeded, NotFound, Refusal
from watchword.edge.endpoint import Auth, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.server.accounts.commands import RegistrationMode
from watchword.server.oauth import metadata
from watchword.server.oauth.assembly import OAuth
from watchword.server.oauth.clients import client_title
from watchword.server.oauth.commands import PREFIX, AuthorizationRequest, RefusedHere, RefusedThere
from watchword.server.oauth.decide import form_target, hinted_user, shown_user_code, user_code_in, without_prompt
from watchword.server.oauth.device_grants import Waiting
from watchword.server.oauth.doors import DEPART, REGISTER, SIGN_IN, Asked, page, signed_in, with_query
from watchword.server.oauth.sign_in import Newcomer

_SIGN_OUT = f"{PREFIX}/sign-out"
_DEVICE = f"{PREFIX}/device"

# Signing in


async def sign_in_page(asked: Asked, oauth: OAuth) -> Reply:
    if asked.visit.account is not None and not asked.form.get("again"):
        return oauth.pages.go(asked.visit, asked.next or metadata.ACCOUNT)
    hint = hinted_user(asked.form.get("login_hint"), oauth.settings.server_name)
    return _sign_in_form(asked, oauth, username=hint)


def _sign_in_form(asked: Asked, oauth: OAuth, *, username: str, complaint: str = "", status: int = 200) -> Reply:
    return oauth.pages.page(
        "sign_in",
        asked.visit,
        status=status,
        username=username,
        complaint=complaint,
        next=asked.next or "",
        has_passwords=oauth.sign_in.has_passwords,
        register=with_query(REGISTER, next=asked.next) if oauth.sign_in.takes_newcomers else None,
        providers=[
            {
                "name": name,
                "url": with_query(
                    DEPART.format(providerId=provider_id), next=asked.next, again=asked.form.get("again") or None
                ),
            }
            for provider_id, name in oauth.upstream.names
        ],
    )


async def sign_in(asked: Asked, oauth: OAuth) -> Reply:
    name = asked.form.get("username")
    try:
        account = await oauth.sign_in.by_password(asked.request, name, asked.form.get("password"))
    except LimitExceeded:
        raise
    except Refusal as refusal:
        return _sign_in_form(asked, oauth, username=name, complaint=refusal.text, status=refusal.status)
    visit = await oauth.browsers.sign_in(asked.visit, account)
    return oauth.pages.go(visit, asked.next or metadata.ACCOUNT)


async def sign_out_page(asked: Asked, oauth: OAuth) -> Reply:
    return oauth.pages.page("sign_out", asked.visit, next=asked.next or "")


async def sign_out(asked: Asked, oauth: OAuth) -> Reply:
    visit = await oauth.browsers.sign_out(asked.visit)
    if asked.next is not None:
        return oauth.pages.go(visit, asked.next)
    return oauth.pages.message(visit, "Signed out", "You are signed out of these pages. Your devices stay signed in.")


# Registering


_FROM_LINK = """
const token = new URLSearchParams(location.hash.slice(1)).get("token");
if (token) {
    document.getElementById("token").value = token;
    document.getElementById("username").focus();
    history.replaceState(null, "", location.pathname + location.search);
}
"""
"""Spares people who open an invitation link the copying of what stands in its fragment. Without scripts they copy."""


async def register_page(asked: Asked, oauth: OAuth) -> Reply:
    return _register_form(asked, oauth)


def _register_form(asked: Asked, oauth: OAuth, complaint: str = "", status: int = 200) -> Reply:
    rules = oauth.sign_in.rules
    if rules is None:
        text = "New accounts are not made at this page. Ask the administrators of this server."
        return oauth.pages.message(asked.visit, "Registration is closed", text, status=403)
    return oauth.pages.page(
        "register",
        asked.visit,
        status=status,
        script=_FROM_LINK if rules.needs_invitation else "",
        complaint=complaint,
        username=asked.form.get("username"),
        display_name=asked.form.get("display_name"),
        token=asked.form.get("token"),
        needs_invitation=rules.needs_invitation,
        policies=oauth.sign_in.policies,
        password_characters_min=oauth.accounts.settings.password_characters_min,
        next=asked.next or "",
        sign_in=with_query(SIGN_IN, next=asked.next, again="1"),
    )


async def register(asked: Asked, oauth: OAuth) -> Reply:
    form, rules = asked.form, oauth.sign_in.rules
    if rules is None:
        return _register_form(asked, oauth)
    if form.get("password") != form.get("password_again"):
        return _register_form(asked, oauth, "The two passwords are not the same.", 400)
    newcomer = Newcomer(
        form.get("username"), form.get("password"), form.get("token"), form.get("display_name"), form.get("agreed") == "yes"
    )
    mode = RegistrationMode.INVITATION if rules.needs_invitation else RegistrationMode.OPEN
    try:
        account = await oauth.sign_in.register(newcomer, mode)
    except LimitExceeded:
        raise
    except Refusal as refusal:
        return _register_form(asked, oauth, refusal.text, refusal.status)
    visit = await oauth.browsers.sign_in(asked.visit, account)
    return oauth.pages.go(visit, asked.next or metadata.ACCOUNT)


# Consent


async def authorize_page(asked: Asked, oauth: OAuth) -> Reply:
    query = asked.request.query_string
    wish = await oauth.authorizations.read(query)
    if not isinstance(wish, AuthorizationRequest):
        return _refused(asked, oauth, wish)
    here = f"{metadata.AUTHORIZE}?{without_prompt(query)}"
    if "none" in wish.prompts:
        text = "The user must be asked, which prompt=none forbids."
        return _refused(asked, oauth, RefusedThere(wish.back, "interaction_required", text))
    if "create" in wish.prompts and oauth.sign_in.takes_newcomers:
        return oauth.pages.go(asked.visit, with_query(REGISTER, next=here))
    if asked.visit.account is None or wish.prompts & {"login", "select_account"}:
        again = "1" if wish.prompts & {"login", "select_account"} else None
        return oauth.pages.go(asked.visit, with_query(SIGN_IN, next=here, login_hint=wish.login_hint, again=again))
    return oauth.pages.page(
        "consent",
        asked.visit,
        form_targets=[form_target(wish.back.redirect_uri)],
        client=wish.client.metadata,
        title=client_title(wish.client),
        device_id=wish.scope.device_id,
        is_known=await oauth.accounts.reader.device(asked.account.user_id, wish.scope.device_id) is not None,
        target=form_target(wish.back.redirect_uri),
        request=without_prompt(query),
        switch=with_query(SIGN_IN, next=here, again="1"),
    )


def _refused(asked: Asked, oauth: OAuth, wish: RefusedHere | RefusedThere) -> Reply:
    if isinstance(wish, RefusedHere):
        return oauth.pages.message(asked.visit, "This link does not work", wish.text, status=400)
    # Spec: none; RFC 9700 section 4.11.2: anybody may register a client, so an error does not send people on by itself.
    return oauth.pages.page(
        "refused",
        asked.visit,
        status=400,
        text=wish.text,
        error=wish.error,
        back=oauth.authorizations.error(wish.back, wish.error, wish.text),
        target=form_target(wish.back.redirect_uri),
    )


async def authorize(asked: Asked, oauth: OAuth) -> Reply:
    query = asked.form.get("request")
    if asked.visit.account is None:
        return oauth.pages.go(asked.visit, with_query(SIGN_IN, next=f"{metadata.AUTHORIZE}?{query}"))
    wish = await oauth.authorizations.read(query)
    if not isinstance(wish, AuthorizationRequest):
        return _refused(asked, oauth, wish)
    if asked.form.get("answer") != "allow":
        return oauth.pages.go(asked.visit, oauth.authorizations.deny(wish))
    return oauth.pages.go(asked.visit, await oauth.authorizations.allow(wish, asked.account.user_id))


# Devices without a browser


async def device_page(asked: Asked, oauth: OAuth) -> Reply:
    typed = asked.form.get("user_code")
    waiting = await oauth.device_grants.find(typed)
    if waiting is None:
        complaint = "No device waits with this code. Codes are good for a short time." if typed else ""
        return _device_form(asked, oauth, complaint, 404 if typed else 200)
    return oauth.pages.page(
        "device_consent",
        asked.visit,
        client=waiting.client.metadata,
        title=client_title(waiting.client),
        device_id=waiting.grant.scope.device_id,
        user_code=shown_user_code(waiting.user_code),
        switch=with_query(SIGN_IN, next=with_query(_DEVICE, user_code=waiting.user_code), again="1"),
    )


def _device_form(asked: Asked, oauth: OAuth, complaint: str, status: int) -> Reply:
    typed = asked.form.get("user_code")
    shown = shown_user_code(code) if (code := user_code_in(typed)) is not None else typed
    return oauth.pages.page("device_code", asked.visit, status=status, complaint=complaint, user_code=shown)


async def device(asked: Asked, oauth: OAuth) -> Reply:
    answer = asked.form.get("answer")
    if answer not in ("allow", "deny"):
        return await device_page(asked, oauth)
    waiting = await oauth.device_grants.find(asked.form.get("user_code"))
    if waiting is None or not await oauth.device_grants.answer(waiting, asked.account.user_id, allow=answer == "allow"):
        return _device_form(asked, oauth, "This device waits no more. Please start again there.", 404)
    return _device_done(asked, oauth, waiting, allowed=answer == "allow")


def _device_done(asked: Asked, oauth: OAuth, waiting: Waiting, *, allowed: bool) -> Reply:
    if not allowed:
        return oauth.pages.message(asked.visit, "Not signed in", "The device was turned away. You may close this page.")
    who = f"{client_title(waiting.client)} is signed in as {asked.account.user_id}."
    text = f"{who} Go on at your device; you may close this page."
    return oauth.pages.message(asked.visit, "Device signed in", text)


# The style sheet


async def style(request: Request, _: None, oauth: OAuth) -> Reply:
    if request.query_one("v") is None:
        raise NotFound("The style sheet is asked for by its version.")
    headers = {
        "content-type": "text/css; charset=utf-8",
        "cache-control": "public, max-age=31536000, immutable",
        "x-content-type-options": "nosniff",
    }
    return Reply(200, oauth.pages.style, headers)


_CODE = "client-server-api#authorisation-code-grant"
_WAITING = "client-server-api#device-authorisation-grant"
_OURS = "client-server-api#oauth-20-api"

ENDPOINTS = (
    page("GET", SIGN_IN, sign_in_page, spec=_OURS),
    page("POST", SIGN_IN, sign_in, rate=Rate.LOGIN, spec=_OURS),
    page("GET", _SIGN_OUT, sign_out_page, spec=_OURS),
    page("POST", _SIGN_OUT, sign_out, rate=Rate.WRITE, spec=_OURS),
    page("GET", REGISTER, register_page, spec=_OURS),
    page("POST", REGISTER, register, rate=Rate.REGISTER, spec=_OURS),
    page("GET", metadata.AUTHORIZE, authorize_page, spec=_CODE),
    page("POST", metadata.AUTHORIZE, authorize, rate=Rate.WRITE, spec=_CODE),
    page("GET", _DEVICE, signed_in(device_page), rate=Rate.LOGIN, spec=_WAITING),
    page("POST", _DEVICE, signed_in(device), rate=Rate.LOGIN, spec=_WAITING),
    Endpoint("GET", f"{PREFIX}/pages.css", style, _OURS, auth=Auth.NONE),
)
