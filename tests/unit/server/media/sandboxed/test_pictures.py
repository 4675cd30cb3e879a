import io
import struct
import time
import zlib

import pytest
from PIL import Image, ImageCms

from tests.unit.server.media.pictures import a_picture, an_animation, noise, opened
from watchword.server.media.sandboxed import pictures
from watchword.server.media.sandboxed.pictures import TooMuch, Unreadable, measure
from watchword.server.media.sandboxed.sizing import Size

CROP, SCALE = Size(96, 96, True), Size(320, 240, False)
BIG = (1_000, 750)


def thumbnail(
    data: bytes, size: Size | None = SCALE, moves: bool = False, webp: bool = False
) -> tuple[dict[str, object], bytes]:
    return pictures.thumbnail(data, size, moves=moves, webp=webp, clock=time.monotonic)


def claimed_png(width: int, height: int) -> bytes:
    """A PNG of few bytes that says it is that large; its pixels compress a thousandfold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress(b"\0" * min(width * height, 5_000_000), 9)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "AVIF"])
def test_five_formats_are_read(kind: str) -> None:
    about, data = thumbnail(a_picture(kind, BIG))
    assert about == {"type": "image/jpeg", "width": 320, "height": 240, "original": False}
    assert opened(data).size == (320, 240)
    assert measure(a_picture(kind, (50, 30))) == {"type": f"image/{kind.lower()}", "width": 50, "height": 30}


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "ICO", "PPM", "TGA"])
def test_other_formats_are_not(kind: str) -> None:
    with pytest.raises(Unreadable):
        thumbnail(a_picture(kind, (200, 200)))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_every_kind_of_colour_is_read(mode: str) -> None:
    assert opened(thumbnail(a_picture("JPEG", BIG, mode))[1]).mode == "RGB"


def test_16_bits_of_grey_keep_their_levels() -> None:
    out = io.BytesIO()
    Image.new("I;16", BIG, 0x8000).save(out, "PNG")
    level = opened(thumbnail(out.getvalue())[1]).convert("L").tobytes()[0]
    assert abs(level - 0x80) < 4


def test_what_shines_through_stays_a_png_and_what_does_not_becomes_a_jpeg() -> None:
    out = io.BytesIO()
    Image.new("RGBA", BIG, (255, 0, 0, 100)).save(out, "PNG")
    about, data = thumbnail(out.getvalue())
    assert (about["type"], opened(data).mode) == ("image/png", "RGBA")
    assert thumbnail(out.getvalue(), webp=True)[0]["type"] == "image/webp"
    assert thumbnail(a_picture("PNG", BIG, "RGBA"))[0]["type"] == "image/jpeg"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_a_picture_stands_upright_and_says_nothing_of_where_it_was_taken(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8825)[1] = "N"
    source = a_picture(kind, BIG, exif=exif.tobytes())
    seen = measure(source)
    about, data = thumbnail(source, SCALE)
    made = opened(data)
    assert not made.getexif()
    assert not {"exif", "icc_profile", "comment"} & set(made.info)
    assert (seen["width"], seen["height"]) == ((750, 1_000) if orientation > 4 else BIG)
    assert made.size == ((320, 427) if orientation > 4 else (320, 240)) == (about["width"], about["height"])
    # The dark half is where a reader that turns pictures would show it.
    dark = {1: (5, 100), 2: (315, 100), 3: (315, 100), 4: (5, 100), 5: (100, 5), 6: (100, 5), 7: (100, 420), 8: (100, 420)}
    across, down = dark[orientation]
    assert made.convert("L").tobytes()[down * made.width + across] < 110
    assert opened(thumbnail(source, CROP)[1]).size == (96, 96)


def test_colours_are_brought_to_srgb() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for given in (profile, b"nonsense"):
        assert opened(thumbnail(a_picture("JPEG", BIG, icc_profile=given))[1]).info.get("icc_profile") is None


def test_an_original_that_is_small_enough_stands_for_itself() -> None:
    for size in ((319, 1_000), (320, 240), (10, 10)):
        about, data = thumbnail(a_picture("PNG", size))
        assert (data, about["original"], about["type"]) == (b"", True, "image/png")
    assert thumbnail(a_picture("PNG", (800, 800)), None)[0]["original"] is True


def test_an_original_that_few_readers_know_is_translated() -> None:
    about, data = thumbnail(a_picture("AVIF", (100, 50)))
    assert (about["type"], opened(data).size) == ("image/jpeg", (100, 50))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_moves_if_it_may(kind: str) -> None:
    source = an_animation(kind, BIG, 4)
    about, data = thumbnail(source, moves=True)
    made = opened(data)
    assert (about["type"], getattr(made, "n_frames", 1), made.size) == ("image/webp", 4, (320, 240))
    made.seek(1)
    made.load()
    assert made.info["duration"] == 80
    about, data = thumbnail(source)
    assert (about["type"], getattr(opened(data), "n_frames", 1)) == ("image/jpeg", 1)
    assert thumbnail(an_animation(kind, (30, 30)), moves=True)[0]["original"] is True
    assert thumbnail(an_animation(kind, (30, 30)))[0]["original"] is False


def test_an_animation_that_is_too_much_work_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    source = an_animation("GIF", BIG, 4)
    with monkeypatch.context() as patched:
        patched.setattr(pictures, "FRAMES_MAX", 3)
        assert thumbnail(source, moves=True)[0]["type"] == "image/jpeg"
    ticks = iter((0.0, 1.0, 100.0))
    about, data = pictures.thumbnail(source, SCALE, moves=True, webp=False, clock=lambda: next(ticks))
    assert (about["type"], opened(data).size) == ("image/jpeg", (320, 240))


@pytest.mark.parametrize(("width", "height"), [(50_001, 1_000), (65_000, 65_000), (2**31 - 1, 2)])
def test_a_bomb_is_refused_before_its_pixels_are_read(width: int, height: int) -> None:
    before = time.process_time()
    with pytest.raises((TooMuch, Unreadable)):
        thumbnail(claimed_png(width, height))
    assert time.process_time() - before < 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "AVIF"])
def test_damaged_pictures_are_unreadable_and_nothing_worse(kind: str) -> None:
    whole = a_picture(kind, BIG)
    for damaged in (
        whole[: len(whole) // 2],
        whole[:20],
        whole[:40] + noise(len(whole)),
        whole[: len(whole) // 3] + noise(50) + whole[len(whole) // 3 + 50 :],
    ):
        try:
            about, data = thumbnail(damaged)
        except (Unreadable, TooMuch):
            continue
        # A decoder may get over damage; what it makes of it is a picture all the same.
        assert opened(data).size == (about["width"], about["height"])


def test_what_hides_behind_a_picture_is_gone_in_its_thumbnail() -> None:
    hidden = b"<script>alert(1)</script>"
    _, data = thumbnail(a_picture("GIF", BIG) + hidden)
    assert hidden not in data
