"""What every page has in common: the rate, the browser, the form that must be ours, and refusals shown as pages."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from watchword.base import limits
from watchword.base.errors import Refusal
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.server.accounts.commands import Account
from watchword.server.oauth.assembly import OAuth
from watchword.server.oauth.browsers import Visit
from watchword.server.oauth.commands import PREFIX
from watchword.server.oauth.decide import next_path
from watchword.server.oauth.forms import Form, read_form

SIGN_IN = f"{PREFIX}/sign-in"
REGISTER = f"{PREFIX}/register"
DEPART = f"{PREFIX}/upstream/start/{{providerId}}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A page that is asked for, or a form that was sent. form: of a GET, its query."""

    request: Request
    visit: Visit
    form: Form

    @property
    def next(self) -> str | None:
        """Where to go on."""
        return next_path(self.form.get("next"))

    @property
    def account(self) -> Account:
        """Who is signed in, on pages that need it."""
        assert self.visit.account is not None
        return self.visit.account


PageHandler = Callable[[Asked, OAuth], Awaitable[Reply]]


def page(method: str, path: str, handler: PageHandler, *, rate: Rate = Rate.READ, spec: str = "") -> Endpoint:
    """A row for a page. The rate is taken here and not by the router, so that a refusal is a page as well."""

    async def door(request: Request, _: None, oauth: OAuth) -> Reply:
        visit = Visit("", is_new=False)
        try:
            oauth.limiter.take(rate, request.client_network)
            visit = await oauth.browsers.visit(request)
            if request.method == "POST":
                form = await read_form(request)
                visit.check(request, form)
            else:
                form = Form(request.query)
            return await handler(Asked(request, visit, form), oauth)
        except Refusal as refusal:
            if request.path.startswith("/_matrix/") and "text/html" not in request.headers.get("accept", ""):
                # No browser asks: the operations of the specification have its error bodies.
                raise
            return oauth.pages.sorry(visit, refusal)

    body = Body.STREAM if method == "POST" else Body.NONE
    return Endpoint(
        method, path, door, spec, auth=Auth.NONE, rate=Rate.NONE, body=body, body_bytes_max=limits.oauth_form_bytes_max
    )


def signed_in(handler: PageHandler) -> PageHandler:
    """The same page for somebody who is signed in; others sign in first."""

    async def door(asked: Asked, oauth: OAuth) -> Reply:
        if asked.visit.account is None:
            here = asked.request.target if asked.request.method == "GET" else asked.request.path
            return oauth.pages.go(asked.visit, with_query(SIGN_IN, next=here))
        return await handler(asked, oauth)

    return door


def with_query(path: str, **query: str | None) -> str:
    """A path of ours with a query; what is None is left out."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path
