"""Between ASGI and the router: one scope in, one reply out, with CORS on every reply.

One `AsgiApp` is made for each listener; all share one router. Deliberately absent: lifespan and websockets.

Spec: client-server-api#web-browser-clients
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from watchword.edge.client_address import TrustedProxies
from watchword.edge.replies import JSON_HEADERS, AnyReply, Reply, StreamReply
from watchword.edge.router import ALL_DOORS, ClientGone, Incoming, Router

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CORS_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"X-Requested-With, Content-Type, Authorization, If-Match, If-None-Match, Range"),
    (b"access-control-expose-headers", b"ETag, Retry-After, Content-Disposition"),
)
_JSON_REPLY_HEADERS = (*CORS_HEADERS, (b"content-type", b"application/json"))
_PREFLIGHT = (*CORS_HEADERS, (b"access-control-max-age", b"86400"))
_FULL = Reply.json({"errcode": "M_UNKNOWN", "error": "The server is busy. Try again soon."}, 503, {"retry-after": "5"})
CANCELLABLE = "watchword.cancellable"
"""Set in the scope while the handler may be cancelled because its client is gone."""
SEND_WHOLE = "watchword.send_whole"
"""In the scope where the transport takes a whole reply at once, headers encoded; it says no when it is congested."""
SendWhole = Callable[[int, bytes, bytes], bool]


class AsgiApp:
    """The ASGI application of one listener. is_full: whether too many requests are under way to take one more."""

    def __init__(
        self,
        router: Router,
        *,
        doors: frozenset[str] = ALL_DOORS,
        proxies: TrustedProxies | None = None,
        is_full: Callable[[], bool] | None = None,
    ) -> None:
        self._router = router
        self._doors = doors
        self._proxies = proxies or TrustedProxies(())
        self._is_full = is_full

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http", scope["type"]
        if scope["method"] == "OPTIONS":
            await send({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
            await send({"type": "http.response.body", "body": b""})
            return
        if self._is_full is not None and self._is_full():
            await send_reply(_FULL, send)
            return
        headers = scope["headers"]
        client = scope["client"]
        incoming = Incoming(
            scope["method"],
            scope["raw_path"],
            scope["query_string"],
            headers,
            self._proxies.client_address(client[0] if client else None, headers),
            _AsgiBody(receive),
            self._doors,
            lambda: scope.__setitem__(CANCELLABLE, True),
        )
        try:
            reply = await self._router.answer(incoming)
            send_whole: SendWhole | None = scope.get(SEND_WHOLE)
            if type(reply) is not Reply or send_whole is None or not send_whole(reply.status, whole_head(reply), reply.body):
                await send_reply(reply, send)
        except ClientGone:
            return
        except asyncio.CancelledError:
            # The listener cancels a long-poll whose client is gone; nobody reads what we say now.
            if scope.get(CANCELLABLE):
                return
            raise


class _AsgiBody:
    __slots__ = ("_receive",)

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    async def next_piece(self) -> tuple[bytes, bool]:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message.get("body", b""), message.get("more_body", False)


async def send_reply(reply: AnyReply, send: Send) -> None:
    """Send a whole reply or a stream."""
    if type(reply) is Reply:
        body = reply.body
        length = (b"content-length", b"%d" % len(body))
        if reply.headers is JSON_HEADERS:
            headers: tuple[tuple[bytes, bytes], ...] = (*_JSON_REPLY_HEADERS, length)
        else:
            headers = (*(pair for pair in encoded(reply.headers) if pair[0] != length[0]), length)
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return
    assert isinstance(reply, StreamReply)
    await send({"type": "http.response.start", "status": reply.status, "headers": encoded(reply.headers)})
    try:
        async for piece in reply.pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    finally:
        # A generator holds a file or a connection to another server: end it now, not when it is collected.
        if isinstance(reply.pieces, AsyncGenerator):
            await reply.pieces.aclose()
    await send({"type": "http.response.body", "body": b""})


def whole_head(reply: Reply) -> bytes:
    """The headers of a whole reply as they go on the wire, with the empty line at their end."""
    if reply.headers is JSON_HEADERS:
        return _JSON_HEAD % len(reply.body)
    pairs = [pair for pair in encoded(reply.headers) if pair[0] != b"content-length"]
    return _head_bytes((*pairs, (b"content-length", b"%d" % len(reply.body)))) + b"\r\n"


def _head_bytes(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % pair for pair in pairs)


_JSON_HEAD = _head_bytes(_JSON_REPLY_HEADERS) + b"content-length: %d\r\n\r\n"


def encoded(headers: Mapping[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    """Header pairs with CORS; what the reply says itself about CORS wins. Control characters become spaces."""
    own = {name.lower().encode("ascii"): _header_value(value) for name, value in headers.items()}
    return (*(pair for pair in CORS_HEADERS if pair[0] not in own), *own.items())


def _header_value(value: str) -> bytes:
    return value.encode("latin-1", "replace").translate(_NO_CONTROLS)


_NO_CONTROLS = bytes(32 if byte < 32 or byte == 127 else byte for byte in range(256))
