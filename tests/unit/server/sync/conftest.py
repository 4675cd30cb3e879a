from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        await opened.users(ALICE, BOB, CAROL)
        yield opened
