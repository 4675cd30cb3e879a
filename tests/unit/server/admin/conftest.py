from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.server.admin.world import AdminWorld, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[AdminWorld]:
    async with open_world(tmp_path) as opened:
        yield opened
