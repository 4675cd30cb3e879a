"""Having everybody of this server leave a room, and taking it from the disk: background work that survives a restart.

First all leave, each by an event of his own as if he had left by himself, so that other servers know; then there is a pause in
which they are told; then the room goes from the disk. Meanwhile nobody can come in.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.entropy import Entropy
from watchword.base.errors import StorageError, WatchwordError
from watchword.protocol.ids import RoomId, UserId
from watchword.server.admin import tables
from watchword.server.admin.blocks import RoomBlocks
from watchword.server.admin.commands import Removal, RemoveRoom
from watchword.server.admin.ports import Leaving
from watchword.server.rooms.commands import ChangeMembership
from watchword.server.rooms.estate import Estate
from watchword.storage import Also, Database

logger = logging.getLogger(__name__)

_OPEN_MAX = 10_000
_LEAVING = ("join", "invite", "knock")


@dataclass
class RoomRemovals:
    """Removes rooms. Call `start` before the doors open, and run `run`."""

    database: Database
    clock: Clock
    entropy: Entropy
    blocks: RoomBlocks
    membership: Leaving
    estate: Estate
    _open: dict[str, Removal] = field(default_factory=dict)
    _left: dict[str, asyncio.Event] = field(default_factory=dict)
    _new: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        """Take up what was going on before; forget what ended long ago."""
        async with self.database.write() as tx:
            await tables.drop_removals(tx, self.clock.now_ms() - limits.removals_kept_ms)
        async with self.database.read() as tx:
            for removal in await tables.open_removals(tx, _OPEN_MAX):
                self._take_up(removal)

    def _take_up(self, removal: Removal) -> None:
        self._open[removal.removal_id] = removal
        self._left[removal.removal_id] = asyncio.Event()
        self.blocks.hold(removal.room_id)
        self._new.set()

    # What is asked for

    async def begin(self, command: RemoveRoom, also: Also) -> Removal:
        """Begin to remove a room; it goes on by itself. Returns once that is durable."""
        removal = Removal(
            removal_id=self.entropy.letters(16),
            room_id=command.room_id,
            begun_by=command.by,
            begun_ts=self.clock.now_ms(),
            purge=command.purge,
            reason=command.reason,
        )
        if command.block:
            await self.blocks.set(command.room_id, command.by, True, _nothing)
        async with self.database.write() as tx:
            await tables.save_removal(tx, removal)
            await also(tx)
        self._take_up(removal)
        return removal

    async def left(self, removal_id: str) -> Removal:
        """How a removal stands once everybody has left who could."""
        waiting = self._left.get(removal_id)
        if waiting is not None:
            await waiting.wait()
        found = await self.one(removal_id)
        assert found is not None, removal_id
        return found

    async def one(self, removal_id: str) -> Removal | None:
        """How a removal stands."""
        async with self.database.read() as tx:
            return await tables.removal(tx, removal_id)

    async def of_room(self, room_id: RoomId) -> Sequence[Removal]:
        """All that there were of a room, newest first."""
        async with self.database.read() as tx:
            return await tables.removals_of(tx, room_id, limits.removals_shown_max)

    # What goes on

    async def run(self) -> None:
        """Do what is asked for, for ever."""
        while True:
            self._new.clear()
            for removal in [removal for removal in self._open.values() if removal.stage == "leaving"]:
                await self._leave(removal)
            now_ms = self.clock.now_ms()
            for removal in [removal for removal in self._open.values() if removal.stage == "purging"]:
                if self._due_ts(removal) <= now_ms:
                    await self._purge(removal)
            await self._pause()

    def _due_ts(self, removal: Removal) -> int:
        return removal.begun_ts + limits.removal_pause_ms

    async def _pause(self) -> None:
        if self._new.is_set():
            return
        if not self._open:
            await self._new.wait()
            return
        wait_ms = min(self._due_ts(removal) for removal in self._open.values()) - self.clock.now_ms()
        wake = self.clock.call_later(max(1, wait_ms), self._new.set)
        try:
            await self._new.wait()
        finally:
            wake()

    async def _leave(self, removal: Removal) -> None:
        left: list[UserId] = []
        failed: list[UserId] = []
        room = await self.estate.writer.registry.find(removal.room_id)
        members = () if room is None else await self.estate.local_members(room)
        for user_id, membership in members:
            if membership in _LEAVING:
                (left if await self._leave_one(removal, user_id) else failed).append(user_id)
        aliases = await self.estate.unname(removal.room_id)
        goes_on = removal.purge and not failed
        removal = replace(
            removal,
            left=(*removal.left, *left),
            failed=tuple(failed),
            aliases=(*removal.aliases, *aliases),
            stage="purging" if goes_on else "done",
            ended_ts=None if goes_on else self.clock.now_ms(),
        )
        await self._save(removal)
        self._left.pop(removal.removal_id).set()

    async def _leave_one(self, removal: Removal, user_id: UserId) -> bool:
        content = {"reason": removal.reason} if removal.reason else {}
        try:
            await self.membership.leave(ChangeMembership(removal.room_id, user_id, user_id, "leave", content))
        except StorageError:
            raise
        except WatchwordError:
            logger.info("Somebody could not leave a room.", extra={"room_id": removal.room_id, "user_id": user_id})
            return False
        return True

    async def _purge(self, removal: Removal) -> None:
        count = await self.estate.purge(removal.room_id)
        logger.info("A room was taken from the disk.", extra={"room_id": removal.room_id, "events": count})
        await self._save(replace(removal, stage="done", ended_ts=self.clock.now_ms()))

    async def _save(self, removal: Removal) -> None:
        async with self.database.write() as tx:
            await tables.save_removal(tx, removal)
            tx.after_commit(lambda: self._note(removal))

    def _note(self, removal: Removal) -> None:
        if removal.ended_ts is None:
            self._open[removal.removal_id] = removal
        else:
            del self._open[removal.removal_id]
            self.blocks.let_go(removal.room_id)


async def _nothing(_: object) -> None:
    """The entry of the audit log is written with the removal itself."""
