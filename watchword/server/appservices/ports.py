"""What application services need others to fit."""

from collections.abc import Sequence
from typing import Any, Protocol

from watchword.edge.fetch import Fetched, Outgoing
from watchword.protocol.ids import DeviceId, UserId
from watchword.server.accounts.commands import Account, Device
from watchword.storage import Position


class Accounts(Protocol):
    """Users of this server. Fitted by `accounts.reader.AccountReader`."""

    async def account(self, user_id: UserId) -> Account | None:
        """The whole account, also of somebody deactivated."""
        ...

    async def device(self, user_id: UserId, device_id: DeviceId) -> Device | None:
        """One device."""
        ...

    async def devices(self, user_id: UserId) -> Sequence[Device]:
        """A user's devices."""
        ...


class Mailboxes(Protocol):
    """To-device messages and key counts. Fitted by `e2ee.reader.E2eeReader`."""

    async def to_device(
        self, user_id: UserId, device_id: DeviceId, after: Position, until: Position, limit: int
    ) -> tuple[Sequence[bytes], Position]:
        """Encoded messages after one position and not after another, and the position of the last one given."""
        ...

    async def delete_to_device(self, user_id: UserId, device_id: DeviceId, until: Position) -> None:
        """Drop a device's messages up to a position."""
        ...

    async def key_counts(self, user_id: UserId, device_id: DeviceId) -> tuple[Any, Sequence[str]]:
        """One-time keys left by algorithm, and algorithms with an unused fallback key."""
        ...


class Presences(Protocol):
    """Who is there. Fitted by `accounts.presence.PresenceBook`."""

    def content(self, user_id: UserId) -> Any | None:
        """The content of an m.presence event."""
        ...


class WayOut(Protocol):
    """The way to the services. Fitted by `edge.fetch.Fetcher`."""

    async def fetch(self, outgoing: Outgoing) -> Fetched:
        """The whole answer, whatever its status. Raises PeerError."""
        ...
