"""Previews of web pages: remembered for a while, made once for all who ask at the same time, off unless configured.

Every reason why there is none looks the same to who asks, so that nobody explores networks by asking.
Spec: client-server-api#get_matrixclientv1mediapreview_url
"""

import asyncio

import orjson

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import BadRequest, Forbidden, LimitExceeded, NotFound, Refused
from watchword.edge.endpoint import Rate
from watchword.edge.rate_limits import Allowance, RateLimiter
from watchword.edge.requester import Requester
from watchword.server.media import decide_previews, preview_tables
from watchword.server.media.commands import PreviewSettings
from watchword.server.media.pages import NoPreview, Pages
from watchword.server.media.preview_tables import StoredPreview
from watchword.server.media.waiting import Turns
from watchword.storage.database import Database

_BUSY_RETRY_MS = 2_000
_ALLOWANCES = {Rate.MEDIA: Allowance(limits.previews_per_second, limits.previews_burst)}


class Previews:
    """Previews of pages."""

    def __init__(self, database: Database, clock: Clock, pages: Pages | None, settings: PreviewSettings) -> None:
        """pages: None where previews are off."""
        self._database = database
        self._clock = clock
        self._pages = pages
        self._settings = settings
        self._turns = Turns()
        self._limiter = RateLimiter(_ALLOWANCES, clock)
        self._active = asyncio.Semaphore(limits.previews_active_max)
        self._waiting = 0
        self._failed: dict[tuple[str, str], int] = {}

    async def of(self, requester: Requester, url: str | None, wanted_ts: int | None, accept_language: str | None) -> bytes:
        """The preview as encoded JSON; `{}` if the page says nothing. wanted_ts: when it should have been made.

        Raises Forbidden where previews are off; BadRequest; NotFound; LimitExceeded.
        """
        pages = self._pages
        if pages is None:
            raise Forbidden("This server makes no previews.")
        if url is None:
            raise BadRequest("M_MISSING_PARAM", "url is missing.")
        page = decide_previews.page_of(url)
        if isinstance(page, Refused):
            raise page.refusal()
        key = (page, decide_previews.language_of(accept_language, self._settings.language))
        found = await self._stored(key, wanted_ts)
        if found is not None:
            return found.body
        if requester.rate_limited:
            self._limiter.take(Rate.MEDIA, requester.user_id)
        if self._waiting >= limits.previews_waiting_max:
            raise LimitExceeded(_BUSY_RETRY_MS, "The server is looking at too many pages.")
        self._waiting += 1
        try:
            async with self._turns.turn("\n".join(key)), self._active:
                found = await self._stored(key, wanted_ts) or await self._made(pages, key)
        finally:
            self._waiting -= 1
        return found.body

    async def _stored(self, key: tuple[str, str], wanted_ts: int | None) -> StoredPreview | None:
        """A preview of the wanted time or a later one; of now, if nobody says."""
        fresh_since_ts = self._clock.now_ms() - limits.preview_fresh_ms
        async with self._database.read() as view:
            if wanted_ts is None or wanted_ts >= fresh_since_ts:
                found = await preview_tables.newest(view, *key, limits.canonical_integer_max)
                return found if found is not None and found.created_ts > fresh_since_ts else None
            before = await preview_tables.newest(view, *key, wanted_ts)
            if before is not None and before.created_ts > wanted_ts - limits.preview_fresh_ms:
                return before
            return await preview_tables.first_after(view, *key, wanted_ts)

    async def _made(self, pages: Pages, key: tuple[str, str]) -> StoredPreview:
        now_ms = self._clock.now_ms()
        if self._failed.get(key, 0) > now_ms:
            raise _none()
        try:
            seen = await pages.look(*key)
        except NoPreview as error:
            self._failed[key] = now_ms + limits.preview_failed_ms
            if len(self._failed) > limits.previews_failed_remembered_max:
                del self._failed[next(iter(self._failed))]
            raise _none() from error
        made = StoredPreview(orjson.dumps(seen.graph), self._clock.now_ms())
        async with self._database.write() as tx:
            await preview_tables.put(tx, key, made, seen.image_media_id)
        return made


def _none() -> NotFound:
    return NotFound("There is no preview of this address.")
