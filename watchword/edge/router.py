"""The life of a request between the transport and the handler: find, authenticate, limit, read, parse, answer.

Knows no feature: rows of `Endpoint` and the services they belong to are mounted by `app.py`. Knows no transport either:
`asgi.py` makes the `Incoming`, and a simulation may make one by hand. Whatever a handler raises becomes a reply here;
only cancellation passes through.

Order: path and method, rate by address where there is no account yet, who asks (a server's signature needs the body
first), guests, rate by account or server, body, handler.

Spec: client-server-api#api-standards, server-server-api#unsupported-endpoints
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec

from watchword.base import limits
from watchword.base.entropy import Entropy
from watchword.base.errors import (
    BadRequest,
    Forbidden,
    PeerError,
    Refusal,
    RemoteProtocolError,
    StorageError,
    TooLarge,
    Unauthenticated,
)
from watchword.base.metrics import Metrics, RouteStats
from watchword.edge import bodies, paths
from watchword.edge.authentication import ClientAuthenticator, ServerAuthenticator, bearer_token
from watchword.edge.endpoint import Auth, Body, Endpoint, Rate
from watchword.edge.rate_limits import RateLimiter
from watchword.edge.replies import AnyReply, Reply
from watchword.edge.request import Request
from watchword.edge.requester import Requester, ServerRequester

logger = logging.getLogger(__name__)

CLIENT_DOOR = "client"
FEDERATION_DOOR = "federation"
METRICS_DOOR = "metrics"
ALL_DOORS = frozenset({CLIENT_DOOR, FEDERATION_DOOR, METRICS_DOOR})

_UNSTABLE = "/_matrix/client/unstable/"
_ALIASES = (
    ("/_matrix/client/v3/", ("/_matrix/client/r0/",)),
    ("/_matrix/media/v3/", ("/_matrix/media/r0/", "/_matrix/media/v1/")),
    # COMPAT(Element classic on Android and iOS, until: nobody uses it): it calls these by what they were called before they
    # were in the specification, key backup and the signatures of verified devices among them.
    ("/_matrix/client/v3/account/3pid/", (_UNSTABLE + "account/3pid/",)),
    ("/_matrix/client/v3/refresh", ("/_matrix/client/v1/refresh",)),
    ("/_matrix/client/v3/keys/signatures/", (_UNSTABLE + "keys/signatures/",)),
    ("/_matrix/client/v3/room_keys/", (_UNSTABLE + "room_keys/",)),
    ("/_matrix/client/v3/thirdparty/", (_UNSTABLE + "thirdparty/",)),
    ("/_matrix/client/v3/user/{userId}/openid/", (_UNSTABLE + "user/{userId}/openid/",)),
    ("/_matrix/client/v1/rooms/{roomId}/relations/", (_UNSTABLE + "rooms/{roomId}/relations/",)),
    ("/_matrix/client/v1/rooms/{roomId}/hierarchy", (_UNSTABLE + "org.matrix.msc2946/rooms/{roomId}/hierarchy",)),
)
_BEFORE_AN_ACCOUNT = frozenset({Rate.LOGIN, Rate.REGISTER})
_STORAGE_RETRY_SECONDS = "5"


class BodySource(Protocol):
    """The bytes of a request's body, as the transport delivers them."""

    async def next_piece(self) -> tuple[bytes, bool]:
        """The next piece, and whether more may follow. Raises ClientGone."""
        ...


class ClientGone(Exception):
    """The client went away in the middle of its body; nobody is there to be answered."""


class Incoming(msgspec.Struct):
    """A request as the transport sees it.

    raw_path, query_string: as sent. headers: lower-case names, in order. doors: what the listener it came by serves.
    on_wait: called when the handler may be cancelled once the client is gone.
    """

    method: str
    raw_path: bytes
    query_string: bytes
    headers: Sequence[tuple[bytes, bytes]]
    client_address: str
    body: BodySource
    doors: frozenset[str] = ALL_DOORS
    on_wait: Callable[[], None] | None = None


class Route:
    """A mounted row."""

    __slots__ = ("doors", "endpoint", "names", "service", "stats", "waits")

    def __init__(self, endpoint: Endpoint, service: object, stats: RouteStats) -> None:
        self.endpoint = endpoint
        self.service = service
        self.stats = stats
        self.names = paths.parameter_names(endpoint.path)
        self.doors = doors_of(endpoint.path)
        self.waits = endpoint.waits or endpoint.method == "GET"


