from pathlib import Path

import pytest

from tests.unit.server.moderation.world import open_world
from tests.unit.server.rooms.world import ALICE


@pytest.mark.parametrize("path", ["rooms/nonsense/report", "users/nonsense/report", "rooms/!r:x/report/nonsense"])
async def test_what_is_no_identifier_cannot_be_reported(tmp_path: Path, path: str) -> None:
    async with open_world(tmp_path) as world:
        assert await world.refused(ALICE, "POST", path, {"reason": ""}) == (400, "M_INVALID_PARAM")
