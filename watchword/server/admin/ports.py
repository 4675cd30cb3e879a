"""What administration needs somebody else to fit."""

from collections.abc import Mapping
from typing import Any, Protocol

from watchword.protocol.ids import EventId, ServerName, UserId
from watchword.server.rooms.commands import ChangeMembership


class Notices(Protocol):
    """Talks to users in the server's name. Fitted by `notices`."""

    async def send(self, user_id: UserId, content: Mapping[str, Any]) -> EventId:
        """Say something to a local user; returns once it is durable. Raises NotFound if notices are off."""
        ...


class Leaving(Protocol):
    """Has users leave rooms. Fitted by `rooms.membership.Membership`."""

    async def leave(self, command: ChangeMembership) -> None:
        """Leave a room, reject an invite, take a knock back. Raises Refusal."""
        ...


class Destination(Protocol):
    """Another server, as `federation` knows it. behind_after: what comes after this position is owed to it; None: nothing."""

    @property
    def server_name(self) -> ServerName: ...
    @property
    def failures(self) -> int: ...
    @property
    def failing_since_ts(self) -> int: ...
    @property
    def retry_after_ts(self) -> int: ...
    @property
    def last_success_ts(self) -> int: ...
    @property
    def behind_after(self) -> int | None: ...