def doors_of(path: str) -> frozenset[str]:
    """The doors a path answers at; a listener serves one or several of them."""
    if path.startswith(("/_matrix/federation/", "/_matrix/key/")):
        return frozenset({FEDERATION_DOOR})
    if path.startswith("/_watchword/metrics"):
        return frozenset({METRICS_DOOR})
    if path == "/health":
        return ALL_DOORS
    if path.startswith("/.well-known/matrix/"):
        return frozenset({CLIENT_DOOR, FEDERATION_DOOR})
    return frozenset({CLIENT_DOOR})


class Router:
    """Every mounted endpoint, and the way to it.

    server_auth: None where federation is off; endpoints for servers are unknown then.
    entropy names a failure in the log and in the reply; timer counts seconds for the metrics; log_requests writes a line
    for each request.
    """

    def __init__(
        self,
        client_auth: ClientAuthenticator,
        server_auth: ServerAuthenticator | None,
        rate_limiter: RateLimiter,
        *,
        entropy: Entropy,
        metrics: Metrics | None = None,
        timer: Callable[[], float] = time.perf_counter,
        log_requests: bool = False,
    ) -> None:
        self._client_auth = client_auth
        self._server_auth = server_auth
        self._rate_limiter = rate_limiter
        self._entropy = entropy
        self._metrics = metrics or Metrics()
        self._timer = timer
        self._log_requests = log_requests
        self._table: paths.PathTable[Route] = paths.PathTable()
        self._unmatched = self._metrics.route("", "")

    def mount(self, endpoints: Iterable[Endpoint], service: object) -> None:
        """Add rows; each handler is given service. Raises ValueError if a method and path are taken."""
        for endpoint in endpoints:
            if endpoint.auth is Auth.SERVER and self._server_auth is None:
                continue
            route = Route(endpoint, service, self._metrics.route(endpoint.method, endpoint.path))
            self._table.add(endpoint.method, endpoint.path, route)
            for prefix, others in _ALIASES:
                if endpoint.path.startswith(prefix):
                    for other in others:
                        self._table.add(endpoint.method, other + endpoint.path[len(prefix) :], route, alias=True)

    async def answer(self, incoming: Incoming) -> AnyReply:
        """Answer one request. Raises nothing but ClientGone and cancellation."""
        started = self._timer()
        stats = self._unmatched
        try:
            found = self._find(incoming)
            if isinstance(found, Reply):
                reply: AnyReply = found
            else:
                route, captured = found
                stats = route.stats
                reply = await self._handle(incoming, route, captured)
        except Refusal as refusal:
            reply = Reply.json(refusal.body(), refusal.status, refusal.headers)
        except ClientGone:
            stats.observe(499, self._timer() - started)
            raise
        except Exception as error:  # noqa: BLE001 (the last line: whatever a handler did, the client gets an answer)
            reply = self._failure(error, stats)
        seconds = self._timer() - started
        stats.observe(reply.status, seconds)
        if self._log_requests:
            logger.info(
                "A request was answered.",
                extra={
                    "method": incoming.method,
                    "path": stats.path,
                    "status": reply.status,
                    "duration_ms": round(seconds * 1000, 1),
                },
            )
        return reply

    def _find(self, incoming: Incoming) -> tuple[Route, paths.Captured] | Reply:
        found = self._table.find(incoming.method, incoming.raw_path)
        if type(found) is frozenset and incoming.method == "HEAD" and "GET" in found:
            found = self._table.find("GET", incoming.raw_path)
        if type(found) is tuple:
            return found if not found[0].doors.isdisjoint(incoming.doors) else _UNKNOWN_PATH
        if found is None:
            return _UNKNOWN_PATH
        assert isinstance(found, frozenset)
        return Reply.json(
            {"errcode": "M_UNRECOGNIZED", "error": "This path does not know this method."},
            405,
            {"allow": ", ".join(sorted(found | {"OPTIONS"}))},
        )

    async def _handle(self, incoming: Incoming, route: Route, captured: paths.Captured) -> AnyReply:
        endpoint = route.endpoint
        if len(incoming.query_string) > limits.query_bytes_max:
            raise BadRequest("M_INVALID_PARAM", "The query string is too long.", status=414)
        request = Request(
            incoming.method,
            incoming.raw_path.decode("latin-1"),
            incoming.query_string.decode("latin-1"),
            params=paths.decoded(route.names, captured) if captured else None,
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in incoming.headers},
            client_address=incoming.client_address,
            stream=None if endpoint.body is not Body.STREAM else lambda: _pieces(incoming.body, endpoint.body_bytes_max),
        )
        request.raw_headers = incoming.headers
        rate = endpoint.rate
        if rate in _BEFORE_AN_ACCOUNT:
            self._rate_limiter.take(rate, request.client_network)
        auth = endpoint.auth
        requester: Requester | ServerRequester | None = None
        if auth is Auth.SERVER:
            # The signature covers the body, so it is read before we know who asks.
            await _read_json(request, endpoint, incoming.body)
            assert self._server_auth is not None
            requester = await self._server_auth.server(request)
        elif auth is not Auth.NONE:
            requester = await self._client(request, endpoint)
        if rate is not Rate.NONE and rate not in _BEFORE_AN_ACCOUNT:
            self._limit(rate, request, requester)
        if auth is not Auth.SERVER:
            await _read_json(request, endpoint, incoming.body)
        elif endpoint.body is Body.STREAM:
            raise AssertionError(f"{endpoint.path}: a signed body cannot be a stream")
        if route.waits and incoming.on_wait is not None:
            incoming.on_wait()
        return await endpoint.handler(request, requester, route.service)

    async def _client(self, request: Request, endpoint: Endpoint) -> Requester | None:
        token = bearer_token(request)
        if not token:
            if endpoint.auth is Auth.OPTIONAL and token is None:
                return None
            raise Unauthenticated("M_MISSING_TOKEN", "An access token is needed.")
        requester = await self._client_auth.client(request, token, allow_locked=endpoint.auth is Auth.CLIENT_LOCKED)
        if requester.is_guest and not endpoint.guests:
            raise Forbidden("Guests may not do this.", "M_GUEST_ACCESS_FORBIDDEN")
        return requester

    def _limit(self, rate: Rate, request: Request, requester: Requester | ServerRequester | None) -> None:
        if requester is None:
            self._rate_limiter.take(rate, request.client_network)
        elif isinstance(requester, ServerRequester):
            self._rate_limiter.take(rate, requester.server_name)
        elif requester.rate_limited:
            self._rate_limiter.take(rate, requester.user_id)

    def _failure(self, error: Exception, stats: RouteStats) -> Reply:
        where = {"method": stats.method, "path": stats.path}
        if isinstance(error, RemoteProtocolError):
            logger.info("A request broke the protocol.", extra={**where, "cause": str(error)})
            return _sorry("M_BAD_JSON", "The request holds something that Matrix forbids.", 400)
        if isinstance(error, PeerError):
            logger.info("A request failed at another server.", extra={**where, "server_name": error.server_name})
            return _sorry("M_UNKNOWN", "Another server could not be reached, or did not answer as it should.", 502)
        if isinstance(error, StorageError):
            logger.error("The database refused.", extra=where, exc_info=error)
            return _sorry("M_UNKNOWN", "The server is busy. Try again soon.", 503, {"retry-after": _STORAGE_RETRY_SECONDS})
        failure_id = self._entropy.token(6)
        logger.error("A request failed unexpectedly.", extra={**where, "failure_id": failure_id}, exc_info=error)
        return _sorry("M_UNKNOWN", f"Something went wrong in this server. The administrator finds it as {failure_id}.", 500)


