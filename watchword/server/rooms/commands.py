"""What may be wanted of a room. Frozen; made at the door, decided in `decide.py`, carried out by `writer.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.sticky import Sticky

DELAYED = "delayed_event"
"""The endpoint in the transactions of events that were kept until their time; their transaction ID is the `delay_id`."""


class Transaction(msgspec.Struct, frozen=True):
    """Identifies a client's request, so that repeating it does not repeat the event.

    Scope is the device and the endpoint. Spec: client-server-api#transaction-identifiers
    """

    user_id: UserId
    device_id: str
    endpoint: str
    txn_id: str


@dataclass(frozen=True, slots=True)
class SendEvent:
    """Send an event; state if state_key is not None. ts: only application services choose it."""

    room_id: RoomId
    sender: UserId
    type: str
    content: Mapping[str, Any]
    state_key: str | None = None
    redacts: EventId | None = None
    transaction: Transaction | None = None
    ts: int | None = None
    sticky: Sticky | None = None


@dataclass(frozen=True, slots=True)
class LaterEvent:
    """An event to be sent later, as a client asks for it. content: as the client gave it; delay_ms: at least 1."""

    room_id: RoomId
    type: str
    content: Mapping[str, Any]
    delay_ms: int
    state_key: str | None = None
    transaction: Transaction | None = None
    ts: int | None = None
    sticky: Sticky | None = None


@dataclass(frozen=True, slots=True)
class ChangeMembership:
    """Join, invite, leave, kick, ban, unban or knock: sender makes target's membership so.

    action: the word of the endpoint. content: what else the member event carries (display name, reason …).
    """

    room_id: RoomId
    sender: UserId
    target: UserId
    action: str
    content: Mapping[str, Any] = field(default_factory=dict)
    transaction: Transaction | None = None

    @property
    def membership(self) -> str:
        """The membership that the action leads to."""
        return {"kick": "leave", "unban": "leave"}.get(self.action, self.action)


@dataclass(frozen=True, slots=True)
class CreateRoom:
    """Make a room. Spec: client-server-api#post_matrixclientv3createroom

    creator_profile: the keys that the creator's own member event carries. version: known to be supported.
    event_levels: what this server's rooms ask for beside the usual, by event type.
    """

    creator: UserId
    version: str
    preset: str
    is_public: bool = False
    alias: str | None = None
    name: str | None = None
    topic: str | None = None
    invite: Sequence[UserId] = ()
    is_direct: bool = False
    creation_content: Mapping[str, Any] = field(default_factory=dict)
    initial_state: Sequence[tuple[str, str, Mapping[str, Any]]] = ()
    power_level_override: Mapping[str, Any] = field(default_factory=dict)
    creator_profile: Mapping[str, Any] = field(default_factory=dict)
    extra_invite_content: Mapping[UserId, Mapping[str, Any]] = field(default_factory=dict)
    event_levels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpgradeRoom:
    """Replace a room by one of another version. additional_creators counts only where creators stand above all.

    version: known to be supported. creator_profile: the keys that the member event in the new room carries.
    Spec: client-server-api#post_matrixclientv3roomsroomidupgrade
    """

    room_id: RoomId
    sender: UserId
    version: str
    additional_creators: Sequence[UserId] = ()
    creator_profile: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InviteAddress:
    """Invite whoever has an e-mail address or a telephone number. Spec: client-server-api#third-party-invites

    id_server: the name of an identity server; id_access_token: the inviting user's account there, secret.
    """

    room_id: RoomId
    sender: UserId
    medium: str
    address: str
    id_server: str
    id_access_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PromisedInvite:
    """An invite that waited for an address, now that target owns it. signed: the identity server's word for that."""

    room_id: RoomId
    sender: UserId
    target: UserId
    signed: Mapping[str, Any]
