from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL
from tests.unit.server.sync.sliding.windows import SlidingWorld, open_sliding


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SlidingWorld]:
    async with open_sliding(tmp_path) as opened:
        await opened.users(ALICE, BOB, CAROL)
        yield opened
