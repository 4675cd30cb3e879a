"""Which size a thumbnail has. Pure; the server chooses the size with it, the process applies it.

The specification names five sizes. It says that a thumbnail MUST NOT be smaller than what was asked for unless the
original is, and MUST NOT be enlarged. So `scale` gives the smallest picture that covers the size: one side fits exactly,
the other is as long as the picture's shape makes it. Where the original is not larger than that, it stands for itself.

Spec: client-server-api#thumbnails
"""

from typing import NamedTuple


class Size(NamedTuple):
    """A size to make. crop: fill it exactly and cut off what sticks out; else keep the whole picture."""

    width: int
    height: int
    crop: bool


SIZES = (
    Size(32, 32, True),
    Size(96, 96, True),
    Size(320, 240, False),
    Size(640, 480, False),
    Size(800, 600, False),
)


class Cut(NamedTuple):
    """What to make of an original: take the box (left, top, right, bottom), make it width times height."""

    box: tuple[float, float, float, float]
    width: int
    height: int


def allowed(width: int, height: int, *, crop: bool) -> Size | None:
    """The smallest of the five that is not smaller than asked; None if all are: the original it is.

    What is to be cropped larger than the largest cropped size is scaled, which shows all of it; what is to be scaled is
    never cropped.
    """
    for size in SIZES:
        if size.width >= width and size.height >= height and (crop or not size.crop):
            return size
    return None


def cut(width: int, height: int, size: Size) -> Cut | None:
    """How to make this size of an original that is width times height; None if the original is not larger."""
    factor = max(size.width / width, size.height / height)
    if factor >= 1:
        return None
    if not size.crop:
        return Cut((0, 0, width, height), max(size.width, round(width * factor)), max(size.height, round(height * factor)))
    wide, high = size.width / factor, size.height / factor
    # Division leaves crumbs: a box must not reach a hair's breadth beyond the picture.
    left, top = max(0.0, (width - wide) / 2), max(0.0, (height - high) / 2)
    return Cut((left, top, min(left + wide, width), min(top + high, height)), size.width, size.height)
