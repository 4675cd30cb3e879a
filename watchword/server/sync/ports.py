"""What sync needs others to fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from watchword.protocol.ids import RoomId, UserId
from watchword.server.rooms.room import Room


@dataclass(frozen=True, slots=True)
class Unread:
    """How many events notify, and how many of them loudly. threads: root → (notifications, highlights)."""

    notifications: int = 0
    highlights: int = 0
    threads: Mapping[str, tuple[int, int]] | None = None


class UnreadCounts(Protocol):
    """Fitted by `push`."""

    async def unread(self, user_id: UserId, room: Room) -> Unread:
        """Counts since the user's receipt. With threads, the first two count the main timeline alone."""
        ...


class Presence(Protocol):
    """Fitted by `accounts`."""

    enabled: bool

    def content(self, user_id: UserId) -> Mapping[str, object] | None:
        """The content of an m.presence event, if anything is known."""
        ...

    async def seen(self, user_id: UserId, presence: str) -> None:
        """A client syncs with this presence."""
        ...


class Invites(Protocol):
    """Fitted by `rooms`: which invites a user is shown, as he wished."""

    async def is_shown(self, user_id: UserId, room_id: RoomId, inviter: UserId) -> bool:
        """False for ignored inviters and blocked invites."""
        ...
