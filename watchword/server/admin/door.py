"""The one gate of administration: every row of its tables is made here, so that none can be without it.

Who asks must be an administrator, with a session of his own; that is looked at before anything else. Then what he does is
written into the audit log, and what he looks at, too.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from watchword.base.clock import Clock
from watchword.base.errors import Forbidden
from watchword.edge.auditing import Deed, Entry
from watchword.edge.endpoint import Body, Endpoint, Rate
from watchword.edge.replies import Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import UserId
from watchword.server.accounts.invitations import Invitations
from watchword.server.admin.audit import AuditLog
from watchword.server.admin.ports import Notices
from watchword.server.admin.rooms import RoomDesk
from watchword.server.admin.statistics import Statistics
from watchword.server.admin.users import Users
from watchword.server.federation.backoff import Backoff
from watchword.server.media.inventory import Inventory
from watchword.server.media.removal import Removal as MediaRemoval
from watchword.server.moderation.queue import ReportQueue
from watchword.server.moderation.rejections import Rejections

OURS = "/_watchword/client/v1/admin"
KNOWN = "/_synapse/admin"


@dataclass(frozen=True)
class Admin:
    """The services behind the doors. base_url: of links in invitations; invitation_lifetime_ms: of those that do not say."""

    server_name: str
    base_url: str
    invitation_lifetime_ms: int
    clock: Clock
    audit: AuditLog
    users: Users
    invitations: Invitations
    rooms: RoomDesk
    media: MediaRemoval
    inventory: Inventory
    reports: ReportQueue
    rejections: Rejections
    destinations: Backoff
    notices: Notices
    statistics: Statistics


@dataclass(frozen=True, slots=True)
class Call:
    """A request of an administrator. entry: what the audit log will say of it, to be written with its effect."""

    request: Request
    requester: Requester
    entry: Entry

    @property
    def by(self) -> UserId:
        """Who asks."""
        return self.requester.user_id


Work = Callable[[Call, Admin], Awaitable[Reply]]


def _deed(request: Request, requester: Requester, action: str, *, names: bool = True) -> Deed:
    """Raises Forbidden, before anything is known of what was asked for. names: whether the path names whom it concerns."""
    if not requester.is_admin:
        raise Forbidden("Only administrators of this server may do this.")
    whom = next(iter(request.params.values()), "") if names else ""
    return Deed.asked(request, requester.user_id, action, whom)


def act(method: str, path: str, action: str, work: Work, body: Body = Body.OPTIONAL_JSON, *, names: bool = True) -> Endpoint:
    """A row that does something. action: its name in the audit log. names: whether the path may be shown there."""

    async def gated(request: Request, requester: Requester, admin: Admin) -> Reply:
        deed = _deed(request, requester, action, names=names)
        async with admin.audit.act(deed) as entry:
            return await work(Call(request, requester, entry), admin)

    return Endpoint(method, path, gated, "", rate=Rate.WRITE, body=body)


def steps(method: str, path: str, work: Callable[[Request, Requester, Admin], Awaitable[Reply]], body: Body) -> Endpoint:
    """A row that does several things, each of which makes its own entry."""

    async def gated(request: Request, requester: Requester, admin: Admin) -> Reply:
        _deed(request, requester, "")
        return await work(request, requester, admin)

    return Endpoint(method, path, gated, "", rate=Rate.WRITE, body=body)


def look(path: str, action: str, work: Work, *, names: bool = True) -> Endpoint:
    """A row that shows something. action: its name in the audit log. names: whether the path may be shown there."""

    async def gated(request: Request, requester: Requester, admin: Admin) -> Reply:
        entry = admin.audit.entry(_deed(request, requester, action, names=names))
        reply = await work(Call(request, requester, entry), admin)
        await admin.audit.seen(entry)
        return reply

    return Endpoint("GET", path, gated, "")
