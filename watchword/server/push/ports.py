"""What push needs others to fit."""

from collections.abc import Sequence
from typing import Any, Protocol

from watchword.edge.fetch import Outgoing
from watchword.edge.mail import Mail
from watchword.protocol.ids import EventId, UserId
from watchword.server.rooms.ephemeral import Ephemeral
from watchword.server.rooms.reader import RoomReader
from watchword.server.rooms.relations_assembly import Relations
from watchword.storage import Position


class Gateways(Protocol):
    """The way out to push gateways. Fitted by `edge.fetch.Fetcher`."""

    async def fetch_json(self, outgoing: Outgoing) -> dict[str, Any]:
        """The JSON object that the gateway answers with. Raises PeerError."""
        ...


class Addresses(Protocol):
    """E-mail addresses of accounts. Fitted by `addresses.AccountAddresses`."""

    async def has_email(self, user_id: UserId, address: str) -> bool:
        """Whether an account has an address that it has proved."""
        ...


class Mailbox(Protocol):
    """Outgoing mail. Fitted by `edge.mail.Mailer`."""

    def submit(self, mail: Mail) -> None:
        """Queue a mail. Raises LimitExceeded if too many wait already."""
        ...


class Subscription(Protocol):
    """What a user said last of a thread."""

    @property
    def root_id(self) -> EventId: ...

    @property
    def is_subscribed(self) -> bool: ...

    @property
    def position(self) -> Position: ...


class Subscriptions(Protocol):
    """What users said of threads. Fitted by `rooms.thread_subscriptions.ThreadSubscriptions`."""

    async def changes(self, user_id: UserId, after: Position, until: Position, limit: int) -> Sequence[Subscription]:
        """What a user said with after < position <= until, the newest first."""
        ...


class RoomParts(Protocol):
    """The parts of rooms that push reads. Fitted by `rooms.assembly.Rooms`."""

    @property
    def reader(self) -> RoomReader: ...

    @property
    def ephemeral(self) -> Ephemeral: ...

    @property
    def relations(self) -> Relations: ...
