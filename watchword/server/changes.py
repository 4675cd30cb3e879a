"""The closed list of Changes that a homeserver's log can carry. Followers match on it exhaustively.

A Change says that something became true and names it; it does not carry what a reader can look up.
"""

import msgspec

from watchword.protocol.ids import DeviceId, EventId, RoomId, ServerName, UserId


class EventAppended(msgspec.Struct, frozen=True, tag_field="kind", tag="event", array_like=True):
    """A new event in a room's timeline here (also a soft-failed one's absence: those are stored, not logged).

    state_key: "" and None differ: None is no state. sender_is_local: this server made it, and must send it out.
    membership: for m.room.member events, else None.
    """

    room_id: RoomId
    event_id: EventId
    type: str
    state_key: str | None
    sender: UserId
    sender_is_local: bool
    membership: str | None = None


class StateChanged(msgspec.Struct, frozen=True, tag_field="kind", tag="state", array_like=True):
    """State resolution changed a room's current state without a timeline event (or a partial join was completed)."""

    room_id: RoomId
    event_ids: list[EventId]


class OutOfBandMembership(msgspec.Struct, frozen=True, tag_field="kind", tag="oob", array_like=True):
    """A local user's membership in a room that this server is not in: an invite, a knock, or its end."""

    room_id: RoomId
    user_id: UserId
    membership: str
    event_id: EventId


class ReceiptChanged(msgspec.Struct, frozen=True, tag_field="kind", tag="receipt", array_like=True):
    """A read receipt moved. thread_id None: unthreaded."""

    room_id: RoomId
    user_id: UserId
    receipt_type: str
    event_id: EventId
    thread_id: str | None
    ts: int


class TypingChanged(msgspec.Struct, frozen=True, tag_field="kind", tag="typing", array_like=True):
    """A user started or stopped typing. The list itself lives in memory, in `rooms`."""

    room_id: RoomId
    user_id: UserId
    typing: bool
    timeout_ms: int = 0


class AccountDataChanged(msgspec.Struct, frozen=True, tag_field="kind", tag="account_data", array_like=True):
    """A user's account data changed; room_id None: global. Push rules are the type m.push_rules."""

    user_id: UserId
    room_id: RoomId | None
    type: str


class ProfileChanged(msgspec.Struct, frozen=True, tag_field="kind", tag="profile", array_like=True):
    """A local user's profile field changed."""

    user_id: UserId
    field: str


class PresenceChanged(msgspec.Struct, frozen=True, tag_field="kind", tag="presence", array_like=True):
    """A user's presence changed (local or remote)."""

    user_id: UserId


class DeviceListChanged(msgspec.Struct, frozen=True, tag_field="kind", tag="device_list", array_like=True):
    """A user's devices, device keys or device names changed. device_id None: several, or the whole list."""

    user_id: UserId
    device_id: DeviceId | None
    deleted: bool = False


class CrossSigningChanged(msgspec.Struct, frozen=True, tag_field="kind", tag="cross_signing", array_like=True):
    """A user's cross-signing keys or signatures on them changed."""

    user_id: UserId


class ToDeviceQueued(msgspec.Struct, frozen=True, tag_field="kind", tag="to_device", array_like=True):
    """Messages for local devices of these users arrived."""

    user_ids: list[UserId]


class ToDeviceOutgoing(msgspec.Struct, frozen=True, tag_field="kind", tag="to_device_out", array_like=True):
    """Messages for devices on another server are stored under message_id, to be sent as one EDU."""

    server_name: ServerName
    message_id: str


class KeyCountsChanged(msgspec.Struct, frozen=True, tag_field="kind", tag="key_counts", array_like=True):
    """One-time or fallback keys of a device were uploaded or claimed: its next sync says how many are left."""

    user_id: UserId
    device_id: DeviceId


class DeviceDeleted(msgspec.Struct, frozen=True, tag_field="kind", tag="device_deleted", array_like=True):
    """A device is gone (logout, deletion, deactivation): drop its keys, pushers, messages."""

    user_id: UserId
    device_id: DeviceId


class PushersChanged(msgspec.Struct, frozen=True, tag_field="kind", tag="pushers", array_like=True):
    """A user's pushers changed."""

    user_id: UserId


class AccountDeactivated(msgspec.Struct, frozen=True, tag_field="kind", tag="deactivated", array_like=True):
    """An account ended: leave its rooms, reject its invites, drop its pushers; erase as asked."""

    user_id: UserId
    erase: bool


class AccountCreated(msgspec.Struct, frozen=True, tag_field="kind", tag="account", array_like=True):
    """A local account began. invite_to: rooms that its registration token promises an invite to; invited_by: from whom."""

    user_id: UserId
    invite_to: list[RoomId]
    invited_by: UserId | None


class ThreadSubscriptionChanged(msgspec.Struct, frozen=True, tag_field="kind", tag="thread_subscription", array_like=True):
    """A user subscribed to a thread, or ended that, or another way."""

    user_id: UserId
    room_id: RoomId
    root_id: EventId


class EventsExpired(msgspec.Struct, frozen=True, tag_field="kind", tag="expired", array_like=True):
    """The content of these events was taken from the disk because of its age."""

    room_id: RoomId
    event_ids: list[EventId]


class RoomPurged(msgspec.Struct, frozen=True, tag_field="kind", tag="purged", array_like=True):
    """A room that nobody of this server is in was taken from the disk: its events are gone, or go now."""

    room_id: RoomId


Change = (
    EventAppended
    | StateChanged
    | OutOfBandMembership
    | ReceiptChanged
    | TypingChanged
    | AccountDataChanged
    | ProfileChanged
    | PresenceChanged
    | DeviceListChanged
    | CrossSigningChanged
    | ToDeviceQueued
    | ToDeviceOutgoing
    | KeyCountsChanged
    | DeviceDeleted
    | PushersChanged
    | AccountDeactivated
    | AccountCreated
    | ThreadSubscriptionChanged
    | EventsExpired
    | RoomPurged
)

encode_change = msgspec.msgpack.Encoder().encode
decode_change = msgspec.msgpack.Decoder(Change).decode
