"""Pillow, kept small: what a picture is, and smaller pictures of it.

Only five formats are opened. Sizes are checked before a pixel is decoded. A thumbnail is made of pixels alone: no EXIF, no
place where it was taken, no comment, no colour profile (colours are brought to sRGB first); turned as the camera was held.
"""

import contextlib
import io
import time
from collections.abc import Callable, Iterator
from typing import Any

from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from .sizing import Cut, Size, cut

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF")
TYPES = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}
PIXELS_MAX = 50_000_000
JPEG_PIXELS_MAX = 400_000_000
FRAMES_MAX = 500
# Of all frames together: decoded, and kept for the encoder.
MOVING_PIXELS_MAX = 400_000_000
MOVING_PIXELS_KEPT_MAX = 40_000_000
MOVING_SECONDS_MAX = 6.0
RESULT_BYTES_MAX = 8 << 20

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = frozenset((5, 6, 7, 8))
_SAVED_AS: dict[str, tuple[str, dict[str, Any]]] = {
    "image/jpeg": ("JPEG", {"quality": 82, "optimize": True}),
    "image/png": ("PNG", {"optimize": False, "compress_level": 6}),
    "image/webp": ("WEBP", {"quality": 80, "method": 3}),
}


class Unreadable(Exception):
    """No picture that we open, or a damaged one."""


class TooMuch(Exception):
    """A picture of more pixels than we decode."""


def prepare() -> None:
    """Load what Pillow would load at its first need, while files may still be opened; forbid what we do not want."""
    for plugin in (AvifImagePlugin, GifImagePlugin, JpegImagePlugin, MpoImagePlugin, PngImagePlugin, WebPImagePlugin):
        assert plugin is not None
    Image._initialized = 2
    Image.MAX_IMAGE_PIXELS = None
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    ImageCms.createProfile("sRGB")
    for mode, kind in (("RGB", "JPEG"), ("RGBA", "PNG"), ("RGBA", "WEBP"), ("P", "GIF")):
        saved = io.BytesIO()
        Image.new(mode, (8, 8)).save(saved, kind)
        Image.open(saved).convert("RGBA").resize((2, 2), Image.Resampling.LANCZOS, reducing_gap=2.0)


def measure(data: bytes) -> dict[str, Any]:
    """Type, width and height as it is seen. Raises Unreadable."""
    with _opened(data) as picture:
        width, height = _seen_size(picture)
        kind = picture.format or ""
        return {"type": TYPES.get(kind, f"image/{kind.lower()}"), "width": width, "height": height}


def thumbnail(
    data: bytes, size: Size | None, *, moves: bool, webp: bool, clock: Callable[[], float]
) -> tuple[dict[str, Any], bytes]:
    """What to serve as a thumbnail, and its bytes; none if the original is to be served.

    size: None for as large as the original. moves: whether it may be animated. webp: whether the reader says that it reads
    WebP. Raises Unreadable, TooMuch.
    """
    with _opened(data) as picture:
        # Also of an original that would stand for itself: readers are not to choke on it.
        _check_pixels(picture)
        frames = _frames(picture)
        width, height = _seen_size(picture)
        wanted = None if size is None else cut(width, height, size)
        may_stand = picture.format in TYPES and (moves or frames == 1)
        if wanted is None and may_stand:
            about = {"type": TYPES[picture.format or ""], "width": width, "height": height}
            return {**about, "original": True}, b""
        made = wanted or Cut((0, 0, width, height), width, height)
        if moves and frames > 1:
            moving = _moving(picture, made, frames, clock)
            if moving is not None:
                return _about("image/webp", made), moving
            picture.seek(0)
        still = _small(picture, made)
        kind = "image/webp" if webp else "image/png" if still.mode == "RGBA" else "image/jpeg"
        return _about(kind, made), _saved(still, kind)


def _about(kind: str, made: Cut) -> dict[str, Any]:
    return {"type": kind, "width": made.width, "height": made.height, "original": False}


@contextlib.contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            if not picture.width or not picture.height:
                raise Unreadable
            yield picture
    except (Unreadable, TooMuch):
        raise
    except MemoryError as error:
        raise TooMuch from error
    # A decoder fed with nonsense raises whatever it likes; that is why it is here.
    except Exception as error:
        raise Unreadable from error


def _seen_size(picture: Image.Image) -> tuple[int, int]:
    width, height = picture.size
    return (height, width) if _orientation(picture) in _LYING else (width, height)


def _orientation(picture: Image.Image) -> int:
    try:
        found = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 (damaged EXIF raises anything, and does not damage the pixels)
        return 1
    return found if isinstance(found, int) else 1


