"""A light HTTP/1.1 client: one kept connection, one request at a time, so that the load costs less than what it loads.

Deliberately absent: TLS, redirects, streaming. The client API is measured over plain HTTP, as behind a proxy.
"""

import asyncio
from typing import Any
from urllib.parse import quote

import httptools
import orjson


class Answer(Exception):
    """A response: status and body. It is raised where another status was expected."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status} {body[:300]!r}")
        self.status = status
        self.body = body

    def json(self) -> Any:
        """The body, parsed."""
        return orjson.loads(self.body)


class Connection(asyncio.Protocol):
    """A connection to one port of this machine. It opens itself anew when the server has closed it."""

    def __init__(self, port: int, token: str = "") -> None:
        self._port = port
        self._headers = f"Host: localhost:{port}\r\n"
        if token:
            self._headers += f"Authorization: Bearer {token}\r\n"
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._pieces: list[bytes] = []
        self._waiter: asyncio.Future[Answer] | None = None

    async def call(self, method: str, path: str, body: Any = None, *, timeout_s: float = 120) -> Answer:
        """Send a request and wait for its answer, whatever its status."""
        if self._transport is None or self._transport.is_closing():
            await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)
        assert self._transport is not None
        data = b"" if body is None else orjson.dumps(body)
        self._parser = httptools.HttpResponseParser(self)
        self._pieces = []
        self._waiter = asyncio.get_running_loop().create_future()
        kind = "Content-Type: application/json\r\n" if body is not None else ""
        head = f"{method} {path} HTTP/1.1\r\n{self._headers}{kind}Content-Length: {len(data)}\r\n\r\n"
        self._transport.write(head.encode() + data)
        async with asyncio.timeout(timeout_s):
            return await self._waiter

    async def ask(self, method: str, path: str, body: Any = None, *, timeout_s: float = 120) -> Any:
        """As `call`, for a JSON answer. Raises Answer if its status is not 200."""
        answer = await self.call(method, path, body, timeout_s=timeout_s)
        if answer.status != 200:
            raise answer
        return answer.json()

    def close(self) -> None:
        """Close the connection; a request under way fails."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._parser is not None
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionError(f"port {self._port} closed the connection ({exc})"))

    # httptools

    def on_body(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        assert self._parser is not None
        assert self._waiter is not None
        answer = Answer(self._parser.get_status_code(), b"".join(self._pieces))
        if not self._parser.should_keep_alive() and self._transport is not None:
            self._transport.close()
            self._transport = None
        if not self._waiter.done():
            self._waiter.set_result(answer)


def in_path(text: str) -> str:
    """Text as one segment of a path."""
    return quote(text, safe="")
