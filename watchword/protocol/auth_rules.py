"""The authorisation rules: whether an event is allowed in a room state. All room versions; what differs is a flag.

A reason is one sentence; None means allowed. Bad content is a reason, never an exception. Rules on m.room.member are in
`auth_membership`, on m.room.power_levels in `auth_power_levels`.
Deliberately absent: signatures, and which state to check
against: an event is checked against its own auth events, the state before it, and the current state, by the caller.

Spec: server-server-api#authorization-rules, rooms/v1#authorization-rules, rooms/v12#authorization-rules
"""

from collections.abc import Collection, Mapping, Sequence

from watchword.protocol import event_types
from watchword.protocol.auth_event_selection import auth_state_keys
from watchword.protocol.auth_membership import check_membership
from watchword.protocol.auth_power_levels import check_power_levels, is_user_id
from watchword.protocol.auth_state import AuthState
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId, domain_of, room_id_of_create
from watchword.protocol.power_levels import PowerLevels
from watchword.protocol.room_versions import ROOM_VERSIONS, RoomVersion


def check_auth(pdu: Pdu, state: Mapping[StateKey, Pdu], version: RoomVersion) -> str | None:
    """Why this event is not allowed in this room state, or None.

    state: at least the events at `auth_state_keys`, as far as they exist, and always m.room.create.
    For many events in one state build an `AuthState` once and call `check`.
    """
    return check(pdu, AuthState.of(state, version))


def check(pdu: Pdu, state: AuthState) -> str | None:
    """Why this event is not allowed in this room state, or None. A typical message costs about a microsecond."""
    event_type = pdu.type
    if event_type == event_types.CREATE:
        return check_create(pdu, state.version)
    if state.room_id is None:
        return "The room has no create event."
    if pdu.room_id != state.room_id:
        return "The event is in another room than the create event."
    if state.only_local is not None and domain_of(pdu.sender) != state.only_local:
        return "The room does not federate, and the sender is on another server."
    if event_type == event_types.MEMBER:
        return check_membership(pdu, state)
    if event_type == event_types.ALIASES and state.version.aliases_auth_rule:
        return _check_aliases(pdu)
    if state.membership_of(pdu.sender) != "join":
        return "The sender is not in the room."
    return _check_by_level(pdu, state)


def _check_by_level(pdu: Pdu, state: AuthState) -> str | None:
    levels = state.power_levels
    event_type, state_key = pdu.type, pdu.state_key
    sender_level = levels.user_level(pdu.sender)
    if event_type == event_types.THIRD_PARTY_INVITE:
        return None if sender_level >= levels.invite else "The sender's power level is too low to invite."
    if sender_level < levels.required_to_send(event_type, state_key is not None):
        return "The sender's power level is too low for this type of event."
    if state_key is not None and state_key.startswith("@") and state_key != pdu.sender:
        return "The state key is the ID of another user."
    if event_type == event_types.POWER_LEVELS:
        return check_power_levels(pdu, state)
    if event_type == event_types.REDACTION and state.version.redactions_in_auth_rules:
        return _check_redaction(pdu, levels)
    return None


def check_create(pdu: Pdu, version: RoomVersion) -> str | None:
    """Why this event cannot begin a room, or None."""
    if pdu.state_key != "":
        return "A create event needs the empty state key."
    if pdu.prev_events:
        return "A create event has no previous events."
    if version.room_id_is_create_hash:
        if "room_id" in pdu.json:
            return "A create event has no room ID in this room version."
    elif domain_of(pdu.room_id) != domain_of(pdu.sender):
        return "The room ID is of another server than the sender's."
    named = pdu.content.get("room_version", version.identifier)
    if not isinstance(named, str) or named not in ROOM_VERSIONS:
        return "The room version is unknown."
    if version.creator_in_content and "creator" not in pdu.content:
        return "The create event does not name the creator."
    if version.privileged_creators and not _are_user_ids(pdu.content.get("additional_creators", [])):
        return "additional_creators is not a list of user IDs."
    return None


def check_auth_events(
    pdu: Pdu, auth_events: Sequence[Pdu], version: RoomVersion, create: Pdu, rejected: Collection[EventId] = ()
) -> str | None:
    """Why this event's own auth events are not what they must be, or None.

    auth_events: the events that it cites, all of them. create: the create event of its room; in version 12 the one its
    room ID names. rejected: IDs of events that were rejected (failing their own auth events or the state before them).
    Spec: rooms/v11#authorization-rules (rule 2), rooms/v12#authorization-rules (rules 2 and 3)
    """
    if pdu.type == event_types.CREATE:
        return "A create event has no auth events." if auth_events else None
    if version.room_id_is_create_hash and (
        create.type != event_types.CREATE or pdu.room_id != room_id_of_create(create.event_id) or create.event_id in rejected
    ):
        return "The room ID does not name an accepted create event."
    expected = set(auth_state_keys(pdu.type, pdu.state_key, pdu.sender, pdu.content, version))
    seen: set[StateKey | None] = set()
    for event in auth_events:
        key = event.state_address
        if key in seen:
            return "Two auth events have the same type and state key."
        seen.add(key)
        if key not in expected:
            return "An auth event is not among those that this event needs."
        if event.event_id in rejected:
            return "An auth event was rejected."
        if event.room_id != pdu.room_id:
            return "An auth event is in another room."
    if not version.room_id_is_create_hash and (event_types.CREATE, "") not in seen:
        return "The create event is not among the auth events."
    return None


def may_redact(redaction: Pdu, target: Pdu, levels: PowerLevels, version: RoomVersion) -> bool:
    """Whether a redaction takes effect on its target. levels: those of the state before the redaction.

    In versions 1 and 2 the authorisation rules ask the same, of event IDs.
    Spec: rooms/v3#handling-redactions, rooms/v1#authorization-rules (rule 11)
    """
    if redaction.room_id != target.room_id or redaction.redacts != target.event_id:
        return False
    if version.redactions_in_auth_rules:
        return _check_redaction(redaction, levels) is None
    if levels.user_level(redaction.sender) >= levels.redact:
        return True
    return domain_of(redaction.sender) == domain_of(target.sender)


def _check_redaction(pdu: Pdu, levels: PowerLevels) -> str | None:
    if levels.user_level(pdu.sender) >= levels.redact:
        return None
    if pdu.redacts is not None and domain_of(pdu.redacts) == domain_of(pdu.event_id) != "":
        return None
    return "The sender's power level is too low to redact events of other servers."


def _check_aliases(pdu: Pdu) -> str | None:
    if pdu.state_key is None:
        return "An aliases event needs a state key."
    if pdu.state_key != domain_of(pdu.sender):
        return "The state key is not the sender's server."
    return None


def _are_user_ids(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(entry, str) and is_user_id(entry) for entry in value)
