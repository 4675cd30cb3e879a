from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.server.media.world import World
from watchword.server.media.commands import MediaSettings


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    built = await World(
        tmp_path, MediaSettings(upload_bytes_max=1_000_000, remote_bytes_max=500_000, pending_uploads_max=2)
    ).start()
    yield built
    await built.close()
