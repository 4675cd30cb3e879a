"""Fits `ports.Egress` with the house's one way out (`edge.fetch`) and its resolver. Translates, decides nothing."""

import errno
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from watchword.base import limits
from watchword.edge.dns import DnsFailed, Resolver
from watchword.edge.fetch import Failure, Fetcher, FetchFailed, Fetching, Outgoing
from watchword.server.federation.discovery_rules import SrvRecord
from watchword.server.federation.ports import PeerAnswer, PeerCall, WholeAnswer


class EgressFailed(OSError):
    """No usable answer; the text is for the log. errno is EFBIG for an answer that is too long."""


class EgressTimedOut(EgressFailed, TimeoutError):
    """No whole answer in time."""


class _Answer:
    """An answer that is still coming."""

    def __init__(self, fetching: Fetching) -> None:
        self._fetching = fetching
        self.status = fetching.status
        self.headers: Mapping[str, str] = fetching.headers

    async def read(self, bytes_max: int) -> bytes:
        return b"".join([piece async for piece in self.pieces(bytes_max)])

    async def pieces(self, bytes_max: int) -> AsyncIterator[bytes]:
        size = 0
        try:
            async for piece in self._fetching.pieces:
                size += len(piece)
                if size > bytes_max:
                    raise EgressFailed(errno.EFBIG, "the answer is too long")
                yield piece
        except FetchFailed as error:
            raise _failed(error) from error


class HttpsEgress:
    """The way out for federation. The fetcher and the resolver belong to whoever made them."""

    def __init__(self, fetcher: Fetcher, resolver: Resolver) -> None:
        self._fetcher = fetcher
        self._resolver = resolver

    def call(self, call: PeerCall) -> AbstractAsyncContextManager[PeerAnswer]:
        """See Egress."""
        target = call.target
        host = f"[{target.connect_host}]" if ":" in target.connect_host else target.connect_host
        return self._open(
            Outgoing(
                call.method,
                f"https://{host}:{target.connect_port}{call.uri}",
                {**call.headers, "Host": target.host_header},
                call.body,
                verify_name=target.certificate_name,
                timeout_ms=call.timeout_ms,
                # Whoever reads says how much he takes.
                bytes_max=limits.media_body_bytes_max,
            )
        )

    async def get(self, url: str, *, bytes_max: int, timeout_ms: int) -> WholeAnswer:
        """See Egress."""
        async with self._open(
            Outgoing("GET", url, timeout_ms=timeout_ms, redirects_max=limits.well_known_redirects_max)
        ) as answer:
            return WholeAnswer(answer.status, answer.headers, await answer.read(bytes_max))

    def stream(self, url: str, *, timeout_ms: int) -> AbstractAsyncContextManager[PeerAnswer]:
        """See Egress."""
        redirects_max = limits.well_known_redirects_max
        return self._open(
            Outgoing("GET", url, timeout_ms=timeout_ms, redirects_max=redirects_max, bytes_max=limits.media_body_bytes_max)
        )

    async def srv(self, name: str) -> Sequence[SrvRecord]:
        """See Egress."""
        try:
            found = await self._resolver.srv(name)
        except DnsFailed as error:
            raise EgressFailed("DNS did not answer") from error
        return [SrvRecord(record.priority, record.weight, record.port, record.target) for record in found]

    @asynccontextmanager
    async def _open(self, outgoing: Outgoing) -> AsyncIterator[PeerAnswer]:
        try:
            async with self._fetcher.stream(outgoing) as fetching:
                yield _Answer(fetching)
        except FetchFailed as error:
            raise _failed(error) from error


def _failed(error: FetchFailed) -> EgressFailed:
    if error.failure is Failure.TOO_LARGE:
        return EgressFailed(errno.EFBIG, error.failure.value)
    kind = EgressTimedOut if error.failure is Failure.TIMEOUT else EgressFailed
    return kind(error.failure.value)
