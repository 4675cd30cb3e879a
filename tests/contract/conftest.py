from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.engines import ENGINES
from watchword.storage import Database, Schema, migrate


@pytest.fixture(params=sorted(ENGINES))
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    opened = ENGINES[request.param](tmp_path)
    await migrate(opened, (Schema("storage", "watchword.storage"),))
    yield opened
    await opened.close()
