import pytest

from tests.unit.server.media.world import PNG, World
from watchword.base import limits
from watchword.base.errors import Refusal
from watchword.server.media.commands import Media, StoredFile
from watchword.server.media.decide import Wanted
from watchword.server.media.thumbnails import Thumbnails


async def stored(world: World, size_bytes: int) -> Media:
    media_id = await world.upload(PNG, "image/png")
    media = await world.service.find_local(media_id, 0)
    return media._replace(file=StoredFile(media.file.sha256, size_bytes))


@pytest.mark.parametrize(("is_remote", "status"), [(False, 413), (True, 502)])
async def test_a_picture_that_is_too_large_is_refused_by_where_it_is_from(world: World, is_remote: bool, status: int) -> None:
    large = await stored(world, limits.thumbnail_original_bytes_max + 1)
    with pytest.raises(Refusal) as refused:
        await Thumbnails(world.files).of(large, Wanted(1, 1, "crop", None), is_remote=is_remote)
    assert (refused.value.status, refused.value.errcode) == (status, "M_TOO_LARGE")


async def test_a_small_picture_is_its_own_thumbnail(world: World) -> None:
    small = await stored(world, len(PNG))
    assert await Thumbnails(world.files).of(small, Wanted(1, 1, "crop", False), is_remote=False) == small
