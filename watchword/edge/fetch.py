"""The one way out: every request to another machine (federation, media, previews, push, application services).

Addresses are checked where the socket is made, so that neither DNS, nor a redirect, nor a literal address goes around
the check. Redirects are followed by hand and counted, sizes and times are bounded, the environment's proxies are not
used, no cookies are kept. A connection belongs to (host, port, name that was verified) and is never reused for another
name. Make one `Fetcher` for each purpose: it has one address policy and one set of trusted certificates.

Every failure is a `FetchFailed`, which is a PeerError. Deliberately absent: retries and back-off; the caller knows
whether asking again makes sense. Resolving server names is `server/federation`.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from watchword.base import limits
from watchword.base.errors import PeerError
from watchword.edge.addresses import AddressPolicy
from watchword.edge.dns import Resolver

if TYPE_CHECKING:
    from watchword.edge.fetch_session import FetchSession

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


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """What all requests of a `Fetcher` have in common."""

    user_agent: str
    plain_http: bool
    connections_max: int


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
        self._settings = FetchSettings(user_agent, plain_http, connections_max)
        self._verify_certificates = verify_certificates
        # The system's authorities take 20 ms and a megabyte: whoever never asks does without. Files are tried at once.
        self._tls = _tls(verify_certificates, extra_ca_files) if extra_ca_files else None
        self._session: FetchSession | None = None

    async def _opened(self) -> "FetchSession":
        if self._session is None:
            # In a thread: the library takes a tenth of a second to load, in which others shall be answered.
            sessions = await asyncio.to_thread(import_module, "watchword.edge.fetch_session")
            tls = self._tls = self._tls or _tls(self._verify_certificates, ())
            self._session = self._session or sessions.FetchSession(self._resolver, self._policy, self._settings, tls)
        return self._session

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
        session = await self._opened()
        deadline = asyncio.get_running_loop().time() + outgoing.timeout_ms / 1000
        peer = _peer(outgoing)
        response = await session.follow(outgoing, peer, deadline)
        try:
            headers = {name.lower(): value for name, value in response.headers.items()}
            pieces = session.bounded(response, peer, outgoing.bytes_max, deadline)
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


def _peer(outgoing: Outgoing) -> str:
    if outgoing.peer:
        return outgoing.peer
    try:
        return urlsplit(outgoing.url).hostname or "?"
    except ValueError:
        return "?"


def _tls(verify_certificates: bool, extra_ca_files: Sequence[str]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for file in extra_ca_files:
        context.load_verify_locations(cafile=file)
    if not verify_certificates:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