def _frames(picture: Image.Image) -> int:
    # Several pictures of one moment in one JPEG are no animation.
    if picture.format not in ("GIF", "PNG", "WEBP", "AVIF") or not getattr(picture, "is_animated", False):
        return 1
    return int(getattr(picture, "n_frames", 1))


def _check_pixels(picture: Image.Image) -> None:
    pixels = picture.width * picture.height
    if pixels > (JPEG_PIXELS_MAX if picture.format in ("JPEG", "MPO") else PIXELS_MAX):
        raise TooMuch


def _small(picture: Image.Image, made: Cut) -> Image.Image:
    """One frame, cut, small, upright, in sRGB, as RGB or, if anything shines through, RGBA. The box is as it is seen."""
    orientation = _orientation(picture)
    size, box = _as_stored(picture.size, made, orientation)
    profile = picture.info.get("icc_profile")
    if picture.format in ("JPEG", "MPO"):
        # The decoder itself makes it 2, 4 or 8 times smaller, in less time and memory.
        before = picture.size
        picture.draft(None, (size[0] * 2, size[1] * 2))
        across, down = picture.width / before[0], picture.height / before[1]
        box = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
        box = (box[0], box[1], min(box[2], picture.width), min(box[3], picture.height))
    if picture.width * picture.height > PIXELS_MAX:
        raise TooMuch
    small = _plain(picture).resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=2.0)
    if orientation in _UPRIGHT:
        small = small.transpose(_UPRIGHT[orientation])
    return _in_srgb(_opaque(small), profile)


def _as_stored(
    stored: tuple[int, int], made: Cut, orientation: int
) -> tuple[tuple[int, int], tuple[float, float, float, float]]:
    """The box in the middle keeps its place whichever way the picture is turned; only its sides may change places."""
    wide, high = made.box[2] - made.box[0], made.box[3] - made.box[1]
    size = (made.width, made.height)
    if orientation in _LYING:
        wide, high, size = high, wide, (made.height, made.width)
    left, top = max(0.0, (stored[0] - wide) / 2), max(0.0, (stored[1] - high) / 2)
    return size, (left, top, min(left + wide, stored[0]), min(top + high, stored[1]))


def _plain(picture: Image.Image) -> Image.Image:
    mode = picture.mode
    if mode in ("RGB", "RGBA"):
        return picture
    if mode.startswith("I"):
        # 16 bits a pixel; Pillow's own conversion would cut instead of scale.
        return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    see_through = mode in ("LA", "PA", "La", "RGBa") or "transparency" in picture.info
    return picture.convert("RGBA" if see_through else "RGB")


def _opaque(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture
    least = picture.getchannel("A").getextrema()[0]
    return picture.convert("RGB") if least == 255 else picture


def _in_srgb(picture: Image.Image, profile: object) -> Image.Image:
    if isinstance(profile, bytes) and profile:
        # A profile that makes no sense is passed over.
        with contextlib.suppress(Exception):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            turned = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"))
            picture = turned or picture
    return picture


def _saved(picture: Image.Image, kind: str) -> bytes:
    name, options = _SAVED_AS[kind]
    picture.info = {}
    out = io.BytesIO()
    picture.save(out, name, **options)
    if out.tell() > RESULT_BYTES_MAX:
        raise TooMuch
    return out.getvalue()


def _moving(picture: Image.Image, made: Cut, frames: int, clock: Callable[[], float]) -> bytes | None:
    """The animation, small; None if it is too much work: a still picture is served then."""
    pixels = picture.width * picture.height
    if frames > FRAMES_MAX or frames * pixels > MOVING_PIXELS_MAX or frames * made.width * made.height > MOVING_PIXELS_KEPT_MAX:
        return None
    until = clock() + MOVING_SECONDS_MAX
    # A GIF that does not say how often is shown once.
    loop = int(picture.info.get("loop", 1 if picture.format == "GIF" else 0))
    kept: list[Image.Image] = []
    shown_ms: list[int] = []
    for index in range(frames):
        if clock() > until:
            return None
        picture.seek(index)
        kept.append(_small(picture, made).convert("RGBA"))
        shown_ms.append(max(10, min(int(picture.info.get("duration", 100) or 100), 60_000)))
        kept[-1].info = {}
    out = io.BytesIO()
    kept[0].save(
        out,
        "WEBP",
        save_all=True,
        append_images=kept[1:],
        duration=shown_ms,
        loop=loop,
        quality=70,
        method=1,
        allow_mixed=False,
    )
    return out.getvalue() if out.tell() <= RESULT_BYTES_MAX else None


def seconds() -> float:
    """Seconds from an arbitrary start, for the bound on animations."""
    return time.monotonic()
