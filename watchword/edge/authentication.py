"""Who asks: the ports that the features fit. The router calls them; `server/app.py` hands them over."""

from typing import Protocol

from watchword.edge.request import Request
from watchword.edge.requester import Requester, ServerRequester


class ClientAuthenticator(Protocol):
    """Fitted by `server/accounts`."""

    async def client(self, request: Request, token: str, *, allow_locked: bool) -> Requester:
        """The owner of an access token. Raises Unauthenticated M_UNKNOWN_TOKEN (with soft_logout) or M_USER_LOCKED."""
        ...


class ServerAuthenticator(Protocol):
    """Fitted by `server/federation`."""

    async def server(self, request: Request) -> ServerRequester:
        """The server that signed the request. Raises Unauthenticated M_UNAUTHORIZED.

        Spec: server-server-api#request-authentication
        """
        ...


def bearer_token(request: Request) -> str | None:
    """The access token of a request: the header, or the deprecated query parameter. "" if present but empty.

    Spec: client-server-api#using-access-tokens
    """
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() == "bearer":
            return token.strip()
    return request.query_one("access_token")
