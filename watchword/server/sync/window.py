"""What happened between two positions that concerns one user: from the ring of recent changes, where it reaches back.

Cost: the changes in the span, a few look-ups each, whatever the number of rooms that the user is in. Further back than the
ring, everything the user has is a candidate and the indexes say the rest.
"""

from collections.abc import Mapping

import msgspec

from watchword.protocol.ids import DeviceId, RoomId, UserId
from watchword.server.changes import (
    AccountDataChanged,
    Change,
    CrossSigningChanged,
    DeviceListChanged,
    EventAppended,
    KeyCountsChanged,
    OutOfBandMembership,
    PresenceChanged,
    ReceiptChanged,
    StateChanged,
    ThreadSubscriptionChanged,
    TypingChanged,
)
from watchword.server.rooms.records import MembershipRow
from watchword.storage import Log, Position

RING_SCAN_MAX = 4_096


class Window(msgspec.Struct):
    """A span of positions and what in it concerns a user. everything: the ring does not reach back; look at all rooms.

    read: where the user himself read on; part of receipts.
    """

    after: Position
    until: Position
    everything: bool = False
    rooms: set[RoomId] = msgspec.field(default_factory=set)
    typing: set[RoomId] = msgspec.field(default_factory=set)
    receipts: set[RoomId] = msgspec.field(default_factory=set)
    read: set[RoomId] = msgspec.field(default_factory=set)
    presence: set[UserId] = msgspec.field(default_factory=set)
    account_data: bool = False
    device_lists: bool = False
    key_counts: bool = False
    threads: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing in the span concerns the user that /sync tells of; it tells nothing of thread subscriptions."""
        return not (
            self.everything
            or self.rooms
            or self.typing
            or self.receipts
            or self.presence
            or self.account_data
            or self.device_lists
            or self.key_counts
        )


def open_window(
    log: Log[Change],
    user_id: UserId,
    device_id: DeviceId | None,
    memberships: Mapping[RoomId, MembershipRow],
    span: tuple[Position, Position],
) -> Window:
    """Find what concerns the user after span[0] and not after span[1]."""
    after, until = span
    window = Window(after, until)
    if after >= until:
        return window
    if after < log.ring_floor or until - after > RING_SCAN_MAX:
        window.everything = window.account_data = window.device_lists = True
        return window
    for logged in log.recent(after, until):
        _note(window, logged.change, user_id, device_id, memberships)
    return window


def _note(
    window: Window,
    change: Change,
    user_id: UserId,
    device_id: DeviceId | None,
    memberships: Mapping[RoomId, MembershipRow],
) -> None:
    match change:
        case EventAppended(room_id=room_id) | StateChanged(room_id=room_id) | OutOfBandMembership(room_id=room_id):
            if room_id in memberships:
                window.rooms.add(room_id)
        case ReceiptChanged(room_id=room_id, user_id=owner) if room_id in memberships:
            window.receipts.add(room_id)
            if owner == user_id:
                window.read.add(room_id)
        case TypingChanged(room_id=room_id) if room_id in memberships:
            window.typing.add(room_id)
        case AccountDataChanged(user_id=owner):
            window.account_data |= owner == user_id
        case DeviceListChanged() | CrossSigningChanged():
            window.device_lists = True
        case KeyCountsChanged(user_id=owner, device_id=owner_device):
            window.key_counts |= owner == user_id and owner_device == device_id
        case ThreadSubscriptionChanged(user_id=owner):
            window.threads |= owner == user_id
        case PresenceChanged(user_id=owner):
            window.presence.add(owner)
        case _:
            pass  # Nothing that a client sees; to-device messages are looked up by themselves.
