"""What accounts need somebody else to fit, and what fits while nobody does."""

from collections.abc import Mapping
from typing import Any, Protocol

from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol.ids import ServerName, UserId


class RemoteProfiles(Protocol):
    """Fitted by federation."""

    async def query_profile(self, server_name: ServerName, user_id: UserId, field: str | None) -> Mapping[str, Any]:
        """The profile of a user elsewhere, or one field of it. Raises PeerError."""
        ...


class SharedRooms(Protocol):
    """Fitted by rooms."""

    async def share_room(self, a: UserId, b: UserId) -> bool:
        """Whether both are joined to some room."""
        ...


class ProfileVisibility(Protocol):
    """Whether one may see the profile of another. Fitted by search, which knows the rooms that are open to all."""

    async def may_see_profile(self, viewer: UserId | None, user_id: UserId) -> bool:
        """viewer: None for somebody who is not logged in."""
        ...


class CrossSigningKeys(Protocol):
    """Fitted by e2ee."""

    async def is_cross_signing_key(self, user_id: UserId, name: str) -> bool:
        """Whether a public key of this user's cross-signing has this name, so that no device may take it."""
        ...


class Appservices(Protocol):
    """Fitted by appservices."""

    def id_of(self, token: str) -> str | None:
        """The application service that owns this token."""
        ...

    async def requester(self, request: Request, token: str) -> Requester:
        """Who an application service says it is. Raises Forbidden, or BadRequest M_UNKNOWN_DEVICE."""
        ...

    def may_register(self, appservice_id: str, user_id: UserId) -> bool:
        """Whether a user lies in its namespace."""
        ...

    def exclusive_owner(self, user_id: UserId) -> str | None:
        """The application service that claims this user for itself alone."""
        ...


class UnknownUsers(Protocol):
    """Who may make a local user that nobody has asked for before. Fitted by appservices."""

    async def make_user(self, user_id: UserId) -> bool:
        """Ask for it, over the network; True if the user exists now."""
        ...


class NoUnknownUsers:
    """Whoever is unknown stays so."""

    async def make_user(self, user_id: UserId) -> bool:
        return False


class NoAppservices:
    """A server without application services."""

    def id_of(self, token: str) -> str | None:
        return None

    async def requester(self, request: Request, token: str) -> Requester:
        raise AssertionError("no token belongs to an application service here")

    def may_register(self, appservice_id: str, user_id: UserId) -> bool:
        return False

    def exclusive_owner(self, user_id: UserId) -> str | None:
        return None


class NoCrossSigningKeys:
    """A server without cross-signing."""

    async def is_cross_signing_key(self, user_id: UserId, name: str) -> bool:
        return False
