"""The page that ends digests by mail. Whoever has the link may end them, and nothing else.

Opening the link ends nothing yet, because programs that look for viruses open links too; programs that read mail may send
the form by themselves (RFC 8058).
"""

from watchword.base import limits
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.server.accounts.web_pages import alert, body_of, page
from watchword.server.push.assembly import Push
from watchword.server.push.commands import Removed
from watchword.server.push.digest_mails import UNSUBSCRIBE_PATH

_TITLE = "No more mails"
_STALE = "This link is not good any more: these mails have ended already."


async def show_page(request: Request, _: None, push: Push) -> Reply:
    if await push.pushers.of_token(request.query_one("token") or "") is None:
        return page(_TITLE, alert(_STALE), 404)
    # The form goes to where the page is, the token included.
    return page(_TITLE, "<p>Get no more mails about unread messages?</p><form method='post'><button>Yes</button></form>")


async def unsubscribe(request: Request, _: None, push: Push) -> Reply:
    # What the form says does not matter, but it is to be read.
    await body_of(request, limits.digest_form_bytes_max)
    pusher = await push.pushers.of_token(request.query_one("token") or "")
    if pusher is None:
        return page(_TITLE, alert(_STALE), 404)
    await push.pushers.delete(pusher.key, Removed.UNSUBSCRIBED)
    return page(_TITLE, "<p>You will get no more of these mails. You can switch them on again in your application.</p>")


ENDPOINTS = (
    Endpoint("GET", UNSUBSCRIBE_PATH, show_page, "", auth=Auth.NONE, rate=Rate.READ),
    Endpoint("POST", UNSUBSCRIBE_PATH, unsubscribe, "", auth=Auth.NONE, rate=Rate.LOGIN, body=Body.STREAM),
)
