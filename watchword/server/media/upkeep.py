"""What goes on in the background: copies that nobody asks for go, so do files that nobody names and names without a file.

Every round does a little: one of 256 folders, one page of names. What a crash left is found within a day or two; nothing of it
is harmful meanwhile. What was acknowledged is never touched.
"""

import logging
from collections.abc import Sequence

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.server.media import preview_tables, tables, upkeep_tables
from watchword.server.media.commands import MediaSettings, PreviewSettings, StoredFile
from watchword.server.media.files import Files
from watchword.server.media.removal import Removal
from watchword.server.media.service import MediaService
from watchword.storage.database import Database

logger = logging.getLogger(__name__)

_FOLDERS = 256
_AT_ONCE = 100


class Upkeep:
    """Sweeps, for ever."""

    def __init__(
        self,
        database: Database,
        files: Files,
        clock: Clock,
        service: MediaService,
        removal: Removal,
        previews: PreviewSettings,
    ) -> None:
        self._database = database
        self._files = files
        self._clock = clock
        self._service = service
        self._removal = removal
        self._previews = previews
        self._folder = 0
        self._after = ("", "")

    async def run(self) -> None:
        """Sweep now and then, until cancelled."""
        while True:
            await self._clock.sleep(limits.media_sweep_ms)
            await self.sweep()

    async def sweep(self) -> None:
        """One round."""
        await self._service.note_used()
        await self._forget_previews()
        await self._forget_copies(self._service.settings)
        await self._drop_unnamed()
        await self._forget_lost()

    async def _forget_previews(self) -> None:
        async with self._database.write() as tx:
            await tables.forget_expired(tx, self._clock.now_ms())
            before_ts = self._clock.now_ms() - self._previews.kept_ms
            await preview_tables.forget(tx, before_ts, limits.previews_stored_max)

    async def _forget_copies(self, settings: MediaSettings) -> None:
        while True:
            async with self._database.read() as view:
                oldest = await upkeep_tables.oldest_copies(view, limits.media_sweep_rows_max)
                total = await upkeep_tables.copied_bytes(view)
            too_old = [row[:2] for row in oldest if self._is_old(row, settings)]
            over = 0 if settings.copies_bytes_max is None else total - settings.copies_bytes_max
            names = dict.fromkeys([*too_old, *_first_of(oldest, over)])
            if not names:
                return
            async with self._database.write() as tx:
                gone = [sha256 for name in names if (sha256 := await tables.remove(tx, *name)) is not None]
            dropped = await self._removal.reap(gone)
            logger.info("Copies that nobody asked for were dropped.", extra={"names": len(names), "files": dropped})

    def _is_old(self, row: tuple[str, str, int, int], settings: MediaSettings) -> bool:
        # A picture of a preview is of use as long as its preview.
        kept_ms = settings.copies_kept_ms if row[0] else self._previews.kept_ms
        return kept_ms is not None and row[3] < self._clock.now_ms() - kept_ms

    async def _drop_unnamed(self) -> None:
        folder, self._folder = self._folder, (self._folder + 1) % _FOLDERS
        found = await self._files.in_folder(folder)
        async with self._database.read() as view:
            unnamed = list(await upkeep_tables.thumbnails_of_nothing(view, folder, limits.media_sweep_rows_max))
        for begin in range(0, len(found), _AT_ONCE):
            async with self._database.read() as view:
                for sha256 in found[begin : begin + _AT_ONCE]:
                    if not await upkeep_tables.is_named(view, sha256):
                        unnamed.append(sha256)
            # A large folder must not hold up who asks meanwhile.
            await self._clock.sleep(0)
        dropped = await self._removal.reap(unnamed)
        if dropped:
            logger.info("Files that nobody names were dropped.", extra={"files": dropped})

    async def _forget_lost(self) -> None:
        """Names whose file is gone: copies are forgotten, so that they are fetched again; uploads are told of."""
        async with self._database.read() as view:
            page = await upkeep_tables.names_after(view, self._after, limits.media_sweep_rows_max)
        self._after = page[-1][:2] if len(page) == limits.media_sweep_rows_max else ("", "")
        lost = [row for row in page if not await self._files.exists(StoredFile(row[2], 0))]
        copies = [row for row in lost if not row[3]]
        if copies:
            async with self._database.write() as tx:
                for row in copies:
                    await tables.remove(tx, *row[:2])
        if len(lost) > len(copies):
            logger.error("Uploaded files are missing from the disk.", extra={"files": len(lost) - len(copies)})


def _first_of(oldest: Sequence[tuple[str, str, int, int]], over: int) -> list[tuple[str, str]]:
    """As many as are needed to get below the bound."""
    names = []
    for row in oldest:
        if over <= 0:
            break
        over -= row[2]
        names.append(row[:2])
    return names
