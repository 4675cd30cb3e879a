from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL
from tests.unit.server.spaces.world import SpaceWorld, open_space_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SpaceWorld]:
    async with open_space_world(tmp_path) as opened:
        await opened.users(ALICE, BOB, CAROL)
        yield opened
