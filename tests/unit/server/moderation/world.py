"""A server with rooms and moderation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.unit.server.rooms.world import World
from watchword.server.moderation import SCHEMA
from watchword.server.moderation.assembly import Moderation, assemble_moderation
from watchword.server.moderation.endpoints import ENDPOINTS
from watchword.storage import migrate


class ModeratedWorld(World):
    """As `World`, with the doors of moderation."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.moderation: Moderation = assemble_moderation(self.database, self.reader, self.clock)
        for endpoint in ENDPOINTS:
            self._table.add(endpoint.method, endpoint.path, (endpoint, self.moderation))

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
