from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.server.appservices.house import Bridge, House, living


@pytest.fixture
async def bridge() -> AsyncIterator[Bridge]:
    made = Bridge()
    stop = await made.start()
    yield made
    await stop()


@pytest.fixture
async def house(tmp_path: Path, bridge: Bridge) -> AsyncIterator[House]:
    async with living(tmp_path, bridge) as server:
        yield server


@pytest.fixture
async def curious(tmp_path: Path, bridge: Bridge) -> AsyncIterator[House]:
    """A house whose bridge wants to know everything."""
    extra = "receive_ephemeral: true\norg.matrix.msc3202: true\n"
    async with living(tmp_path, bridge, extra) as server:
        yield server
