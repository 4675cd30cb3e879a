"""One connection: uvicorn's HTTP/1.1 protocol, with bounds on the head, on slowness and on what is thrown away.

A client that leaves ends its long-poll. Replies that uvicorn would make up itself are Matrix's JSON here. Deliberately
absent: timers for each request; the listener calls `sweep` once a second.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from watchword.base import limits
from watchword.base.config import Limits
from watchword.edge.asgi import CANCELLABLE, SEND_WHOLE


@dataclass(frozen=True)
class ConnectionLimits:
    """How many connections, and how slow one may be."""

    connections_max: int = limits.connections_max
    header_bytes_max: int = limits.header_bytes_max
    header_timeout_ms: int = limits.header_timeout_ms
    keep_alive_timeout_ms: int = limits.keep_alive_timeout_ms
    body_bytes_per_second_min: int = limits.body_bytes_per_second_min
    write_stall_ms: int = limits.write_stall_ms
    requests_active_max: int = limits.requests_active_max
    stop_grace_ms: int = limits.stop_grace_ms
    sweep_interval_ms: int = limits.sweep_interval_ms

    @staticmethod
    def of(settings: Limits) -> "ConnectionLimits":
        """What the configuration says."""
        return ConnectionLimits(
            connections_max=settings.connections_max,
            header_timeout_ms=settings.header_timeout_ms,
            keep_alive_timeout_ms=settings.keep_alive_timeout_ms,
            requests_active_max=settings.requests_active_max,
            stop_grace_ms=settings.stop_grace_ms,
        )


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with bounds on the head, on slowness and on what is thrown away, and with cancelled long-polls."""

    def __init__(self, config: Config, server_state: ServerState, connection_limits: ConnectionLimits) -> None:
        super().__init__(config, server_state, {})
        self._limits = connection_limits
        self._running: tuple[RequestResponseCycle, asyncio.Task[None]] | None = None
        self._head_bytes = 0
        self._body_bytes = 0
        self._discarded_bytes = 0
        self._silent_bytes = 0
        self._reading_head = True
        self._is_last = False
        self._unsent_bytes = 0
        self._unsent_since = 0.0
        # When the head or body that we wait for began; None while we owe a reply or the connection rests.
        self._since: float | None = None

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, or drop it when there are too many."""
        super().connection_made(transport)
        self._since = self.loop.time()
        if len(self.connections) > self._limits.connections_max:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever serves this connection that the client is gone."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        if self._running is not None:
            cycle, task = self._running
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.scope.get(CANCELLABLE) and not cycle.response_complete:
                task.cancel()
        # Requests that were waiting in the pipeline have nobody to be answered.
        self.pipeline.clear()

    def data_received(self, data: bytes) -> None:
        """Parse; refuse what the parser swallows without a word (an endless header, an endless chunk extension)."""
        self._silent_bytes += len(data)
        super().data_received(data)
        if self._silent_bytes > self._limits.header_bytes_max and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or too much of it, and end the connection."""
        if self._running is not None and not self._running[0].response_complete:
            # An answer to an earlier request is on its way; ours would land in its middle.
            self.transport.abort()
            return
        body = b'{"errcode":"M_UNRECOGNIZED","error":"This is not a request we understand, or its head is too large."}'
        head = (b"HTTP/1.1 400 Bad Request", b"content-type: application/json", b"connection: close")
        self.transport.write(b"\r\n".join((*head, b"content-length: %d" % len(body), b"", body)))
        self.transport.close()

    def sweep(self, now: float) -> None:
        """Close the connection if its head or body is late, or if nobody reads our answer."""
        if self._is_stalled(now):
            self.transport.abort()
            return
        if self._since is None or self.transport.is_closing():
            return
        allowed = self._limits.header_timeout_ms / 1000
        if not self._reading_head:
            allowed += self._body_bytes / self._limits.body_bytes_per_second_min
            if self.flow.read_paused:
                # We are the slow one: the handler has not asked for more.
                return
        if now - self._since > allowed:
            self.transport.abort()

    def _is_stalled(self, now: float) -> bool:
        # Closing would wait for the bytes to leave, for ever if the client keeps the connection open and reads nothing.
        unsent: int = self.transport.get_write_buffer_size()
        if unsent and unsent == self._unsent_bytes:
            return now - self._unsent_since > self._limits.write_stall_ms / 1000
        self._unsent_bytes, self._unsent_since = unsent, now
        return False

    # One request

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._head_bytes = self._body_bytes = self._discarded_bytes = 0
        self._reading_head = True
        self._since = self.loop.time()
        scope: Any = self.scope
        scope[SEND_WHOLE] = self._send_whole

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; a trailer is counted and dropped, for no proxy in front of us has looked at it as a header."""
        self._silent_bytes = 0
        self._count_head(len(name) + len(value) + 4)
        if self._reading_head:
            super().on_header(name, value)

    def _count_head(self, count: int) -> None:
        self._head_bytes += count
        if self._head_bytes > self._limits.header_bytes_max:
            raise _HeadTooLarge

    def on_headers_complete(self) -> None:
        """The head is complete: the request starts, if everybody who reads it must agree where it ends."""
        self._reading_head = False
        is_upgrade = self.parser.should_upgrade()
        _check_framing(self.parser.get_http_version(), self.headers, is_upgrade=is_upgrade)
        super().on_headers_complete()
        if is_upgrade:
            # The parser throws away what follows in the same piece, so nothing may follow.
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A piece of the body, wanted or not."""
        self._body_bytes += len(body)
        self._silent_bytes = 0
        if self.cycle.response_complete:
            # Reading on for a while lets the client see our refusal; closing at once would reset it away.
            self._discarded_bytes += len(body)
            if self._discarded_bytes > limits.body_discarded_bytes_max:
                self.transport.abort()
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request is here."""
        self._since = None
        self._silent_bytes = 0
        super().on_message_complete()
        if self._is_last:
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
        self._running = (cycle, task)

    def _send_whole(self, status: int, head: bytes, body: bytes) -> bool:
        # What the cycle's `send` does in two calls, header by header, for a reply that we know from head to end.
        assert self._running is not None
        cycle = self._running[0]
        if self.flow.write_paused or cycle.response_started or cycle.disconnected:
            return False
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        parts = [_status_line(status), *(b"%b: %b\r\n" % pair for pair in cycle.default_headers)]
        if not cycle.keep_alive:
            parts.append(b"connection: close\r\n")
        parts.append(head)
        if cycle.scope["method"] != "HEAD":
            parts.append(body)
        self.transport.write(b"".join(parts))
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            if cycle.more_body:
                # Closing before the body is here would reset the connection, and our reply would be lost with it.
                self._is_last = True
            else:
                self.transport.close()
        cycle.on_response()
        return True

    def _unsupported_upgrade_warning(self) -> None:
        """Somebody wants a websocket; we answer the request as it stands."""


def _status_line(status: int) -> bytes:
    line = _STATUS_LINES.get(status)
    return line if line is not None else b"HTTP/1.1 %d \r\n" % status


_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


def _check_framing(version: str, headers: Sequence[tuple[bytes, bytes]], *, is_upgrade: bool) -> None:
    """Refuse what llhttp lets through and another reader of the stream might understand otherwise. Raises _Ambiguous.

    Spec: RFC 9112, sections 3.2, 6.1 and 11.2
    """
    if version not in ("1.1", "1.0"):
        raise _Ambiguous
    hosts = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            if is_upgrade or version == "1.0" or value.strip().lower() != b"chunked":
                raise _Ambiguous
        elif name == b"content-length" and is_upgrade and value.strip() != b"0":
            # Where an upgrade is asked for, llhttp reads no body and would take it for the next request.
            raise _Ambiguous
    if hosts > 1:
        raise _Ambiguous


class _Ambiguous(Exception):
    """Makes the parser stop; the client gets a 400 and the connection ends."""


class _HeadTooLarge(Exception):
    """Makes the parser stop; the client gets a 400 and the connection ends."""
