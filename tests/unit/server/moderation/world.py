"""A server with rooms and moderation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.unit.server.rooms.world import HERE, World
from watchword.server.moderation import SCHEMA
from watchword.server.moderation.assembly import Moderation, ModerationGround, assemble_moderation
from watchword.server.moderation.bans import BanList
from watchword.server.moderation.endpoints import ENDPOINTS
from watchword.storage import migrate


class ModeratedWorld(World):
    """As `World`, with the doors of moderation."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.bans = BanList(HERE)
        object.__setattr__(self.membership, "bans", self.bans)
        self.directory.published.bans = self.bans
        self.moderation: Moderation = self._moderated()
        for endpoint in ENDPOINTS:
            self._table.add(endpoint.method, endpoint.path, (endpoint, self.moderation))

    def _moderated(self) -> Moderation:
        ground = ModerationGround(self.database, self.log, self.clock, self.reader, self.membership, self.bans)
        return assemble_moderation(ground)

    async def start(self) -> "ModeratedWorld":
        await migrate(self.database, [SCHEMA])
        await super().start()
        return self


@asynccontextmanager
async def open_world(folder: Path, **options: Any) -> AsyncIterator[ModeratedWorld]:
    """A world for the length of a block."""
    world = await ModeratedWorld(folder, **options).start()
    try:
        yield world
    finally:
        await world.close()
