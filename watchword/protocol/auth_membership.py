"""Authorisation rules of m.room.member: join, invite, leave, ban, knock.

A reason is one sentence; None means allowed. Deliberately absent: signatures of servers, also that of the server of
`join_authorised_via_users_server` (`signatures.required_signers`).

Spec: rooms/v12#authorization-rules (rule 5), rooms/v1#authorization-rules (rule 5)
"""

from watchword.protocol import third_party_invites
from watchword.protocol.auth_state import AuthState
from watchword.protocol.events import Pdu
from watchword.protocol.ids import UserId
from watchword.protocol.power_levels import creators_of


def check_membership(pdu: Pdu, state: AuthState) -> str | None:
    """Why this member event is not allowed in this room state, or None."""
    membership = pdu.content.get("membership")
    if pdu.state_key is None:
        return "A member event needs a state key."
    target = UserId(pdu.state_key)
    if not isinstance(membership, str):
        return "A member event needs a membership."
    if state.version.restricted_joins:
        authoriser = pdu.content.get("join_authorised_via_users_server", "")
        if not isinstance(authoriser, str):
            return "join_authorised_via_users_server is not a user ID."
    match membership:
        case "join":
            return _check_join(pdu, target, state)
        case "invite":
            return _check_invite(pdu, target, state)
        case "leave":
            return _check_leave(pdu, target, state)
        case "ban":
            return _check_ban(pdu, target, state)
        case "knock" if state.version.knocking:
            return _check_knock(pdu, target, state)
    return "The membership is unknown in this room version."


def _check_join(pdu: Pdu, target: UserId, state: AuthState) -> str | None:
    if _is_first_join(pdu, target, state):
        return None
    if pdu.sender != target:
        return "Nobody can join for someone else."
    membership = state.membership_of(target)
    if membership == "ban":
        return "The sender is banned."
    rule = state.join_rule
    if rule == "public":
        return None
    if rule == "invite" or state.allows_knocking or state.allows_restricted_joins:
        if membership in ("invite", "join"):
            return None
        if state.allows_restricted_joins:
            return _check_authoriser(pdu, state)
        return "The sender is not invited."
    return "The join rule is unknown in this room version."


def _is_first_join(pdu: Pdu, target: UserId, state: AuthState) -> bool:
    """The creator's join right after the create event. Version 12: only its sender, not the additional creators."""
    create = state.create
    if create is None or len(pdu.prev_events) != 1 or pdu.prev_events[0] != create.event_id:
        return False
    return creators_of(create, state.version)[:1] == (target,)


def _check_authoriser(pdu: Pdu, state: AuthState) -> str | None:
    authoriser: UserId | None = pdu.content.get("join_authorised_via_users_server")
    if authoriser is None:
        return "The join rule is restricted, and nobody in the room authorised the join."
    if state.membership_of(authoriser) != "join":
        return "The user who authorised the join is not in the room."
    if state.power_levels.user_level(authoriser) < state.power_levels.invite:
        return "The user who authorised the join may not invite."
    return None


def _check_invite(pdu: Pdu, target: UserId, state: AuthState) -> str | None:
    membership = state.membership_of(target)
    if "third_party_invite" in pdu.content:
        if membership == "ban":
            return "The invited user is banned."
        return third_party_invites.check(pdu, target, state)
    if state.membership_of(pdu.sender) != "join":
        return "The sender is not in the room."
    if membership in ("join", "ban"):
        return "The invited user is joined or banned already."
    if state.power_levels.user_level(pdu.sender) < state.power_levels.invite:
        return "The sender's power level is too low to invite."
    return None


def _check_leave(pdu: Pdu, target: UserId, state: AuthState) -> str | None:
    membership = state.membership_of(target)
    if pdu.sender == target:
        if membership in ("invite", "join") or (membership == "knock" and state.version.knocking):
            return None
        return "The sender is not in the room and cannot leave it."
    if state.membership_of(pdu.sender) != "join":
        return "The sender is not in the room."
    levels = state.power_levels
    sender_level = levels.user_level(pdu.sender)
    if membership == "ban" and sender_level < levels.ban:
        return "The sender's power level is too low to lift a ban."
    if sender_level < levels.kick:
        return "The sender's power level is too low to remove users."
    if levels.user_level(target) >= sender_level:
        return "The removed user's power level is not below the sender's."
    return None


def _check_ban(pdu: Pdu, target: UserId, state: AuthState) -> str | None:
    if state.membership_of(pdu.sender) != "join":
        return "The sender is not in the room."
    levels = state.power_levels
    sender_level = levels.user_level(pdu.sender)
    if sender_level < levels.ban:
        return "The sender's power level is too low to ban."
    if levels.user_level(target) >= sender_level:
        return "The banned user's power level is not below the sender's."
    return None


def _check_knock(pdu: Pdu, target: UserId, state: AuthState) -> str | None:
    if not state.allows_knocking:
        return "The join rule does not allow knocking."
    if pdu.sender != target:
        return "Nobody can knock for someone else."
    if state.membership_of(target) in ("ban", "invite", "join"):
        return "The sender is joined, invited or banned and cannot knock."
    return None
