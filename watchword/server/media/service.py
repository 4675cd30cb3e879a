"""The content repository's shell: store, find, fetch from other servers.

Deliberately absent: dropping files (`removal`), looking into them (`thumbnails`, `previews`).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import Conflict, Forbidden, LimitExceeded, NotFound, PeerError, Refusal, TooLarge
from watchword.protocol.ids import ServerName
from watchword.server.media import decide, decide_kinds, tables, upkeep_tables
from watchword.server.media.commands import Media, MediaName, MediaSettings, StoredFile, Uploader, Usage
from watchword.server.media.files import Files
from watchword.server.media.ports import RemoteMedia
from watchword.server.media.waiting import PendingWaiters, Turns
from watchword.storage.database import Database, ReadTx

logger = logging.getLogger(__name__)

Pieces = AsyncIterator[bytes]
Described = tuple[str | None, str | None]
"""The content type and the file name, as they were said."""
_HERE = ""
_DAY_MS = 86_400_000
_NOTHING = Usage(0, 0, 0)


class MediaService:
    """Uploads and downloads. `start` before the first request."""

    def __init__(
        self,
        database: Database,
        files: Files,
        clock: Clock,
        entropy: Entropy,
        server_name: ServerName,
        remote: RemoteMedia,
        settings: MediaSettings | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._entropy = entropy
        self._server_name = server_name
        self._remote = remote
        self.files = files
        self.settings = settings or MediaSettings()
        self._pending = PendingWaiters(clock)
        self._turns = Turns()
        self._fetching = asyncio.Semaphore(limits.remote_media_active_max)
        self._used: dict[MediaName, int] = {}

    async def start(self) -> None:
        """Make the folders and clear up after a crash."""
        left = await self.files.start()
        if left:
            logger.info("Half-written media files were dropped.", extra={"files": left})

    # Uploading

    async def upload(self, uploader: Uploader, described: Described, pieces: Pieces) -> str:
        """Store a file. Return its media ID. Raises TooLarge; Forbidden if the user's quota is used up.

        Spec: client-server-api#post_matrixmediav3upload
        """
        media_id = self._entropy.token(18)
        async with self._storing(uploader, described, pieces) as media, self._database.write() as tx:
            self._check_quota(await self._usage(tx, uploader), media.file.size_bytes)
            await tables.add(tx, (_HERE, media_id), uploader.user_id, media)
        return media_id

    async def create(self, uploader: Uploader) -> tuple[str, int]:
        """Give out a name for a later upload: (media ID, when it ends). Raises LimitExceeded, Forbidden.

        Spec: client-server-api#post_matrixmediav1create
        """
        now_ms = self._clock.now_ms()
        media_id, expires_ts = self._entropy.token(18), now_ms + self.settings.pending_upload_ms
        async with self._database.write() as tx:
            await tables.forget_expired(tx, now_ms)
            count, first_ts = await tables.pending_of(tx, uploader.user_id, now_ms)
            if count >= self.settings.pending_uploads_max:
                raise LimitExceeded(first_ts - now_ms, "Too many uploads are pending.")
            self._check_quota(await self._usage(tx, uploader), 0)
            await tables.add_pending(tx, media_id, uploader.user_id, expires_ts)
        return media_id, expires_ts

    async def fill(self, uploader: Uploader, name: MediaName, described: Described, pieces: Pieces) -> None:
        """Upload to a name that was given out.

        Raises NotFound, Forbidden if it is somebody else's or the quota is used up, Conflict M_CANNOT_OVERWRITE_MEDIA,
        TooLarge.
        Spec: client-server-api#put_matrixmediav3uploadservernamemediaid
        """
        await self._may_fill(uploader, name)
        async with self._storing(uploader, described, pieces) as media, self._database.write() as tx:
            if not await tables.end_pending(tx, name.media_id):
                raise _overwritten()
            self._check_quota(await self._usage(tx, uploader), media.file.size_bytes)
            await tables.add(tx, (_HERE, name.media_id), uploader.user_id, media)
            tx.after_commit(lambda: self._pending.fill(name.media_id))

    async def add_copy(self, name: MediaName, described: Described, pieces: Pieces, bytes_max: int) -> Media | None:
        """Store a file that belongs to nobody: of another server, or of a web page. None if it is too large."""
        here = _HERE if name.server_name == self._server_name else name.server_name
        async with self.files.storing(pieces, bytes_max) as file:
            if file is None:
                return None
            media = await self._looked_at(file, described)
            async with self._database.write() as tx:
                await tables.add(tx, (here, name.media_id), "", media)
        return media

    async def _may_fill(self, uploader: Uploader, name: MediaName) -> None:
        async with self._database.read() as view:
            pending = await tables.pending(view, name.media_id)
            stored = await tables.find(view, _HERE, name.media_id)
        if name.server_name == self._server_name and stored is not None:
            raise _overwritten()
        if name.server_name != self._server_name or pending is None or pending[1] <= self._clock.now_ms():
            raise NotFound("There is no such upload, or it came too late.")
        if pending[0] != uploader.user_id:
            raise Forbidden("Somebody else is to upload this.")

    @asynccontextmanager
    async def _storing(self, uploader: Uploader, described: Described, pieces: Pieces) -> AsyncGenerator[Media, None]:
        """The bytes stored, to be named in the block. What would pass the quota is refused as soon as it does."""
        async with self._database.read() as view:
            usage = await self._usage(view, uploader)
        self._check_quota(usage, 0)
        async with self.files.storing(self._within_quota(usage, pieces), self.settings.upload_bytes_max) as file:
            if file is None:
                raise TooLarge("The file is too large.")
            yield await self._looked_at(file, described)

    async def _within_quota(self, usage: Usage, pieces: Pieces) -> AsyncIterator[bytes]:
        size = 0
        async for piece in pieces:
            size += len(piece)
            self._check_quota(usage, size)
            yield piece

    async def _usage(self, view: ReadTx, uploader: Uploader) -> Usage:
        quota = self.settings.quota
        if uploader.is_unlimited or (quota.bytes_max is quota.bytes_per_day_max is quota.files_max is None):
            return _NOTHING
        return await tables.usage(view, uploader.user_id, self._clock.now_ms() - _DAY_MS)

    def _check_quota(self, usage: Usage, more_bytes: int) -> None:
        if usage is not _NOTHING and (refused := decide.over_quota(self.settings.quota, usage, more_bytes)) is not None:
            raise refused.refusal()

    async def _looked_at(self, file: StoredFile, described: Described) -> Media:
        kind = decide_kinds.kind_of(await self.files.head(file, limits.file_head_bytes))
        content_type, file_name = described
        return Media(decide.content_type(content_type), decide.file_name(file_name), file, self._clock.now_ms(), kind)

    # Downloading

    async def find(self, name: MediaName, timeout_ms: int) -> Media:
        """A file, from here or from its server.

        Raises NotFound; 504 M_NOT_YET_UPLOADED; 502 M_TOO_LARGE, M_UNKNOWN when its server cannot give it.
        """
        if not decide.is_media_id(name.media_id):
            raise _not_found()
        if name.server_name == self._server_name:
            return await self.find_local(name.media_id, timeout_ms)
        found = await self._stored(name)
        if found is None:
            async with self._turns.turn(f"{name.server_name}/{name.media_id}"):
                found = await self._stored(name) or await self._fetch(name, timeout_ms)
        if len(self._used) < limits.media_used_noted_max:
            self._used[name] = self._clock.now_ms()
        return found

    async def find_local(self, media_id: str, timeout_ms: int) -> Media:
        """A file of this server; waits up to timeout_ms for one that is still to be uploaded."""
        for wait_ms in (min(timeout_ms, limits.media_wait_ms_max), None):
            found = await self._stored(MediaName(ServerName(_HERE), media_id))
            if found is not None:
                return found
            async with self._database.read() as view:
                pending = await tables.pending(view, media_id)
            if pending is None or pending[1] <= self._clock.now_ms():
                raise _not_found()
            if wait_ms:
                await self._pending.wait(media_id, wait_ms)
        raise Refusal("M_NOT_YET_UPLOADED", "The file has not been uploaded yet.", status=504)

    async def find_frozen(self, name: MediaName) -> Media:
        """A file that the unauthenticated endpoints may still serve: stored before they were frozen. Raises NotFound."""
        server_name = ServerName(_HERE) if name.server_name == self._server_name else name.server_name
        found = await self._stored(MediaName(server_name, name.media_id))
        if found is None or found.created_ts >= self.settings.frozen_since_ts:
            raise _not_found()
        return found

    async def note_used(self) -> None:
        """Write down which copies were asked for, so that those that were not may go."""
        used, self._used = self._used, {}
        if not used:
            return
        async with self._database.write() as tx:
            for name, used_ts in used.items():
                await upkeep_tables.note_used(tx, name, used_ts, used_ts - limits.media_used_every_ms)

    async def _stored(self, name: MediaName) -> Media | None:
        """A file that is here. Raises NotFound if its bytes are quarantined."""
        async with self._database.read() as view:
            found = await tables.find(view, *name)
            if found is not None and await upkeep_tables.is_quarantined(view, found.file.sha256):
                raise _not_found()
        if found is None or not await self.files.exists(found.file):
            return None
        if not found.kind:
            # A row of before we looked.
            found = found._replace(kind=decide_kinds.kind_of(await self.files.head(found.file, limits.file_head_bytes)))
        return found

    async def _fetch(self, name: MediaName, timeout_ms: int) -> Media:
        async with self._fetching:
            try:
                media = await self._download(name, min(timeout_ms, limits.media_wait_ms_max))
            except PeerError as error:
                raise _refused_by_peer(error) from error
        async with self._database.read() as view:
            if await upkeep_tables.is_quarantined(view, media.file.sha256):
                raise _not_found()
        return media

    async def _download(self, name: MediaName, timeout_ms: int) -> Media:
        bytes_max = self.settings.remote_bytes_max
        coming = await self._remote.download(*name, bytes_max=bytes_max, timeout_ms=timeout_ms)
        try:
            media = await self.add_copy(name, (coming.content_type, coming.file_name), coming.pieces, bytes_max)
        finally:
            close = getattr(coming.pieces, "aclose", None)
            if close is not None:
                await close()
        if media is None:
            raise PeerError(name.server_name, "the file is too large", errcode="M_TOO_LARGE")
        return media


def _refused_by_peer(error: PeerError) -> Refusal:
    if error.errcode == "M_TOO_LARGE":
        return Refusal("M_TOO_LARGE", "The file is too large to fetch from its server.", status=502)
    if error.errcode == "M_NOT_YET_UPLOADED":
        return Refusal("M_NOT_YET_UPLOADED", "The file has not been uploaded yet.", status=504)
    if error.status == 404:
        return _not_found()
    return Refusal("M_UNKNOWN", "The server of this file could not give it.", status=502)


def _not_found() -> NotFound:
    return NotFound("There is no such file.")


def _overwritten() -> Conflict:
    return Conflict("M_CANNOT_OVERWRITE_MEDIA", "The file was uploaded already.")
