"""Small pictures: chosen here, made in a limited process, stored once for all who ask for the same of the same bytes.

Whoever comes second waits for the first. A picture that could not be read is remembered for a while, so that nobody makes the
server try again and again.
"""

import logging
from collections.abc import AsyncIterator

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import Refused, TooLarge
from watchword.server.media import decide, thumbnail_tables
from watchword.server.media.commands import Media
from watchword.server.media.decide import Variant, Wanted
from watchword.server.media.files import Files
from watchword.server.media.sandbox import Sandbox, SandboxFailed
from watchword.server.media.thumbnail_tables import Thumbnail
from watchword.server.media.waiting import Turns
from watchword.storage.database import Database

logger = logging.getLogger(__name__)

# What the limited process may say it made. It may have been taken over by what it read.
_MADE: dict[str, str] = {"image/jpeg": "jpeg", "image/png": "png", "image/gif": "gif", "image/webp": "webp"}
_REFUSED = {"too_much": decide.TOO_LARGE, "unreadable": decide.UNREADABLE}


class Thumbnails:
    """Small pictures of media."""

    def __init__(self, database: Database, files: Files, sandbox: Sandbox, clock: Clock) -> None:
        self._database = database
        self._files = files
        self._sandbox = sandbox
        self._clock = clock
        self._turns = Turns()
        self._failed: dict[tuple[bytes, str], tuple[int, Refused]] = {}

    async def of(self, media: Media, wanted: Wanted, *, is_remote: bool) -> Media:
        """The thumbnail to serve.

        Raises Refusal 400 M_UNKNOWN; 413 M_TOO_LARGE, 502 for files of other servers; LimitExceeded.
        Spec: client-server-api#thumbnails
        """
        refused = decide.has_thumbnails(media)
        if refused is None:
            made = await self._thumbnail(media, decide.variant(wanted, media.kind))
            if isinstance(made, Thumbnail):
                return _as_media(made)
            refused = made
        refusal = refused.refusal()
        if is_remote and refusal.status == TooLarge.status:
            refusal.status = 502
        raise refusal

    async def _thumbnail(self, media: Media, variant: Variant) -> Thumbnail | Refused:
        found = await self._stored(media, variant)
        if found is not None:
            return found
        key = (media.file.sha256, variant.name)
        async with self._turns.turn(f"{media.file.sha256.hex()}/{variant.name}"):
            failed = self._failed.get(key)
            if failed is not None and failed[0] > self._clock.now_ms():
                return failed[1]
            made = await self._stored(media, variant) or await self._make(media, variant)
        if isinstance(made, Refused):
            self._failed[key] = self._clock.now_ms() + limits.thumbnail_failed_ms, made
            if len(self._failed) > limits.thumbnails_failed_remembered_max:
                del self._failed[next(iter(self._failed))]
        return made

    async def _stored(self, media: Media, variant: Variant) -> Thumbnail | None:
        async with self._database.read() as view:
            found = await thumbnail_tables.find(view, media.file.sha256, variant.name)
        return found if found is not None and await self._files.exists(found.file) else None

    async def _make(self, media: Media, variant: Variant) -> Thumbnail | Refused:
        size = variant.size
        job = {
            "job": "thumbnail",
            "width": 0 if size is None else size.width,
            "height": 0 if size is None else size.height,
            "crop": size is not None and size.crop,
            "moves": variant.moves,
            "webp": variant.webp,
        }
        try:
            answer, data = await self._sandbox.run(job, self._files.read(media.file), media.file.size_bytes)
        except SandboxFailed:
            logger.info("A picture could not be made smaller.", extra={"bytes": media.file.size_bytes, "kind": media.kind})
            return decide.UNREADABLE
        content_type = answer.get("type")
        if "error" in answer or content_type not in _MADE or (not data and answer.get("original") is not True):
            return _REFUSED.get(str(answer.get("error")), decide.UNREADABLE)
        if not data:
            return await self._keep(media, variant, Thumbnail(content_type, media.file, self._clock.now_ms()))
        async with self._files.storing(_once(data), len(data)) as file:
            assert file is not None
            return await self._keep(media, variant, Thumbnail(content_type, file, self._clock.now_ms()))

    async def _keep(self, media: Media, variant: Variant, made: Thumbnail) -> Thumbnail:
        async with self._database.write() as tx:
            await thumbnail_tables.put(tx, media.file.sha256, variant.name, made)
        return made


def _as_media(made: Thumbnail) -> Media:
    kind = _MADE[made.content_type]
    return Media(made.content_type, f"thumbnail.{kind}", made.file, made.created_ts, kind)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
