"""Who asks. Made by authentication, read by everybody, changed by nobody."""

from dataclasses import dataclass
from enum import Enum

from watchword.protocol.ids import DeviceId, ServerName, UserId


class Kind(Enum):
    """How a client proved who it is."""

    USER = "user"
    GUEST = "guest"
    APPSERVICE = "appservice"
    OAUTH = "oauth"


@dataclass(frozen=True, slots=True)
class Requester:
    """A client of ours.

    device_id: None for an application service that acts without a device.
    token_id: identifies the access token without revealing it; stable across refreshes of the same session.
    appservice_id: the application service that asserts this identity, if one does.
    """

    user_id: UserId
    device_id: DeviceId | None
    token_id: int
    kind: Kind = Kind.USER
    is_admin: bool = False
    is_suspended: bool = False
    appservice_id: str | None = None
    rate_limited: bool = True
    scopes: frozenset[str] = frozenset()

    @property
    def is_guest(self) -> bool:
        """Guests may do little. Spec: client-server-api#guest-access"""
        return self.kind is Kind.GUEST


@dataclass(frozen=True, slots=True)
class ServerRequester:
    """Another server, proved by its signature over the request."""

    server_name: ServerName
