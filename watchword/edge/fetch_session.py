"""The part of `fetch` that speaks HTTP: loaded with its library when the first request goes out.

A server that asks nobody does without a tenth of its memory and of its time to start.
Words, errors and what is promised about addresses are in `fetch`.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from watchword.base import limits
from watchword.edge.addresses import AddressPolicy
from watchword.edge.dns import DnsFailed, Resolver
from watchword.edge.fetch import Failure, FetchFailed, FetchSettings, Outgoing

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What was meant for one origin alone.
_PRIVATE_HEADERS = frozenset({"authorization", "cookie", "host"})


class FetchSession:
    """The connections of one `Fetcher`. tls: None for the system's authorities."""

    def __init__(self, resolver: Resolver, policy: AddressPolicy, settings: FetchSettings, tls: ssl.SSLContext) -> None:
        self._resolver = resolver
        self._policy = policy
        self._settings = settings
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    @staticmethod
    def bounded(response: aiohttp.ClientResponse, peer: str, bytes_max: int, deadline: float) -> AsyncGenerator[bytes, None]:
        """The body in pieces; raises FetchFailed where it is too large or too late."""
        return _bounded(response, peer, bytes_max, deadline)

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def follow(self, outgoing: Outgoing, peer: str, deadline: float) -> aiohttp.ClientResponse:
        """Ask, and follow redirects as far as they may be followed. Raises FetchFailed."""
        follows = outgoing.redirects_max > 0 and outgoing.method in ("GET", "HEAD")
        redirects = 0
        while True:
            url = self._checked_url(outgoing.url, peer)
            response = await self._once(outgoing, url, peer, deadline)
            location = response.headers.get("location")
            if not follows or location is None or response.status not in _REDIRECTS:
                return response
            response.close()
            redirects += 1
            if redirects > outgoing.redirects_max:
                raise FetchFailed(peer, Failure.REDIRECT)
            outgoing = _redirected(outgoing, url, location, peer)

    def _checked_url(self, text: str, peer: str) -> URL:
        try:
            url = URL(text, encoded=True) if text.isascii() else URL(text)
            host, port = url.host, url.port
        except ValueError as error:
            raise FetchFailed(peer, Failure.GARBLED) from error
        schemes = ("https", "http") if self._settings.plain_http else ("https",)
        if url.scheme not in schemes or not host or not port or url.user is not None or url.password is not None:
            raise FetchFailed(peer, Failure.REDIRECT)
        if any(character.isspace() or not character.isprintable() for character in text):
            raise FetchFailed(peer, Failure.GARBLED)
        # A literal address meets no resolver; say at once what the socket factory would say.
        if _is_literal(host) and not self._policy.allows(host):
            raise FetchFailed(peer, Failure.ADDRESS)
        return url

    async def _once(self, outgoing: Outgoing, url: URL, peer: str, deadline: float) -> aiohttp.ClientResponse:
        session = self._open()
        try:
            async with asyncio.timeout_at(deadline):
                return await session.request(
                    outgoing.method,
                    url,
                    headers=outgoing.headers,
                    data=outgoing.body,
                    allow_redirects=False,
                    server_hostname=outgoing.verify_name if url.scheme == "https" else None,
                )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchFailed(peer, _why(error)) from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=_CheckedResolver(self._resolver, self._policy),
                use_dns_cache=False,
                ssl=self._tls,
                limit=self._settings.connections_max,
                keepalive_timeout=limits.egress_keep_alive_ms / 1000,
                socket_factory=self._socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self._settings.user_agent},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.egress_connect_timeout_ms / 1000),
                trust_env=False,
                max_line_size=limits.header_bytes_max // 4,
                max_field_size=limits.header_bytes_max // 4,
                skip_auto_headers=("Content-Type",),
            )
        return self._session

    def _socket(self, info: Any) -> socket.socket:
        # The last place before the packets: whatever came before, this address is the one we connect to.
        family, kind, proto, _, address = info
        if not self._policy.allows(address[0].partition("%")[0]):
            raise _AddressRefused(address[0])
        return socket.socket(family=family, type=kind, proto=proto)


class _AddressRefused(OSError):
    pass


class _NameFailed(OSError):
    pass


class _CheckedResolver(AbstractResolver):
    def __init__(self, resolver: Resolver, policy: AddressPolicy) -> None:
        self._resolver = resolver
        self._policy = policy

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        try:
            found = await self._resolver.addresses(host)
        except DnsFailed as error:
            raise _NameFailed(host) from error
        if not found:
            raise _NameFailed(host)
        allowed = [address for address in found if self._policy.allows(address)]
        if not allowed:
            raise _AddressRefused(host)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in allowed
        ]

    async def close(self) -> None:
        """The resolver belongs to whoever made it."""


async def _bounded(response: aiohttp.ClientResponse, peer: str, bytes_max: int, deadline: float) -> AsyncGenerator[bytes, None]:
    declared = response.headers.get("content-length", "")
    if declared.isdecimal() and response.method != "HEAD" and int(declared) > bytes_max:
        raise FetchFailed(peer, Failure.TOO_LARGE, status=response.status)
    size = 0
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                piece = await response.content.readany()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchFailed(peer, _why(error)) from error
        if not piece:
            return
        size += len(piece)
        if size > bytes_max:
            raise FetchFailed(peer, Failure.TOO_LARGE, status=response.status)
        yield piece


def _redirected(outgoing: Outgoing, url: URL, location: str, peer: str) -> Outgoing:
    try:
        target = url.join(URL(location, encoded=location.isascii()))
        same, text = target.origin() == url.origin(), str(target)
    except ValueError as error:
        raise FetchFailed(peer, Failure.REDIRECT) from error
    if url.scheme == "https" and target.scheme != "https":
        raise FetchFailed(peer, Failure.REDIRECT)
    if same:
        return replace(outgoing, url=text)
    headers = {name: value for name, value in outgoing.headers.items() if name.lower() not in _PRIVATE_HEADERS}
    return replace(outgoing, url=text, headers=headers, verify_name=None)


def _why(error: BaseException) -> Failure:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, _AddressRefused):
            return Failure.ADDRESS
        if isinstance(seen, _NameFailed):
            return Failure.NAME
        seen = seen.__cause__
    if isinstance(error, TimeoutError):
        return Failure.TIMEOUT
    if isinstance(error, aiohttp.ClientSSLError | ssl.CertificateError):
        return Failure.CERTIFICATE
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ServerDisconnectedError | OSError):
        return Failure.UNREACHABLE
    return Failure.GARBLED


def _is_literal(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()
