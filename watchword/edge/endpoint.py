"""A row of the table of endpoints: where a request goes, who may ask, how much, and which section of the spec says so."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from watchword.base import limits
from watchword.edge.replies import AnyReply
from watchword.edge.request import Request


class Auth(Enum):
    """Who may ask."""

    NONE = "none"
    """Anybody; the handler gets None for the requester."""
    OPTIONAL = "optional"
    """Anybody; a valid token makes a `Requester`, no token None, a wrong token is refused."""
    CLIENT = "client"
    """A user's access token (or an application service's); the handler gets a `Requester`."""
    CLIENT_LOCKED = "client_locked"
    """As CLIENT, also for accounts that are locked (logging out)."""
    SERVER = "server"
    """Another server's signature over the request; the handler gets a `ServerRequester`."""


class Rate(Enum):
    """Which bucket a request draws from; the sizes are configuration."""

    NONE = "none"
    READ = "read"
    WRITE = "write"
    MESSAGE = "message"
    LOGIN = "login"
    REGISTER = "register"
    INVITE = "invite"
    MEDIA = "media"
    FEDERATION = "federation"

    # Members are single objects; Enum's own hash is written in Python and the limiter asks for it twice a request.
    __hash__ = object.__hash__


class Body(Enum):
    """What the request carries."""

    NONE = "none"
    """Nothing; a body is ignored."""
    JSON = "json"
    """A JSON object, required."""
    OPTIONAL_JSON = "optional_json"
    """A JSON object, or nothing, which reads as {}."""
    STREAM = "stream"
    """Bytes, read by the handler with `Request.stream()`."""


Handler = Callable[[Request, Any, Any], Awaitable[AnyReply]]


@dataclass(frozen=True)
class Endpoint:
    """One operation.

    path: the full path with parameters in braces, percent-decoded one by one after splitting: `/_matrix/…/{roomId}`.
        A path under `/_matrix/client/v3/` also answers under `/_matrix/client/r0/`, one under `/_matrix/media/v3/`
        also under `r0` and `v1`. A parameter never matches nothing: where the last one may be empty, register the
        path with the trailing slash too. A last `{name*}` takes the rest of the path.
    handler: `async (request, requester, service) -> Reply`; service is whatever `Router.mount` was given.
    spec: page and anchor of the section that rules, e.g. `client-server-api#post_matrixclientv3roomsroomidinvite`.
    waits: a long-poll that changes nothing: the handler is cancelled when the client goes away. GET always is; other
        methods run to their end unless they say so here.
    """

    method: str
    path: str
    handler: Handler
    spec: str
    auth: Auth = Auth.CLIENT
    rate: Rate = Rate.READ
    body: Body = Body.NONE
    body_bytes_max: int = limits.client_body_bytes_max
    guests: bool = False
    waits: bool = False
