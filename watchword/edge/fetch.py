"""The one way out: every request to another machine (federation, media, previews, push, application services).

Addresses are checked where the socket is made, so that neither DNS, nor a redirect, nor a literal address goes around
the check. Redirects are followed by hand and counted, sizes and times are bounded, the environment's proxies are not
used, no cookies are kept. A connection belongs to (host, port, name that was verified) and is never reused for another
name. Make one `Fetcher` for each purpose: it has one address policy and one set of trusted certificates.

Every failure is a `FetchFailed`, which is a PeerError. Deliberately absent: retries and back-off; the caller knows
whether asking again makes sense. Resolving server names is `server/federation`.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from watchword.base import limits
from watchword.base.errors import PeerError
from watchword.edge.addresses import AddressPolicy
from watchword.edge.dns import DnsFailed, Resolver

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What was meant for one origin alone.
_PRIVATE_HEADERS = frozenset({"authorization", "cookie", "host"})
_decode_json = msgspec.json.Decoder().decode


class Failure(Enum):
    """Why a request brought nothing."""

    ADDRESS = "the address is not one we connect to"
    NAME = "the name could not be resolved"
    UNREACHABLE = "no connection"
    CERTIFICATE = "the certificate is not valid for this name"
    TIMEOUT = "no whole answer in time"
    TOO_LARGE = "the answer is too large"
    REDIRECT = "redirected too often, or to where we do not go"
    GARBLED = "the answer is not what HTTP or JSON allow"
    STATUS = "refused"


class FetchFailed(PeerError):
    """A request brought no usable answer. failure says why; status, errcode and body are set if the peer answered."""

    def __init__(self, peer: str, failure: Failure, **answer: Any) -> None:
        super().__init__(peer, failure.value, **answer)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request to make.

    url: absolute; sent as it is written. verify_name: the name that the certificate must bear, if not the URL's host.
    bytes_max: of the body once decompressed. timeout_ms: from the look-up of the name to the last byte.
    redirects_max: for GET and HEAD; others are never redirected. peer: who it is for, in errors; else the host.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    verify_name: str | None = None
    timeout_ms: int = 30_000
    bytes_max: int = limits.peer_response_bytes_max
    redirects_max: int = 0
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole answer, whatever its status. Header names are lower-case. url: where it came from in the end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Fetching:
    """An answer whose body is still coming; read `pieces` once, before the context ends. Raises FetchFailed."""

    status: int
    headers: Mapping[str, str]
    url: str
    pieces: AsyncGenerator[bytes, None]

    async def read(self) -> bytes:
        """The whole body. Raises FetchFailed."""
        return b"".join([piece async for piece in self.pieces])


class Fetcher:
    """A client for one purpose. Close it at the end.

    extra_ca_files: PEM, trusted besides the system's. verify_certificates: False only in test set-ups.
    plain_http: whether `http:` URLs may be asked for, or redirected to.
    """

    def __init__(
        self,
        resolver: Resolver,
        policy: AddressPolicy,
        *,
        user_agent: str = "Watchword",
        plain_http: bool = False,
        verify_certificates: bool = True,
        extra_ca_files: Sequence[str] = (),
        connections_max: int = limits.egress_connections_max,
    ) -> None:
        self._resolver = resolver
        self._policy = policy
        self._user_agent = user_agent
        self._plain_http = plain_http
        self._verify_certificates = verify_certificates
        # The system's authorities take 20 ms and a megabyte: whoever never asks does without. Files are tried at once.
        self._tls = _tls(verify_certificates, extra_ca_files) if extra_ca_files else None
        self._connections_max = connections_max
        self._session: aiohttp.ClientSession | None = None

    def _trust(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = _tls(self._verify_certificates, ())
        return self._tls

    async def fetch(self, outgoing: Outgoing) -> Fetched:
        """Ask, and read the whole answer."""
        async with self.stream(outgoing) as answer:
            return Fetched(answer.status, answer.headers, await answer.read(), answer.url)

    async def fetch_json(self, outgoing: Outgoing) -> dict[str, Any]:
        """Ask for a JSON object with a status of 2xx. Raises FetchFailed with status, errcode and body otherwise."""
        answer = await self.fetch(outgoing)
        peer = _peer(outgoing)
        value: object = None
        with suppress(ValueError, RecursionError):
            value = _decode_json(answer.body)
        found: dict[str, Any] | None = value if isinstance(value, dict) else None
        if 200 <= answer.status < 300:
            if found is None:
                raise FetchFailed(peer, Failure.GARBLED, status=answer.status)
            return found
        raise refused(peer, answer.status, answer.headers, found)

    @asynccontextmanager
    async def stream(self, outgoing: Outgoing) -> AsyncGenerator[Fetching, None]:
        """Ask, follow redirects, and give the body in pieces."""
        deadline = asyncio.get_running_loop().time() + outgoing.timeout_ms / 1000
        peer = _peer(outgoing)
        response = await self._follow(outgoing, peer, deadline)
        try:
            headers = {name.lower(): value for name, value in response.headers.items()}
            pieces = _bounded(response, peer, outgoing.bytes_max, deadline)
            try:
                yield Fetching(response.status, headers, str(response.url), pieces)
            finally:
                await pieces.aclose()
        finally:
            # Gives the connection back if the body was read to its end, else closes it.
            response.release() if response.content.at_eof() else response.close()

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _follow(self, outgoing: Outgoing, peer: str, deadline: float) -> aiohttp.ClientResponse:
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
        schemes = ("https", "http") if self._plain_http else ("https",)
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
                ssl=self._trust(),
                limit=self._connections_max,
                keepalive_timeout=limits.egress_keep_alive_ms / 1000,
                socket_factory=self._socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self._user_agent},
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


def refused(peer: str, status: int, headers: Mapping[str, str], body: Mapping[str, Any] | None) -> FetchFailed:
    """The error for an answer that is a refusal, with what backing off needs."""
    errcode = body.get("errcode") if body is not None else None
    return FetchFailed(
        peer,
        Failure.STATUS,
        status=status,
        errcode=errcode if isinstance(errcode, str) else None,
        body=body,
        retry_after_ms=_retry_after_ms(headers, body),
    )


def _retry_after_ms(headers: Mapping[str, str], body: Mapping[str, Any] | None) -> int | None:
    seconds = headers.get("retry-after", "")
    if seconds.isascii() and seconds.isdecimal() and len(seconds) < 10:
        return int(seconds) * 1000
    asked = body.get("retry_after_ms") if body is not None else None
    return asked if isinstance(asked, int) and not isinstance(asked, bool) and 0 <= asked < 10**12 else None


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


def _peer(outgoing: Outgoing) -> str:
    if outgoing.peer:
        return outgoing.peer
    try:
        return URL(outgoing.url).host or "?"
    except ValueError:
        return "?"


def _is_literal(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _tls(verify_certificates: bool, extra_ca_files: Sequence[str]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for file in extra_ca_files:
        context.load_verify_locations(cafile=file)
    if not verify_certificates:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
