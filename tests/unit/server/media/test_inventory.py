"""What an administrator is told of the repository."""

import pytest

from tests.unit.server.media.world import ALICE, BOB, HERE, World
from watchword.base.errors import BadRequest
from watchword.server.media.commands import MediaName
from watchword.server.media.inventory import Inventory, Totals, UploadQuery


def _inventory(world: World) -> Inventory:
    return Inventory(world.database, world.clock, HERE)


async def test_a_users_files_are_listed_with_their_standing(world: World) -> None:
    first = await world.upload(b"1234")
    world.clock.advance(1)
    second = await world.upload(b"123456")
    await world.removal.quarantine(MediaName(HERE, first), BOB)
    page, total = await _inventory(world).uploads(UploadQuery(ALICE))
    assert ([upload.media_id for upload in page], total) == ([second, first], 2)
    assert [upload.quarantined_by for upload in page] == ["", BOB]
    page, total = await _inventory(world).uploads(UploadQuery(ALICE, "media_length", backwards=False, start=1, limit=1))
    assert ([upload.size_bytes for upload in page], total) == ([6], 2)
    assert (await _inventory(world).usage(ALICE)).bytes == 10


async def test_files_are_not_ordered_by_what_they_have_not(world: World) -> None:
    with pytest.raises(BadRequest):
        await _inventory(world).uploads(UploadQuery(ALICE, "1; DROP TABLE media"))


async def test_users_are_ranked_and_all_is_counted(world: World) -> None:
    await world.upload(b"1234")
    await world.ask("POST", "/_matrix/media/v3/upload", user=BOB, body=[b"123456"])
    assert await _inventory(world).ranking(0, 10) == ([(BOB, 1, 6), (ALICE, 1, 4)], 2)
    assert await _inventory(world).ranking(1, 10) == ([(ALICE, 1, 4)], 2)
    assert await _inventory(world).totals() == Totals(2, 10, 0, 0)
