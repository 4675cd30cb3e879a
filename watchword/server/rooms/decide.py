"""The decisions of rooms, pure: (snapshot, command) → Accepted | Refused. No I/O, no clock, no chance.

The authorisation rules of the room version have the last word (`protocol.auth_rules`); what stands before them here are the
rules of the client-server API and the sentences that a person can act on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from watchword.protocol import auth_rules, canonical_json, event_types
from watchword.protocol.auth_event_selection import auth_state_keys
from watchword.protocol.auth_state import AuthState
from watchword.protocol.events import Pdu, StateKey
from watchword.protocol.ids import EventId, RoomId, UserId, domain_of
from watchword.protocol.power_levels import PowerLevels
from watchword.protocol.relations import may_be_thread_root, thread_root
from watchword.protocol.room_versions import RoomVersion
from watchword.protocol.sticky import Sticky
from watchword.server.rooms.commands import ChangeMembership, SendEvent

MAX_DEPTH = (1 << 53) - 1
PREV_EVENTS_MAX = 20


class Membership(Protocol):
    """What decisions ask of the members."""

    @property
    def membership(self) -> Mapping[UserId, str]:
        """user → membership."""
        ...


class RoomSnapshot(Protocol):
    """What decisions ask of a room. `room.Room` fits it."""

    @property
    def room_id(self) -> RoomId: ...
    @property
    def version(self) -> RoomVersion: ...
    @property
    def members(self) -> Membership: ...
    @property
    def state(self) -> Mapping[StateKey, EventId]: ...
    @property
    def extremities(self) -> Mapping[EventId, int]: ...
    @property
    def creators(self) -> frozenset[UserId]: ...
    def auth_state(self) -> AuthState: ...


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that may be sent, before it is hashed and signed."""

    sender: UserId
    type: str
    state_key: str | None
    content: Mapping[str, Any]
    redacts: EventId | None
    origin_server_ts: int
    depth: int
    prev_events: Sequence[EventId]
    auth_events: Sequence[EventId]
    sticky: Sticky | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """Yes: this event."""

    draft: Draft


@dataclass(frozen=True, slots=True)
class Refused:
    """No: this error."""

    errcode: str
    text: str
    status: int = 403
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlreadySo:
    """Nothing to do: the room is as asked, by this event."""

    event_id: EventId


@dataclass(frozen=True, slots=True)
class Related:
    """What is known of the event that a command relates to.

    target: the event, if it is here. is_annotated: whether the sender has annotated it just so before.
    """

    target: Pdu | None = None
    is_annotated: bool = False


Decision = Accepted | Refused | AlreadySo
_UNRELATED = Related()


def send_event(
    room: RoomSnapshot, command: SendEvent, now_ms: int, redacted: Pdu | None = None, related: Related = _UNRELATED
) -> Decision:
    """Decide a message or a state event that is not a membership. redacted: the event that it redacts, if that is here."""
    if room.members.membership.get(command.sender) != "join":
        return Refused("M_FORBIDDEN", "You are not in this room.")
    refused = (
        _content_refused(room, command) or _redaction_refused(room, command, redacted) or _relation_refused(command, related)
    )
    if refused is not None:
        return refused
    draft = draft_event(room, command, now_ms if command.ts is None else command.ts)
    reason = authorise(room, draft)
    if reason is not None:
        return Refused("M_FORBIDDEN", reason)
    return Accepted(draft)


def _content_refused(room: RoomSnapshot, command: SendEvent) -> Refused | None:
    if command.type == event_types.CREATE and command.state_key is not None:
        return Refused("M_FORBIDDEN", "A room is created once.")
    if command.type == event_types.POWER_LEVELS and command.state_key == "":
        return power_levels_refused(room, command.content)
    return None


def _relation_refused(command: SendEvent, related: Related) -> Refused | None:
    """What servers do not let clients relate. What comes from other servers stands, and is left out of aggregations.

    Spec: client-server-api#avoiding-duplicate-annotations, client-server-api#validation-of-mthread-relationships
    """
    if related.is_annotated:
        return Refused("M_DUPLICATE_ANNOTATION", "You have annotated this event so already.", 400)
    target = related.target
    if target is None or target.room_id != command.room_id or may_be_thread_root(target.content):
        return None
    if thread_root(command.content) is None:
        return None
    return Refused("M_UNKNOWN", "No thread can begin at an event that relates to another.", 400)


def redacted_by(command: SendEvent, version: RoomVersion) -> EventId | None:
    """The event that a command wants redacted, whichever way it says so."""
    if command.type != event_types.REDACTION or command.redacts is not None:
        return command.redacts
    stated = command.content.get("redacts") if version.redacts_in_content else None
    return EventId(stated) if isinstance(stated, str) else None


def _redaction_refused(room: RoomSnapshot, command: SendEvent, redacted: Pdu | None) -> Refused | None:
    """One's own events, or with the level for it those of others. The rules among servers look at servers only.

    Spec: client-server-api#put_matrixclientv3roomsroomidredacteventidtxnid
    """
    if redacted is None:
        return None
    if redacted.room_id != room.room_id:
        return Refused("M_NOT_FOUND", "There is no such event in this room.", 404)
    levels = room.auth_state().power_levels
    if redacted.sender != command.sender and levels.user_level(command.sender) < levels.redact:
        return Refused("M_FORBIDDEN", "Your power level is too low to redact the events of others.")
    return None


