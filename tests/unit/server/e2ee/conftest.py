from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.server.e2ee.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    built = await World(tmp_path).start()
    yield built
    await built.database.close()
