"""Looks at a web page and its picture: fetched through the one way out, read in limited processes.

Every address (the page's, those it redirects to, its picture's) is checked against the operator's lists here, and against
private networks where the socket is made (`edge/fetch`). One time limit holds for everything together. Only the beginning of a
page is read.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from watchword.base import limits
from watchword.base.entropy import Entropy
from watchword.base.errors import LimitExceeded, WatchwordError
from watchword.edge.fetch import Fetcher, FetchFailed, Fetching, Outgoing
from watchword.protocol.ids import ServerName
from watchword.server.media import decide_kinds, decide_previews
from watchword.server.media.commands import Media, MediaName, PreviewSettings
from watchword.server.media.removal import Removal
from watchword.server.media.sandbox import Sandbox, SandboxFailed
from watchword.server.media.service import MediaService

logger = logging.getLogger(__name__)

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_ACCEPT_PAGE = "text/html,application/xhtml+xml,image/*;q=0.9,*/*;q=0.5"
_ACCEPT_PICTURE = "image/webp,image/png,image/jpeg,image/gif,image/avif,*/*;q=0.1"
_EMBED_BYTES_MAX = 262_144
_decode = msgspec.json.Decoder().decode


class NoPreview(WatchwordError):
    """Nothing can be said of this page."""


class Seen:
    """What was seen: OpenGraph keys, and the media ID of the picture that was stored for them."""

    def __init__(self, graph: dict[str, object]) -> None:
        self.graph = graph
        self.image_media_id = ""


class Pages:
    """Looks at pages."""

    def __init__(
        self,
        fetcher: Fetcher,
        readers: tuple[Sandbox, Sandbox],
        service: MediaService,
        removal: Removal,
        entropy: Entropy,
        server_name: ServerName,
        settings: PreviewSettings,
    ) -> None:
        """readers: the processes for pages and for pictures."""
        self._fetcher = fetcher
        self._reader, self._pictures = readers
        self._service = service
        self._removal = removal
        self._entropy = entropy
        self._server_name = server_name
        self._settings = settings

    async def look(self, url: str, language: str) -> Seen:
        """What a page says of itself. Raises NoPreview, whatever the reason; LimitExceeded."""
        try:
            async with asyncio.timeout(limits.preview_timeout_ms / 1000):
                return await self._look(url, language)
        except (FetchFailed, SandboxFailed, TimeoutError) as error:
            logger.info("A page could not be looked at.", extra={"cause": type(error).__name__})
            raise NoPreview from error

    async def _look(self, url: str, language: str) -> Seen:
        async with self._open(url, _ACCEPT_PAGE, language) as answer:
            if not 200 <= answer.status < 300:
                raise NoPreview
            content_type = answer.headers.get("content-type", "")
            kind, place = decide_previews.bare_type(content_type), answer.url
            if kind.startswith("image/"):
                seen = Seen({"og:title": _file_name(place)} if _file_name(place) else {})
                await self._add_picture(seen, answer)
                return seen
            if kind not in decide_previews.PAGE_TYPES:
                return Seen({})
            beginning = await _beginning(answer, limits.preview_page_bytes_max)
        # The connection is closed: what follows may take its time.
        said, _ = await self._reader.run(
            {"charset": decide_previews.charset_of(content_type)}, _once(beginning), len(beginning)
        )
        if "error" in said:
            raise NoPreview
        return await self._from_words(place, said, language)

    async def _from_words(self, place: str, said: Mapping[str, Any], language: str) -> Seen:
        words = said.get("og")
        base = decide_previews.resolved(place, decide_previews.address(said, "base")) or place
        seen = Seen(decide_previews.open_graph(words, base))
        picture = decide_previews.address(words, "og:image")
        embed = decide_previews.resolved(base, decide_previews.address(said, "oembed"))
        if decide_previews.address(said, "oembed") and embed is not None and not (picture and seen.graph.get("og:description")):
            more = await self._embedded(embed, language)
            picture = picture or more.pop("og:image", "")
            seen.graph = {**decide_previews.open_graph(more, base), **seen.graph}
        image_url = decide_previews.resolved(base, picture) if picture else None
        if image_url is not None:
            await self._fetch_picture(seen, image_url, language)
        return seen

    async def _embedded(self, url: str, language: str) -> dict[str, str]:
        try:
            async with self._open(url, "application/json", language) as answer:
                encoded = await _beginning(answer, _EMBED_BYTES_MAX)
            return decide_previews.embedded(_decode(encoded)) if answer.status == 200 else {}
        except (FetchFailed, NoPreview, ValueError, RecursionError):  # ValueError: no JSON, or no UTF-8
            return {}

    async def _fetch_picture(self, seen: Seen, url: str, language: str) -> None:
        """Add the picture if it can be had; a page without it is still worth a preview."""
        try:
            async with self._open(url, _ACCEPT_PICTURE, language, limits.preview_image_bytes_max) as answer:
                if answer.status == 200:
                    await self._add_picture(seen, answer)
        except (FetchFailed, SandboxFailed, NoPreview, LimitExceeded) as error:
            logger.info("The picture of a page could not be had.", extra={"cause": type(error).__name__})

    async def _add_picture(self, seen: Seen, answer: Fetching) -> None:
        head, pieces = await _peeked(answer.pieces)
        if decide_kinds.kind_of(head) not in decide_kinds.PICTURES:
            return
        name = MediaName(self._server_name, self._entropy.token(18))
        described = (decide_previews.bare_type(answer.headers.get("content-type", "")), None)
        media = await self._service.add_copy(name, described, pieces, limits.preview_image_bytes_max)
        if media is None:
            return
        measured: Mapping[str, Any] = {"error": "failed"}
        try:
            measured = await self._measured(media)
        finally:
            if "error" in measured:
                await self._removal.delete([name])
        if "error" in measured:
            return
        seen.image_media_id = name.media_id
        seen.graph["og:image"] = f"mxc://{name.server_name}/{name.media_id}"
        seen.graph["og:image:type"] = f"image/{media.kind}"
        seen.graph["matrix:image:size"] = media.file.size_bytes
        for side in ("width", "height"):
            if isinstance(measured.get(side), int) and 0 < measured[side] < 1 << 31:
                seen.graph[f"og:image:{side}"] = measured[side]

    async def _measured(self, media: Media) -> Mapping[str, Any]:
        answer, _ = await self._pictures.run({"job": "measure"}, self._service.files.read(media.file), media.file.size_bytes)
        return answer

    @asynccontextmanager
    async def _open(
        self, url: str, accept: str, language: str, bytes_max: int = limits.peer_response_bytes_max
    ) -> AsyncGenerator[Fetching, None]:
        """Ask, following redirects by hand: each hop is a host that the operator may have forbidden."""
        place: str | None = url
        for _ in range(limits.preview_redirects_max + 1):
            if place is None or not decide_previews.may_visit(place, self._settings):
                raise NoPreview
            headers = {"Accept": accept, "Accept-Language": language}
            asked = Outgoing("GET", place, headers, timeout_ms=limits.preview_timeout_ms, bytes_max=bytes_max)
            async with self._fetcher.stream(asked) as answer:
                location = answer.headers.get("location")
                if answer.status not in _REDIRECTS or location is None:
                    yield answer
                    return
            place = decide_previews.resolved(place, location)
        raise NoPreview


def _file_name(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2], errors="replace")[: limits.file_name_characters_max]


async def _beginning(answer: Fetching, bytes_max: int) -> bytes:
    found = bytearray()
    async for piece in answer.pieces:
        found += piece
        if len(found) >= bytes_max:
            break
    return bytes(found[:bytes_max])


async def _peeked(pieces: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """The first bytes, and all of them."""
    head = b""
    async for piece in pieces:
        head += piece
        if len(head) >= limits.file_head_bytes:
            break

    async def again() -> AsyncIterator[bytes]:
        yield head
        async for piece in pieces:
            yield piece

    return head[: limits.file_head_bytes], again()


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
