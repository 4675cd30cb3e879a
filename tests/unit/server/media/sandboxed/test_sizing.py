import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.server.media.sandboxed.sizing import SIZES, Cut, Size, allowed, cut

SIDES = st.integers(1, 5_000)


@pytest.mark.parametrize(
    ("width", "height", "crop", "size"),
    [
        (1, 1, True, SIZES[0]),
        (33, 1, True, SIZES[1]),
        (1, 97, True, SIZES[2]),
        (1, 1, False, SIZES[2]),
        (320, 241, False, SIZES[3]),
        (800, 600, False, SIZES[4]),
        (800, 601, True, None),
    ],
)
def test_the_smallest_allowed_size_that_is_enough_is_chosen(width: int, height: int, crop: bool, size: Size | None) -> None:
    assert allowed(width, height, crop=crop) == size


def test_a_crop_takes_the_middle() -> None:
    assert cut(400, 200, Size(96, 96, True)) == Cut((100, 0, 300, 200), 96, 96)
    assert cut(200, 400, Size(96, 96, True)) == Cut((0, 100, 200, 300), 96, 96)


def test_scaling_keeps_the_shape_and_covers_the_size() -> None:
    assert cut(1_600, 1_200, Size(320, 240, False)) == Cut((0, 0, 1_600, 1_200), 320, 240)
    assert cut(1_200, 1_600, Size(320, 240, False)) == Cut((0, 0, 1_200, 1_600), 320, 427)


@given(SIDES, SIDES, SIDES, SIDES, st.booleans())
def test_no_thumbnail_is_smaller_than_asked_unless_the_original_is_and_none_is_enlarged(
    width: int, height: int, asked_width: int, asked_height: int, crop: bool
) -> None:
    size = allowed(asked_width, asked_height, crop=crop)
    made = None if size is None else cut(width, height, size)
    given_width, given_height = (width, height) if made is None else (made.width, made.height)
    assert given_width >= min(asked_width, width)
    assert given_height >= min(asked_height, height)
    assert given_width <= width
    assert given_height <= height
    if made is not None:
        left, top, right, bottom = made.box
        assert 0 <= left < right <= width + 1e-6
        assert 0 <= top < bottom <= height + 1e-6
