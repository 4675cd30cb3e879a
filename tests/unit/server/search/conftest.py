from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL
from tests.unit.server.search.world import SearchWorld, open_search_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SearchWorld]:
    async with open_search_world(tmp_path) as opened:
        await opened.users(ALICE, BOB, CAROL)
        yield opened
