"""Whether a local user takes an invite, asked before it is made or signed. What it says to whoever invites.

Spec: client-server-api#minvite_permission_config
"""

from watchword.base.errors import Forbidden
from watchword.protocol.ids import UserId
from watchword.protocol.invite_permission import Verdict
from watchword.server.accounts.reader import AccountReader

BLOCKED = "M_INVITE_BLOCKED"
_BLOCKED_BY_FILTER = "ORG.MATRIX.MSC4155.M_INVITE_BLOCKED"


async def check_permission(accounts: AccountReader, target: UserId, sender: UserId) -> None:
    """Raise Forbidden if this local user takes no invites from that sender."""
    match (await accounts.invite_permission(target)).judge(sender):
        case Verdict.BLOCK:
            raise Forbidden("They take no invites from you.", BLOCKED)
        case Verdict.BLOCK_BY_FILTER:
            raise Forbidden("They take no invites from you.", _BLOCKED_BY_FILTER)
        case Verdict.ALLOW | Verdict.IGNORE:
            pass
