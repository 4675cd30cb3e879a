"""HTTP/1.1 towards a server under test: real sockets, real TLS, and raw bytes where a client library would be too polite."""

import http.client
import json
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

PATIENCE_SECONDS = 30

watchers: list[Callable[[str, str, "Answer"], None]] = []
"""Told of every answer: method, target, answer."""


@dataclass(frozen=True)
class Place:
    """Where something listens on loopback. name: for TLS, whose certificate is expected; trust: whom to believe."""

    port: int
    name: str = ""
    trust: ssl.SSLContext | None = None

    def connect(self, seconds: float = PATIENCE_SECONDS) -> socket.socket:
        """A connection, through TLS if the place has it."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=seconds)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.trust is None:
            return plain
        try:
            return self.trust.wrap_socket(plain, server_hostname=self.name)
        except BaseException:
            plain.close()
            raise


@dataclass(frozen=True)
class Answer:
    """What came back. headers: names in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def refusal(self) -> tuple[int, str]:
        """(status, errcode) of an error."""
        assert self.status >= 400, self
        body = self.json
        assert isinstance(body.get("error"), str), self
        return self.status, body["errcode"]


class _Connection(http.client.HTTPConnection):
    def __init__(self, place: Place, seconds: float) -> None:
        super().__init__(place.name or "127.0.0.1", place.port, timeout=seconds)
        self._place = place

    def connect(self) -> None:
        self.sock = self._place.connect(self.timeout or PATIENCE_SECONDS)


def ask(
    place: Place,
    method: str,
    target: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = PATIENCE_SECONDS,
) -> Answer:
    """One request on a connection of its own. target: encoded path and query."""
    connection = _Connection(place, seconds)
    try:
        host = {"host": place.name} if place.name else {}
        connection.request(method, target, body, {"connection": "close", **host, **(headers or {})})
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        answer = Answer(response.status, found, response.read())
    finally:
        connection.close()
    for watcher in watchers:
        watcher(method, target, answer)
    return answer


def ask_raw(place: Place, data: bytes, seconds: float = PATIENCE_SECONDS) -> bytes:
    """Send bytes as they are; everything that comes back until the server closes or is silent for a second."""
    with place.connect(seconds) as connection:
        connection.sendall(data)
        connection.settimeout(1)
        found = b""
        try:
            while piece := connection.recv(65_536):
                found += piece
        except TimeoutError:
            pass
        return found


def compact(value: object) -> bytes:
    """JSON with sorted keys and no spaces, of whatever Python can write: also floats and integers that Matrix forbids."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8", "surrogatepass")
