import pytest

from watchword.base import limits
from watchword.base.errors import Refusal
from watchword.server.media.commands import Media, StoredFile
from watchword.server.media.decide import Wanted
from watchword.server.media.thumbnails import Thumbnails


@pytest.mark.parametrize(("is_remote", "status"), [(False, 413), (True, 502)])
async def test_a_picture_that_is_too_large_is_refused_by_where_it_is_from(is_remote: bool, status: int) -> None:
    large = Media("image/png", None, StoredFile(b"", limits.thumbnail_original_bytes_max + 1), 0)
    with pytest.raises(Refusal) as refused:
        await Thumbnails().of(large, Wanted(1, 1, "crop", None), is_remote=is_remote)
    assert (refused.value.status, refused.value.errcode) == (status, "M_TOO_LARGE")


async def test_a_small_picture_is_its_own_thumbnail() -> None:
    small = Media("image/png", None, StoredFile(b"", 10), 0)
    assert await Thumbnails().of(small, Wanted(1, 1, "crop", None), is_remote=False) == small
