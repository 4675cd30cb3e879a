"""Downloads files from other servers, in pieces. Fits `media.ports.RemoteMedia`.

Asks in the signed form; a server that does not know it is asked in the older, unsigned one. A file that its server keeps
elsewhere (`Location`) is fetched from there, by the same guarded way out.
Spec: server-server-api#content-repository
"""

import errno
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack

from watchword.base import limits
from watchword.base.errors import PeerError, RemoteProtocolError
from watchword.protocol.ids import ServerName
from watchword.server.federation.multipart import MediaParts, boundary_of
from watchword.server.federation.peer import Ask, PeerTransport, path_of
from watchword.server.federation.ports import Egress, PeerAnswer
from watchword.server.federation.settings import FederationSettings
from watchword.server.media.decide import file_name_in
from watchword.server.media.ports import RemoteFile

_TOO_LARGE = "M_TOO_LARGE"


class MediaClient:
    """Downloads."""

    def __init__(self, transport: PeerTransport, egress: Egress, settings: FederationSettings) -> None:
        self._transport = transport
        self._egress = egress
        self._settings = settings

    async def download(self, server_name: ServerName, media_id: str, *, bytes_max: int, timeout_ms: int) -> RemoteFile:
        """See RemoteMedia."""
        query = (("timeout_ms", str(timeout_ms)),)
        within_ms = self._settings.large_request_timeout_ms + timeout_ms
        ask = Ask("GET", path_of("/_matrix/federation/v1/media/download", media_id), query, timeout_ms=within_ms)
        stack = AsyncExitStack()
        try:
            try:
                answer = await stack.enter_async_context(self._transport.open(server_name, ask))
            except PeerError as error:
                if error.status != 404 or error.errcode not in (None, "M_UNRECOGNIZED"):
                    raise
                return await self._download_unsigned(stack, (server_name, media_id), query, bytes_max)
            return await self._read_parts(stack, server_name, answer, bytes_max)
        except BaseException:
            await stack.aclose()
            raise

    async def _download_unsigned(
        self, stack: AsyncExitStack, name: tuple[ServerName, str], query: tuple[tuple[str, str], ...], bytes_max: int
    ) -> RemoteFile:
        ask = Ask(
            "GET",
            path_of("/_matrix/media/v3/download", *name),
            (*query, ("allow_remote", "false"), ("allow_redirect", "false")),
            signed=False,
            timeout_ms=self._settings.large_request_timeout_ms,
        )
        answer = await stack.enter_async_context(self._transport.open(name[0], ask))
        return _file(answer.headers, _Pieces(stack, name[0], answer.pieces(bytes_max)))

    async def _read_parts(
        self, stack: AsyncExitStack, server_name: ServerName, answer: PeerAnswer, bytes_max: int
    ) -> RemoteFile:
        boundary = boundary_of(answer.headers.get("content-type", ""))
        if boundary is None:
            raise PeerError(server_name, "its answer is not the two parts that a file comes in")
        parts = MediaParts(boundary)
        # The bound is for the file; its envelope may come on top.
        source = answer.pieces(bytes_max + limits.key_answer_bytes_max)
        pieces = _Pieces(stack, server_name, source, parts, bytes_max)
        headers = await pieces.read_headers()
        location = headers.get("location")
        if location is None:
            return _file(headers, pieces)
        await stack.aclose()
        return await self._follow(server_name, location, bytes_max)

    async def _follow(self, server_name: ServerName, location: str, bytes_max: int) -> RemoteFile:
        stack = AsyncExitStack()
        try:
            timeout_ms = self._settings.large_request_timeout_ms
            answer = await stack.enter_async_context(self._egress.stream(location, timeout_ms=timeout_ms))
        except OSError as error:
            raise PeerError(server_name, "the place it names for the file could not be read") from error
        if answer.status != 200:
            await stack.aclose()
            raise PeerError(server_name, "the place it names for the file has none")
        return _file(answer.headers, _Pieces(stack, server_name, answer.pieces(bytes_max)))


def _file(headers: Mapping[str, str], pieces: AsyncIterator[bytes]) -> RemoteFile:
    return RemoteFile(headers.get("content-type"), file_name_in(headers.get("content-disposition")), pieces)


class _Pieces:
    """The file's bytes; ends the connection behind them when they are read, or when it is closed.

    parts: takes the envelope off; None if there is none.
    """

    def __init__(
        self,
        stack: AsyncExitStack,
        server_name: ServerName,
        source: AsyncIterator[bytes],
        parts: MediaParts | None = None,
        bytes_max: int = 0,
    ) -> None:
        self._stack = stack
        self._server_name = server_name
        self._source = source
        self._parts = parts
        self._left = bytes_max
        self._ready = b""

    def __aiter__(self) -> "_Pieces":
        return self

    async def __anext__(self) -> bytes:
        if self._ready:
            ready, self._ready = self._ready, b""
            return ready
        try:
            while not (piece := await self._next()):
                pass
        except BaseException:
            await self.aclose()
            raise
        return piece

    async def aclose(self) -> None:
        """End the connection. Idempotent."""
        await self._stack.aclose()

    async def read_headers(self) -> Mapping[str, str]:
        """The headers of the part that holds the file."""
        assert self._parts is not None, self._server_name
        while self._parts.headers is None:
            try:
                self._ready += await self._next()
            except StopAsyncIteration as error:
                raise PeerError(self._server_name, "its answer broke off") from error
        return self._parts.headers

    async def _next(self) -> bytes:
        if self._parts is not None and self._parts.is_whole:
            raise StopAsyncIteration
        try:
            piece = await anext(self._source, None)
        except OSError as error:
            errcode = _TOO_LARGE if error.errno == errno.EFBIG else None
            raise PeerError(self._server_name, "its answer broke off or is too long", errcode=errcode) from error
        if piece is None:
            if self._parts is not None:
                raise PeerError(self._server_name, "its answer broke off")
            raise StopAsyncIteration
        if self._parts is None:
            return piece
        try:
            body = self._parts.feed(piece)
        except RemoteProtocolError as error:
            raise PeerError(self._server_name, "its answer is malformed") from error
        self._left -= len(body)
        if self._left < 0:
            raise PeerError(self._server_name, "its file is too large", errcode=_TOO_LARGE)
        return body
