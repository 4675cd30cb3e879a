"""Deletes files, hides bytes, and drops from the disk what nobody names.

A name is removed first, durably; then the thumbnails of bytes that nobody names; then the bytes. An upload of the same bytes at
the same moment wins (see `files`). Quarantine hides bytes whatever their name is, also those that come later; they stay on the
disk as long as somebody names them.
"""

from collections.abc import Iterable, Mapping, Sequence

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.errors import NotFound
from watchword.protocol.ids import EventId, ServerName, UserId, domain_of
from watchword.server.media import decide, tables, thumbnail_tables, upkeep_tables
from watchword.server.media.commands import MediaName, Quarantined
from watchword.server.media.files import Files
from watchword.storage.database import Also, Database, Tx


class Removal:
    """What makes media go away."""

    def __init__(self, database: Database, files: Files, clock: Clock, server_name: ServerName) -> None:
        self._database = database
        self._files = files
        self._clock = clock
        self._server_name = server_name

    # Deleting

    async def delete(self, names: Iterable[MediaName], also: Also | None = None) -> int:
        """Delete files, of this server for good, copies of others until somebody asks again; how many there were.

        also: what else is written in the same transaction.
        """
        async with self._database.write() as tx:
            gone = [sha256 for name in names if (sha256 := await tables.remove(tx, *self._key(name))) is not None]
            if also is not None:
                await also(tx)
        await self.reap(gone)
        return len(gone)

    async def delete_own(self, user_id: UserId, media_id: str) -> None:
        """Delete what this user uploaded. Raises NotFound."""
        async with self._database.write() as tx:
            owner = await tables.owner(tx, media_id)
            if owner is None or owner != user_id:
                raise NotFound("There is no such file of yours.")
            gone = await tables.remove(tx, "", media_id)
        assert gone is not None
        await self.reap([gone])

    # With events

    async def note_event(self, tx: Tx, event_id: EventId, sender: UserId, content: Mapping[str, object]) -> None:
        """An event of a local user: remember which of his uploads it shows. Idempotent.

        What an encrypted event shows nobody here can know.
        """
        if domain_of(sender) != self._server_name:
            return
        shown = [
            media_id
            for media_id in decide.shown_media(content, self._server_name)
            if await tables.owner(tx, media_id) == sender
        ]
        await upkeep_tables.note_shown(tx, event_id, shown)

    async def forget_event(self, tx: Tx, event_id: EventId) -> Sequence[bytes]:
        """An event was redacted or has expired: delete the uploads that it alone showed. Idempotent.

        Gives hashes for `reap`, to be called once the transaction is over.
        """
        left = await upkeep_tables.no_longer_shown(tx, event_id)
        return [sha256 for media_id in left if (sha256 := await tables.remove(tx, "", media_id)) is not None]

    async def showing_events(self, after: str, count: int) -> Sequence[EventId]:
        """A page of the events that are remembered, in the order of their IDs."""
        async with self._database.read() as view:
            return await upkeep_tables.showing_events(view, after, count)

    # Quarantine

    async def quarantine(self, what: MediaName | bytes, by: UserId, reason: str = "", also: Also | None = None) -> bytes:
        """Serve these bytes no more: by the name of a file that is here, or by a SHA-256. Gives the SHA-256.

        Raises NotFound if nothing here has the name.
        """
        async with self._database.write() as tx:
            sha256 = what if isinstance(what, bytes) else await self._hash_of(tx, what)
            await upkeep_tables.quarantine(tx, Quarantined(sha256, by, reason, self._clock.now_ms()))
            if also is not None:
                await also(tx)
        return sha256

    async def release(self, what: MediaName | bytes, also: Also | None = None) -> bool:
        """Serve them again; whether they were quarantined. Raises NotFound if nothing here has the name."""
        async with self._database.write() as tx:
            released = await upkeep_tables.release(tx, what if isinstance(what, bytes) else await self._hash_of(tx, what))
            if released and also is not None:
                await also(tx)
        return released

    async def quarantined(self, before_ts: int | None = None, count: int = limits.quarantine_page_max) -> Sequence[Quarantined]:
        """A page of what is quarantined, newest first."""
        until_ts = limits.canonical_integer_max if before_ts is None else before_ts
        async with self._database.read() as view:
            return await upkeep_tables.quarantined(view, until_ts, min(count, limits.quarantine_page_max))

    async def _hash_of(self, tx: Tx, name: MediaName) -> bytes:
        found = await tables.find(tx, *self._key(name))
        if found is None:
            raise NotFound("There is no such file.")
        return found.file.sha256

    def _key(self, name: MediaName) -> tuple[str, str]:
        return ("" if name.server_name == self._server_name else name.server_name), name.media_id

    # The disk

    async def reap(self, hashes: Iterable[bytes]) -> int:
        """Drop from the disk what nobody names of these, and its thumbnails; how many files went."""
        gone = 0
        for sha256 in dict.fromkeys(hashes):
            async with self._database.write() as tx:
                made = await thumbnail_tables.remove_of(tx, sha256)
            for each in dict.fromkeys((sha256, *made)):
                gone += await self._drop(each)
        return gone

    async def recover(self) -> None:
        """After a start: decide about what was condemned when the server ended."""
        for sha256 in await self._files.condemned():
            await self._judge(sha256)

    async def _drop(self, sha256: bytes) -> bool:
        if await self._is_named(sha256) or not await self._files.condemn(sha256):
            return False
        return await self._judge(sha256)

    async def _judge(self, sha256: bytes) -> bool:
        # Somebody may have uploaded the same bytes and named them since we looked.
        if await self._is_named(sha256):
            await self._files.restore(sha256)
            return False
        await self._files.drop(sha256)
        return True

    async def _is_named(self, sha256: bytes) -> bool:
        async with self._database.read() as view:
            return await upkeep_tables.is_named(view, sha256)
