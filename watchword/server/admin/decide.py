"""Whether an administrator may do something to an account. Pure: that he is one was asked before anything was looked up."""

from dataclasses import dataclass

from watchword.base.errors import Refused
from watchword.server.accounts.commands import Account


@dataclass(frozen=True, slots=True)
class Reach:
    """To whom something may be done beside ordinary users: to oneself, to other administrators, to who is deactivated."""

    self_too: bool = False
    admins_too: bool = False
    gone_too: bool = False


ANYBODY = Reach(self_too=True, admins_too=True, gone_too=True)
OTHERS = Reach()
ONESELF_TOO = Reach(self_too=True)
ADMINS_TOO = Reach(admins_too=True)


def target_refusal(reach: Reach, *, is_local: bool, is_self: bool, target: Account | None) -> Refused | None:
    """Why this cannot be done to this account; None if it can.

    What takes an account from its owner is not done to another administrator: who wants that takes his right from him
    first, and the audit log shows it.
    """
    if not is_local:
        return Refused("M_INVALID_PARAM", "This user is not of this server.")
    if target is None:
        return Refused("M_NOT_FOUND", "There is no such user.", status=404)
    if is_self and not reach.self_too:
        return Refused("M_FORBIDDEN", "Nobody may do this to himself.", status=403)
    if target.is_deactivated and not reach.gone_too:
        return Refused("M_NOT_FOUND", "This account is deactivated.", status=404)
    if target.is_admin and not is_self and not reach.admins_too:
        return Refused("M_FORBIDDEN", "This cannot be done to another administrator.", status=403)
    return None
