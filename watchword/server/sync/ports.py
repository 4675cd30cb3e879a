"""What sync needs others to fit."""

from collections.abc import Mapping
from typing import Protocol

from watchword.protocol.ids import UserId
from watchword.server.rooms.room import Room


class Unread(Protocol):
    """How many events of the main timeline notify, and how many of them loudly. threads: root → the same two of a thread."""

    @property
    def notifications(self) -> int: ...

    @property
    def highlights(self) -> int: ...

    @property
    def threads(self) -> Mapping[str, tuple[int, int]]: ...


class UnreadCounts(Protocol):
    """Fitted by `push`."""

    async def unread(self, user_id: UserId, room: Room) -> Unread:
        """Counts since the user's receipts."""
        ...


class PushRules(Protocol):
    """Fitted by `push`."""

    async def content(self, user_id: UserId) -> bytes:
        """The content of the user's m.push_rules as JSON, which exists also where it is not stored."""
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
