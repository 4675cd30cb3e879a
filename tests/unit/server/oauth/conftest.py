"""The world of OAuth as a fixture, and one with other settings."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.oauth.world import World, open_world


@pytest.fixture
async def worlds(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Opens worlds with other settings; closes them all."""
    opened: list[World] = []

    async def open_one(**changed: Any) -> World:
        opened.append(await open_world(tmp_path, **changed))
        return opened[-1]

    yield open_one
    for world in opened:
        await world.close()


@pytest.fixture
async def world(worlds: Callable[..., Any]) -> World:
    found: World = await worlds()
    return found
