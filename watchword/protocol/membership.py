"""The words of membership, and why a change of membership is refused, in the words of the client who asks.

The authorisation rules alone decide (`auth_rules`); the sentences here come before them, so that a client hears what is
wrong with its request rather than which rule its event broke. Deliberately absent: restricted joins, which need look-ups.

Spec: client-server-api#room-membership
"""

from watchword.protocol.auth_state import AuthState
from watchword.protocol.ids import UserId

INVITE = "invite"
JOIN = "join"
KNOCK = "knock"
LEAVE = "leave"
BAN = "ban"


def refusal_to_invite(state: AuthState, sender: UserId, target: UserId) -> str | None:
    """Why `sender` may not invite `target`, or None."""
    if state.membership_of(sender) != JOIN:
        return "You are not in this room."
    membership = state.membership_of(target)
    if membership == BAN:
        return "This user is banned from the room."
    if membership == JOIN:
        return "This user is already in the room."
    if state.power_levels.user_level(sender) < state.power_levels.invite:
        return "Your power level is too low to invite."
    return None


def refusal_to_kick(state: AuthState, sender: UserId, target: UserId) -> str | None:
    """Why `sender` may not remove `target` from the room, retract the invite, or refuse the knock, or None."""
    if state.membership_of(sender) != JOIN:
        return "You are not in this room."
    if state.membership_of(target) not in (JOIN, INVITE, KNOCK):
        return "This user is not in the room."
    if state.power_levels.user_level(sender) < state.power_levels.kick:
        return "Your power level is too low to remove users."
    return _refusal_by_rank(state, sender, target)


def refusal_to_ban(state: AuthState, sender: UserId, target: UserId) -> str | None:
    """Why `sender` may not ban `target`, or None."""
    if state.membership_of(sender) != JOIN:
        return "You are not in this room."
    if state.power_levels.user_level(sender) < state.power_levels.ban:
        return "Your power level is too low to ban users."
    return _refusal_by_rank(state, sender, target)


def refusal_to_unban(state: AuthState, sender: UserId, target: UserId) -> str | None:
    """Why `sender` may not lift the ban of `target`, or None. It needs the levels of both ban and kick."""
    if state.membership_of(sender) != JOIN:
        return "You are not in this room."
    if state.membership_of(target) != BAN:
        return "This user is not banned from the room."
    levels = state.power_levels
    if levels.user_level(sender) < max(levels.ban, levels.kick):
        return "Your power level is too low to lift bans."
    return _refusal_by_rank(state, sender, target)


def refusal_to_knock(state: AuthState, sender: UserId) -> str | None:
    """Why `sender` may not knock, or None."""
    if not state.version.knocking:
        return "This room's version does not know knocking."
    membership = state.membership_of(sender)
    if membership == JOIN:
        return "You are already in this room."
    if membership == INVITE:
        return "You are already invited to this room."
    if membership == BAN:
        return "You are banned from this room."
    if not state.allows_knocking:
        return "This room does not accept knocks."
    return None


def refusal_to_leave(state: AuthState, sender: UserId) -> str | None:
    """Why `sender` cannot leave, reject an invite or retract a knock, or None."""
    if state.membership_of(sender) not in (JOIN, INVITE, KNOCK):
        return "You are not in this room."
    return None


def refusal_to_join(state: AuthState, sender: UserId) -> str | None:
    """Why `sender` cannot join whatever conditions of a restricted room are met, or None if it depends on those or may be."""
    membership = state.membership_of(sender)
    if membership == BAN:
        return "You are banned from this room."
    if membership in (JOIN, INVITE) or state.join_rule == "public" or state.allows_restricted_joins:
        return None
    return "You are not invited to this room."


def _refusal_by_rank(state: AuthState, sender: UserId, target: UserId) -> str | None:
    if state.power_levels.user_level(target) >= state.power_levels.user_level(sender):
        return "This user's power level is not below yours."
    return None
