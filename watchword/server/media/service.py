"""The content repository's shell: store, find, fetch from other servers."""

import asyncio
import logging
from collections.abc import AsyncIterator

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import Conflict, Forbidden, LimitExceeded, NotFound, PeerError, Refusal, TooLarge
from watchword.protocol.ids import ServerName, UserId
from watchword.server.media import decide, tables
from watchword.server.media.commands import Media, MediaName, MediaSettings, StoredFile
from watchword.server.media.files import Files
from watchword.server.media.ports import RemoteMedia
from watchword.server.media.waiting import PendingWaiters, Turns
from watchword.storage.database import Database

logger = logging.getLogger(__name__)

Pieces = AsyncIterator[bytes]
_HERE = ""


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

    async def start(self) -> None:
        """Make the folders and clear up after a crash."""
        left = await self.files.start()
        if left:
            logger.info("Half-written media files were dropped.", extra={"files": left})

    # Uploading

    async def upload(self, user_id: UserId, described: tuple[str | None, str | None], pieces: Pieces) -> str:
        """Store a file; described: (content type, file name). Return its media ID. Raises TooLarge.

        Spec: client-server-api#post_matrixmediav3upload
        """
        media = await self._store(described, pieces)
        media_id = self._entropy.token(18)
        async with self._database.write() as tx:
            await tables.add(tx, (_HERE, media_id), user_id, media)
        return media_id

    async def create(self, user_id: UserId) -> tuple[str, int]:
        """Give out a name for a later upload: (media ID, when it ends). Raises LimitExceeded.

        Spec: client-server-api#post_matrixmediav1create
        """
        now_ms = self._clock.now_ms()
        media_id, expires_ts = self._entropy.token(18), now_ms + self.settings.pending_upload_ms
        async with self._database.write() as tx:
            await tables.forget_expired(tx, now_ms)
            count, first_ts = await tables.pending_of(tx, user_id, now_ms)
            if count >= self.settings.pending_uploads_max:
                raise LimitExceeded(first_ts - now_ms, "Too many uploads are pending.")
            await tables.add_pending(tx, media_id, user_id, expires_ts)
        return media_id, expires_ts

    async def fill(self, user_id: UserId, name: MediaName, described: tuple[str | None, str | None], pieces: Pieces) -> None:
        """Upload to a name that was given out.

        Raises NotFound, Forbidden if it is somebody else's, Conflict M_CANNOT_OVERWRITE_MEDIA, TooLarge.
        Spec: client-server-api#put_matrixmediav3uploadservernamemediaid
        """
        await self._may_fill(user_id, name)
        media = await self._store(described, pieces)
        async with self._database.write() as tx:
            if not await tables.end_pending(tx, name.media_id):
                raise _overwritten()
            await tables.add(tx, (_HERE, name.media_id), user_id, media)
            tx.after_commit(lambda: self._pending.fill(name.media_id))

    async def _may_fill(self, user_id: UserId, name: MediaName) -> None:
        async with self._database.read() as view:
            pending = await tables.pending(view, name.media_id)
            stored = await tables.find(view, _HERE, name.media_id)
        if name.server_name == self._server_name and stored is not None:
            raise _overwritten()
        if name.server_name != self._server_name or pending is None or pending[1] <= self._clock.now_ms():
            raise NotFound("There is no such upload, or it came too late.")
        if pending[0] != user_id:
            raise Forbidden("Somebody else is to upload this.")

    async def _store(self, described: tuple[str | None, str | None], pieces: Pieces) -> Media:
        file = await self.files.write(pieces, self.settings.upload_bytes_max)
        if file is None:
            raise TooLarge("The file is too large.")
        content_type, file_name = described
        return Media(decide.content_type(content_type), decide.file_name(file_name), file, self._clock.now_ms())

    # Downloading

    async def find(self, name: MediaName, timeout_ms: int) -> Media:
        """A file, from here or from its server.

        Raises NotFound; 504 M_NOT_YET_UPLOADED; 502 M_TOO_LARGE, M_UNKNOWN when its server cannot give it.
        """
        if not decide.is_media_id(name.media_id):
            raise _not_found()
        if name.server_name == self._server_name:
            return await self.find_local(name.media_id, timeout_ms)
        found = await self._cached(name)
        if found is not None:
            return found
        async with self._turns.turn(f"{name.server_name}/{name.media_id}"):
            return await self._cached(name) or await self._fetch(name, timeout_ms)

    async def find_local(self, media_id: str, timeout_ms: int) -> Media:
        """A file of this server; waits up to timeout_ms for one that is still to be uploaded."""
        for wait_ms in (min(timeout_ms, limits.media_wait_ms_max), None):
            async with self._database.read() as view:
                found = await tables.find(view, _HERE, media_id)
                pending = None if found is not None else await tables.pending(view, media_id)
            if found is not None and await self.files.exists(found.file):
                return found
            if found is not None or pending is None or pending[1] <= self._clock.now_ms():
                raise _not_found()
            if wait_ms:
                await self._pending.wait(media_id, wait_ms)
        raise Refusal("M_NOT_YET_UPLOADED", "The file has not been uploaded yet.", status=504)

    async def find_frozen(self, name: MediaName) -> Media:
        """A file that the unauthenticated endpoints may still serve: stored before they were frozen. Raises NotFound."""
        server_name = _HERE if name.server_name == self._server_name else name.server_name
        async with self._database.read() as view:
            found = await tables.find(view, server_name, name.media_id)
        if found is None or found.created_ts >= self.settings.frozen_since_ts or not await self.files.exists(found.file):
            raise _not_found()
        return found

    async def _cached(self, name: MediaName) -> Media | None:
        async with self._database.read() as view:
            found = await tables.find(view, name.server_name, name.media_id)
        return found if found is not None and await self.files.exists(found.file) else None

    async def _fetch(self, name: MediaName, timeout_ms: int) -> Media:
        async with self._fetching:
            try:
                media = await self._download(name, min(timeout_ms, limits.media_wait_ms_max))
            except PeerError as error:
                raise _refused_by_peer(error) from error
        async with self._database.write() as tx:
            await tables.add(tx, name, "", media)
        return media

    async def _download(self, name: MediaName, timeout_ms: int) -> Media:
        bytes_max = self.settings.remote_bytes_max
        coming = await self._remote.download(*name, bytes_max=bytes_max, timeout_ms=timeout_ms)
        try:
            file: StoredFile | None = await self.files.write(coming.pieces, bytes_max)
        finally:
            close = getattr(coming.pieces, "aclose", None)
            if close is not None:
                await close()
        if file is None:
            raise PeerError(name.server_name, "the file is too large", errcode="M_TOO_LARGE")
        return Media(decide.content_type(coming.content_type), decide.file_name(coming.file_name), file, self._clock.now_ms())


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