def power_levels_refused(room: RoomSnapshot, content: Mapping[str, Any]) -> Refused | None:
    """Clients must send integers, whatever the room version would still read."""
    values: list[object] = []
    for key in ("ban", "events_default", "invite", "kick", "redact", "state_default", "users_default"):
        if key in content:
            values.append(content[key])
    for key in ("events", "users", "notifications"):
        levels = content.get(key, {})
        if not isinstance(levels, Mapping):
            return Refused("M_BAD_JSON", f"{key} must be an object.", 400)
        values.extend(levels.values())
    if any(not isinstance(value, int) or isinstance(value, bool) for value in values):
        return Refused("M_BAD_JSON", "Power levels must be integers.", 400)
    if room.version.privileged_creators and room.creators & set(content.get("users", {})):
        return Refused("M_BAD_JSON", "Creators of this room cannot be given a power level.", 400)
    return None


def change_membership(room: RoomSnapshot, command: ChangeMembership, now_ms: int) -> Decision:
    """Decide a change of membership in a room that this server is in."""
    refused = _membership_refused(room, command)
    if refused is not None:
        return refused
    content = {**command.content, "membership": command.membership}
    draft = draft_event(
        room,
        SendEvent(command.room_id, command.sender, event_types.MEMBER, content, command.target),
        now_ms,
    )
    reason = authorise(room, draft)
    if reason is not None:
        return Refused("M_FORBIDDEN", reason)
    return Accepted(draft)


def already_so(room: RoomSnapshot, command: ChangeMembership) -> AlreadySo | None:
    """Joining where one is joined and inviting who is invited change nothing."""
    now = room.members.membership.get(command.target)
    if command.action in ("join", "invite", "ban") and now == command.membership:
        return AlreadySo(room.state[(event_types.MEMBER, command.target)])
    return None


def already_set(current: Pdu | None, command: SendEvent) -> AlreadySo | None:
    """A state event that says what its sender has said there last changes nothing; nothing is sent for it."""
    if current is None or current.sender != command.sender or current.content != command.content:
        return None
    # What Python takes for equal may yet be another value: true and 1.
    is_same = canonical_json.encode(current.content, strict=False) == canonical_json.encode(command.content, strict=False)
    return AlreadySo(current.event_id) if is_same else None


def _membership_refused(room: RoomSnapshot, command: ChangeMembership) -> Refused | None:
    sender = room.members.membership.get(command.sender)
    target = room.members.membership.get(command.target)
    if command.action not in ("join", "leave", "knock") and sender != "join":
        return Refused("M_FORBIDDEN", "You are not in this room.")
    match command.action:
        case "join" if target == "ban":
            return Refused("M_FORBIDDEN", "You are banned from this room.")
        case "invite" if target == "join":
            return Refused("M_FORBIDDEN", "They are in the room already.")
        case "invite" if target == "ban":
            return Refused("M_FORBIDDEN", "They are banned from this room.")
        case "kick" if target not in ("join", "invite", "knock"):
            return Refused("M_FORBIDDEN", "They are not in this room.")
        case "unban" if target != "ban":
            return Refused("M_FORBIDDEN", "They are not banned from this room.")
        case "leave" if target not in ("join", "invite", "knock"):
            return Refused("M_FORBIDDEN", "You are not in this room.")
        case "knock" if target in ("join", "invite", "ban"):
            return Refused("M_FORBIDDEN", f"You cannot knock: your membership is {target}.")
        case "knock" if not room.version.knocking:
            return Refused("M_FORBIDDEN", "Rooms of this version do not support knocking.")
        case _:
            return None


def draft_event(room: RoomSnapshot, command: SendEvent, ts: int) -> Draft:
    """Place an event at the end of the room: what it cites and how deep it is."""
    extremities = room.extremities
    prev_events: Sequence[EventId] = tuple(extremities)
    if len(prev_events) > PREV_EVENTS_MAX:
        prev_events = tuple(sorted(extremities, key=lambda event_id: (-extremities[event_id], event_id))[:PREV_EVENTS_MAX])
    depth = min(max(extremities.values(), default=0) + 1, MAX_DEPTH)
    keys = auth_state_keys(command.type, command.state_key, command.sender, command.content, room.version)
    return Draft(
        command.sender,
        command.type,
        command.state_key,
        command.content,
        command.redacts,
        ts,
        depth,
        prev_events,
        tuple(room.state[key] for key in keys if key in room.state),
        command.sticky,
    )


def authorise(room: RoomSnapshot, draft: Draft) -> str | None:
    """Ask the room version's rules whether the current state allows the event; None if so, else the reason."""
    pdu = Pdu(
        EventId(f"$:{domain_of(draft.sender)}"),
        room.room_id,
        draft.sender,
        draft.type,
        draft.state_key,
        draft.content,
        draft.origin_server_ts,
        draft.depth,
        draft.prev_events,
        draft.auth_events,
        {},
        draft.redacts,
    )
    return auth_rules.check(pdu, room.auth_state())


def redacts_events(pdu: Pdu, levels: PowerLevels) -> bool:
    """Whether a member event takes what its target said with it: a kick or ban by somebody who may redact, and says so."""
    if pdu.content.get("membership") not in ("leave", "ban") or pdu.sender == pdu.state_key:
        return False
    if not any(pdu.content.get(name) is True for name in ("redact_events", "org.matrix.msc4293.redact_events")):
        return False
    return levels.user_level(pdu.sender) >= max(levels.redact, levels.events.get(event_types.REDACTION, levels.redact))
