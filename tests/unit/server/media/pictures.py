"""Pictures for tests, made on the spot."""

import io
import random
from typing import Any

from PIL import Image

# Before any test keeps Pillow from loading further formats.
Image.init()


def a_picture(kind: str = "PNG", size: tuple[int, int] = (400, 300), mode: str = "RGB", **saved: Any) -> bytes:
    """A still picture of one colour with a darker left half, so that its sides can be told apart."""
    picture = Image.new(mode, size, _colour(mode, 200))
    picture.paste(_colour(mode, 60), (0, 0, size[0] // 2, size[1]))
    out = io.BytesIO()
    picture.save(out, kind, **saved)
    return out.getvalue()


def an_animation(kind: str = "GIF", size: tuple[int, int] = (400, 300), frames: int = 3) -> bytes:
    """Frames that differ."""
    made = [Image.effect_noise(size, 30 + 20 * index).convert("RGB") for index in range(frames)]
    out = io.BytesIO()
    made[0].save(out, kind, save_all=True, append_images=made[1:], duration=80, loop=0)
    return out.getvalue()


def noise(count: int, seed: int = 1) -> bytes:
    """Bytes that are nothing."""
    return random.Random(seed).randbytes(count)


def opened(data: bytes) -> Image.Image:
    """What a reader sees."""
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def _colour(mode: str, level: int) -> Any:
    return {"RGB": (level, level, 40), "RGBA": (level, level, 40, 255), "L": level, "CMYK": (level, 0, 0, 0)}[mode]
