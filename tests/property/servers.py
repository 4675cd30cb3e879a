"""One server for all examples of a property: opening one takes longer than an example."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World, open_world


class Server:
    """A world and the loop that it lives on."""

    def __init__(self, folder: Path) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.world: World = self.run(self._open(folder))

    async def _open(self, folder: Path) -> World:
        world = await self._stack.enter_async_context(open_world(folder))
        await world.users(ALICE, BOB, CAROL)
        return world

    def run(self, coroutine: Any) -> Any:
        return self._runner.run(coroutine)

    def close(self) -> None:
        self.run(self._stack.aclose())
        self._runner.close()
