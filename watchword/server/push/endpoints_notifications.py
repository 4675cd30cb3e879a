"""The door of the list of notifications."""

from watchword.base import limits
from watchword.edge.endpoint import Endpoint
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.push.assembly import Push
from watchword.server.push.notifications import NotificationQuery
from watchword.server.rooms.tokens import parse_sync_token, sync_token
from watchword.server.rooms.view import Reader


async def get_notifications(request: Request, requester: Requester, push: Push) -> Reply:
    token = request.query_one("from")
    query = NotificationQuery(
        reader=Reader(requester.user_id, requester.device_id),
        before=None if not token else parse_sync_token(token),
        limit=request.query_int("limit", limits.notifications_page_default, least=1, most=limits.notifications_page_max),
        only_highlights=request.query_one("only") == "highlight",
    )
    page, end = await push.notifications.page(query)
    body = b'{"notifications":[' + b",".join(page) + b"]"
    if end is not None:
        body += b',"next_token":"%b"' % sync_token(end).encode()
    return Reply.encoded(body + b"}")


ENDPOINTS = (
    Endpoint(
        "GET",
        "/_matrix/client/v3/notifications",
        get_notifications,
        "client-server-api#get_matrixclientv3notifications",
    ),
)
