"""Listening: sockets, TLS, time limits and a quick stop, around uvicorn's HTTP/1.1 protocol.

Every listener has its own sockets, its own `AsgiApp` and its own time limits; all run on one loop. We drive uvicorn's
protocol ourselves, because its server takes the process's signals, polls, and waits its whole grace period for long-polls
at the stop. `Stopping` wakes those here; what is not answered when the grace ends is cancelled.

A connection that sends nothing, or its head or body too slowly, is closed by a sweep once a second: no timer per request.
Deliberately absent: HTTP/2 and 3, websockets, ACME. A reverse proxy does those.
"""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate

from uvicorn.config import Config as UvicornConfig
from uvicorn.server import ServerState

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.config import Config
from watchword.base.errors import WatchwordError
from watchword.edge.asgi import AsgiApp
from watchword.edge.client_address import TrustedProxies
from watchword.edge.connection import Connection, ConnectionLimits
from watchword.edge.router import ALL_DOORS, Router
from watchword.edge.stopping import Stopping

logger = logging.getLogger(__name__)


class ListenError(WatchwordError):
    """A listener cannot start: the address is taken, or a certificate cannot be read."""


@dataclass(frozen=True)
class Listen:
    """Where to listen and what to serve there.

    host and port, or unix_socket (a path; unix_socket_mode as in chmod). port 0 takes any free one.
    certificate_file, key_file: PEM; both or neither. doors: see `router.doors_of`. proxies: networks of ours.
    """

    host: str = "127.0.0.1"
    port: int = 8008
    unix_socket: str | None = None
    unix_socket_mode: int = 0o660
    certificate_file: str | None = None
    key_file: str | None = None
    doors: frozenset[str] = ALL_DOORS
    proxies: Sequence[str] = ()


def listens(settings: Config) -> Sequence[Listen]:
    """The listeners of a configuration."""
    return [
        Listen(
            host=listener.host,
            port=listener.port,
            unix_socket=listener.unix_socket,
            unix_socket_mode=int(listener.unix_socket_mode, 8),
            certificate_file=listener.certificate_file,
            key_file=listener.key_file,
            doors=frozenset(listener.serves),
            proxies=listener.trusted_proxies,
        )
        for listener in settings.listeners
    ]


class Listeners:
    """All listeners of one server. `start` binds them, `run` keeps them in time, `stop` ends them."""

    def __init__(
        self,
        router: Router,
        listens: Sequence[Listen],
        stopping: Stopping,
        clock: Clock,
        connection_limits: ConnectionLimits | None = None,
    ) -> None:
        self._router = router
        self._listens = listens
        self._stopping = stopping
        self._clock = clock
        self._limits = connection_limits or ConnectionLimits()
        self._doors: list[_Door] = []

    async def start(self) -> None:
        """Bind every listener, or none. Raises ListenError."""
        try:
            for listen in self._listens:
                door = _Door(self._router, listen, self._limits)
                await door.start()
                self._doors.append(door)
                logger.info("Listening.", extra={"address": door.address, "doors": sorted(listen.doors)})
        except BaseException:
            for door in self._doors:
                door.close()
            raise
        self._set_date()

    async def run(self) -> None:
        """Close connections that are too slow and renew the Date header, until cancelled."""
        while True:
            await self._clock.sleep(self._limits.sweep_interval_ms)
            self._set_date()
            for door in self._doors:
                door.sweep()

    async def stop(self) -> None:
        """Refuse new connections, wake long-polls, let requests end within the grace, cancel the rest. Idempotent."""
        self._stopping.set()
        for door in self._doors:
            door.close()
        tasks = [task for door in self._doors for task in door.state.tasks]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._limits.stop_grace_ms / 1000)
            for task in late:
                task.cancel()
            if late:
                logger.warning("Requests were cut off at the stop.", extra={"requests": len(late)})
                await asyncio.wait(late, timeout=1)
        for door in self._doors:
            door.abort()
        # One turn of the loop, so that transports say goodbye before the loop closes.
        await asyncio.sleep(0)  # noqa: TID251 (a turn of the loop, not a wait)
        self._doors.clear()

    @property
    def ports(self) -> Sequence[int]:
        """The bound port of each listener in order; 0 for a unix socket."""
        return [door.port for door in self._doors]

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return sum(len(door.state.connections) for door in self._doors)

    def _set_date(self) -> None:
        date = formatdate(self._clock.now_ms() / 1000, usegmt=True).encode()
        for door in self._doors:
            # The protocol keeps a reference to the list of each request's time.
            door.state.default_headers = [(b"date", date)]


class _Door:
    def __init__(self, router: Router, listen: Listen, connection_limits: ConnectionLimits) -> None:
        self.listen = listen
        self.limits = connection_limits
        self.state = ServerState()
        app = AsgiApp(
            router,
            doors=listen.doors,
            proxies=TrustedProxies(listen.proxies),
            is_full=lambda: len(self.state.tasks) > connection_limits.requests_active_max,
        )
        self._config = UvicornConfig(
            app,
            http=Connection,
            ws="none",
            loop="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=connection_limits.keep_alive_timeout_ms // 1000,
        )
        self._config.load()
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        tls = self._tls()
        timeout = limits.tls_handshake_timeout_ms / 1000 if tls is not None else None
        try:
            if self.listen.unix_socket is not None:
                _remove_stale(self.listen.unix_socket)
                self._server = await loop.create_unix_server(
                    self._protocol,
                    self.listen.unix_socket,
                    ssl=tls,
                    ssl_handshake_timeout=timeout,
                    backlog=limits.listen_backlog,
                )
                os.chmod(self.listen.unix_socket, self.listen.unix_socket_mode)
            else:
                self._server = await loop.create_server(
                    self._protocol,
                    self.listen.host,
                    self.listen.port,
                    ssl=tls,
                    ssl_handshake_timeout=timeout,
                    backlog=limits.listen_backlog,
                    reuse_address=True,
                )
        except OSError as error:
            raise ListenError(f"cannot listen on {self._wanted}: {error.strerror or error}") from error

    def _protocol(self) -> Connection:
        return Connection(self._config, self.state, self.limits)

    def _tls(self) -> ssl.SSLContext | None:
        if self.listen.certificate_file is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.listen.certificate_file, self.listen.key_file)
        except (OSError, ssl.SSLError) as error:
            raise ListenError(f"cannot read the certificate {self.listen.certificate_file}: {error}") from error
        context.set_alpn_protocols(["http/1.1"])
        return context

    @property
    def _wanted(self) -> str:
        return self.listen.unix_socket or f"{self.listen.host}:{self.listen.port}"

    @property
    def port(self) -> int:
        if self._server is None or self.listen.unix_socket is not None:
            return 0
        sockets: Sequence[socket.socket] = self._server.sockets  # type: ignore[attr-defined]
        return int(sockets[0].getsockname()[1])

    @property
    def address(self) -> str:
        return self.listen.unix_socket or f"{self.listen.host}:{self.port}"

    def sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in list(self.state.connections):
            if isinstance(connection, Connection):
                connection.sweep(now)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        if self.listen.unix_socket is not None:
            with suppress(OSError):
                os.unlink(self.listen.unix_socket)
        for connection in list(self.state.connections):
            connection.shutdown()

    def abort(self) -> None:
        for connection in list(self.state.connections):
            connection.transport.abort()


def _remove_stale(path: str) -> None:
    # A socket left by a server that died; one that answers belongs to somebody.
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError:
            return
        else:
            raise ListenError(f"another server listens on {path}")
