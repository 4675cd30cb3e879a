"""What e2ee needs others to fit: `accounts` knows devices and passwords, `rooms` who shares a room, `federation` peers."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import DeviceId, ServerName, UserId
from watchword.storage.database import Tx
from watchword.storage.log import Position


class Devices(Protocol):
    """The devices of local users. Fitted by `accounts`."""

    async def device_names(self, user_id: UserId) -> Mapping[DeviceId, str | None]:
        """Every device of a local user with its display name; empty if there is none."""
        ...

    async def local_user_exists(self, user_id: UserId) -> bool:
        """Whether this server has, or had, the account."""
        ...


class DeviceAccounts(Protocol):
    """Devices that nobody is logged in to. Fitted by `accounts`."""

    async def make(self, tx: Tx, user_id: UserId, device_id: DeviceId, display_name: str | None) -> bool:
        """Add a device without a session; False if the user has one of that ID. Raises BadRequest for a bad name."""
        ...

    async def end(self, tx: Tx, user_id: UserId, device_ids: Sequence[DeviceId]) -> None:
        """Remove devices; those that are gone already are passed over."""
        ...


class InteractiveAuth(Protocol):
    """User-interactive authentication. Fitted by `accounts`."""

    async def authorise(self, request: Request, requester: Requester, action: str, meaning: object) -> None:
        """Return once the user has proved himself for this action with this meaning; else raise the 401 with the flows."""
        ...


class SharedRooms(Protocol):
    """Who shares a room with whom. Fitted by `rooms`."""

    async def users_sharing_room_with(self, user_id: UserId) -> set[UserId]:
        """The joined members of every room the user is joined to, himself included."""
        ...

    async def servers_sharing_room_with(self, user_id: UserId) -> set[ServerName]:
        """The servers of those members."""
        ...

    async def share_room(self, a: UserId, b: UserId) -> bool:
        """Whether both are joined to one room."""
        ...


class SharingHistory(Protocol):
    """How that changed between two positions. Fitted by `rooms` or `sync`."""

    async def sharing_changes(self, user_id: UserId, after: Position, until: Position) -> tuple[set[UserId], set[UserId]]:
        """Users who began to share a room with this one, and users who share none any more."""
        ...


class RemoteDevices(Protocol):
    """Devices on other servers. Fitted by `federation`. Every method raises PeerError; what comes back is unchecked."""

    async def query_keys(self, server_name: ServerName, device_keys: Mapping[UserId, Sequence[DeviceId]]) -> Mapping[str, Any]:
        """The body of `POST /_matrix/federation/v1/user/keys/query`."""
        ...

    async def claim_keys(
        self, server_name: ServerName, one_time_keys: Mapping[UserId, Mapping[DeviceId, str]]
    ) -> Mapping[str, Any]:
        """The body of `POST /_matrix/federation/v1/user/keys/claim`."""
        ...

    async def user_devices(self, server_name: ServerName, user_id: UserId) -> Mapping[str, Any]:
        """The body of `GET /_matrix/federation/v1/user/devices/{userId}`."""
        ...
