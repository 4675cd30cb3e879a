from pathlib import Path

import pytest

from tests.unit.server.rooms.world import ALICE, open_world


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("events", {"timeout": "soon"}),
        ("events", {"room_id": "nonsense"}),
        ("events/nonsense", {}),
        ("initialSync", {"limit": "-1"}),
        ("initialSync", {"archived": "perhaps"}),
        ("rooms/nonsense/initialSync", {}),
    ],
)
async def test_bad_parameters_are_refused(tmp_path: Path, path: str, query: dict[str, str]) -> None:
    async with open_world(tmp_path) as world:
        assert await world.refused(ALICE, "GET", path, **query) == (400, "M_INVALID_PARAM")