async def _read_json(request: Request, endpoint: Endpoint, source: BodySource) -> None:
    kind = endpoint.body
    if kind is Body.NONE or kind is Body.STREAM:
        return
    raw = await _whole(request, endpoint.body_bytes_max, source)
    request.raw_body = raw
    if raw or kind is Body.JSON:
        decode = bodies.server_json_object if endpoint.auth is Auth.SERVER else bodies.json_object
        request.json = decode(raw)


async def _whole(request: Request, bytes_max: int, source: BodySource) -> bytes:
    declared = request.headers.get("content-length")
    # The transport has checked that it is a number.
    if declared is not None and int(declared) > bytes_max:
        raise TooLarge("The body is too large.")
    piece, more = await source.next_piece()
    if not more and len(piece) <= bytes_max:
        return piece
    pieces = [piece]
    size = len(piece)
    while more and size <= bytes_max:
        piece, more = await source.next_piece()
        size += len(piece)
        pieces.append(piece)
    if size > bytes_max:
        raise TooLarge("The body is too large.")
    return b"".join(pieces)


async def _pieces(source: BodySource, bytes_max: int) -> AsyncIterator[bytes]:
    size = 0
    more = True
    while more:
        piece, more = await source.next_piece()
        size += len(piece)
        if size > bytes_max:
            raise TooLarge("The body is too large.")
        if piece:
            yield piece


def _sorry(errcode: str, text: str, status: int, headers: dict[str, str] | None = None) -> Reply:
    body: dict[str, Any] = {"errcode": errcode, "error": text}
    return Reply.json(body, status, headers)


_UNKNOWN_PATH = _sorry("M_UNRECOGNIZED", "This server does not know this path.", 404)
