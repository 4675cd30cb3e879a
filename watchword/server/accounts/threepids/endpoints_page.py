"""Where the token of a message is brought: the page behind the link of a mail, and the door for codes typed into a client.

Opening the link shows a page with one button and proves nothing yet: programs that look for viruses open links too.
"""

from html import escape
from urllib.parse import urlsplit

from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.edge.bodies import json_object
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.server.accounts.assembly import Accounts
from watchword.server.accounts.threepids.commands import Purpose, Validation
from watchword.server.accounts.threepids.decide import goes_straight_on
from watchword.server.accounts.threepids.proofs import SUBMIT_PATH
from watchword.server.accounts.web_pages import alert, body_of, form_in, hidden, page, redirect

_TITLE = "Confirm your address"
_STALE = "This link is not good any more. Begin again in your application."
_NOTES = {
    Purpose.ADD: "This adds the address to your account.",
    Purpose.REGISTER: "This goes on with making your account.",
    Purpose.RESET: "This lets your application choose a new password. Go on only if you asked for it.",
}


async def show_page(request: Request, _: None, accounts: Accounts) -> Reply:
    sid, token = request.query_one("sid") or "", request.query_one("token") or ""
    found = await accounts.threepids.proofs.shown(sid, token)
    if found is None:
        return page(_TITLE, alert(_STALE), 400)
    form = f'<form method="post" action="{SUBMIT_PATH}">{hidden({"sid": sid, "token": token})}<button>Confirm</button></form>'
    body = f"<p>{escape(found.threepid.address)}</p><p>{_NOTES[found.purpose]}</p>{form}"
    return page(_TITLE, body, form_action=_form_action(found, accounts))


def _form_action(found: Validation, accounts: Accounts) -> str:
    # Browsers hold the redirect after a form to this rule as well.
    if found.next_link is None or not goes_straight_on(found.next_link, accounts.settings.threepids.next_link_hosts):
        return "'self'"
    parts = urlsplit(found.next_link)
    return f"'self' {parts.scheme}://{parts.netloc}"


async def take_token(request: Request, _: None, accounts: Accounts) -> Reply:
    """From a client (JSON) or from our page (a form)."""
    body = await body_of(request, limits.threepid_form_bytes_max)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return await _from_client(body, accounts)
    form = form_in(body)
    try:
        found = await accounts.threepids.proofs.submit(form.get("sid", ""), None, form.get("token", ""))
    except BadRequest:
        return page(_TITLE, alert(_STALE), 400)
    if found.next_link is None:
        return page("Thank you", "<p>You may close this window and go back to your application.</p>")
    if goes_straight_on(found.next_link, accounts.settings.threepids.next_link_hosts):
        return redirect(found.next_link)
    link = escape(found.next_link)
    return page("Thank you", f'<p>Go on to <a rel="noreferrer" href="{link}">{link}</a></p>')


async def _from_client(body: bytes, accounts: Accounts) -> Reply:
    asked = json_object(body)
    values = []
    for name in ("sid", "client_secret", "token"):
        if name not in asked:
            raise BadRequest("M_MISSING_PARAM", f"{name} is missing.")
        if not isinstance(asked[name], str):
            raise BadRequest("M_BAD_JSON", f"{name} must be a string.")
        values.append(asked[name])
    await accounts.threepids.proofs.submit(values[0], values[1], values[2].strip())
    return Reply.json({"success": True})


ENDPOINTS = (
    Endpoint("GET", SUBMIT_PATH, show_page, "", auth=Auth.NONE, rate=Rate.READ),
    Endpoint("POST", SUBMIT_PATH, take_token, "", auth=Auth.NONE, rate=Rate.LOGIN, body=Body.STREAM),
)
