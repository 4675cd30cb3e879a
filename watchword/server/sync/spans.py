"""What of one room a response covers, and for whom. Words shared by the modules that build a room's section."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from watchword.protocol.ids import UserId
from watchword.server.rooms.room import Room
from watchword.server.rooms.view import Reader
from watchword.server.sync.filters import SyncFilter
from watchword.storage import Position

STATE, STATE_AFTER, OLD_STATE_AFTER = b"state", b"state_after", b"org.matrix.msc4222.state_after"
"""Where a section has its state: that before its timeline, or that after it, also under its old name."""


class RoomSpan(msgspec.Struct, frozen=True):
    """A span of one room. since: None for everything, as on the first sight of a room.

    full_state: all of the state, although `since` is known. left: the reader is in the room no more. ignored: whose messages
    he does not want.
    """

    room: Room
    reader: Reader
    since: Position | None
    until: Position
    sync_filter: SyncFilter
    state_form: bytes = STATE
    full_state: bool = False
    left: bool = False
    ignored: frozenset[UserId] = frozenset()

    @property
    def state_since(self) -> Position | None:
        """The position of which the client knows the state; None if it is to be told all."""
        return None if self.full_state else self.since

    @property
    def state_after(self) -> bool:
        """Whether the state is that at the end of the timeline."""
        return self.state_form != STATE

    @property
    def is_lazy(self) -> bool:
        """Whether the client wants only the members that it needs."""
        return self.sync_filter.state.lazy_load_members or self.sync_filter.timeline.lazy_load_members

    @property
    def ignores_somebody(self) -> bool:
        """Whether somebody ignored ever had a membership in the room."""
        return bool(self.ignored) and any(user_id in self.room.members.membership for user_id in self.ignored)


@dataclass(frozen=True, slots=True)
class Extras:
    """What else belongs into the room's section: encoded account data events, and whether typing and receipts moved."""

    account_data: Sequence[bytes] = ()
    typing: bool = False
    receipts: bool = False
