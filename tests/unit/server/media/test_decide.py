import pytest

from tests.unit.server.media.world import PNG
from watchword.base import limits
from watchword.base.errors import Refused
from watchword.server.media.commands import Media, StoredFile
from watchword.server.media.decide import (
    INLINE_TYPES,
    UNKNOWN_TYPE,
    Picture,
    Wanted,
    content_type,
    disposition,
    file_name,
    file_name_in,
    headers,
    is_media_id,
    original_as_thumbnail,
    picture,
    wanted_thumbnail,
)


def media(kind: str, size_bytes: int = 10) -> Media:
    return Media(kind, "stored.bin", StoredFile(b"", size_bytes), 0)


@pytest.mark.parametrize(("text", "answer"), [("aZ0_-", True), ("", False), ("a.b", False), ("a/b", False), ("a" * 256, False)])
def test_media_ids_have_a_small_alphabet(text: str, answer: bool) -> None:
    assert is_media_id(text) is answer


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("image/png", "image/png"),
        (' text/plain; charset=utf-8; x="a b" ', 'text/plain; charset=utf-8; x="a b"'),
        (None, UNKNOWN_TYPE),
        ("", UNKNOWN_TYPE),
        ("nonsense", UNKNOWN_TYPE),
        ("text/plain\r\nx: y", UNKNOWN_TYPE),
        ("text/" + "a" * 300, UNKNOWN_TYPE),
    ],
)
def test_a_content_type_is_kept_if_it_is_one(given: str | None, kept: str) -> None:
    assert content_type(given) == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [(None, None), ("a\x00b\r\n\ud800c", "abc"), ("\x1b", None), ("x" * 300, "x" * 255), ("日本語.txt", "日本語.txt")],
)
def test_file_names_lose_control_characters_only(given: str | None, kept: str | None) -> None:
    assert file_name(given) == kept


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, None),
        ("attachment", None),
        ("inline; filename=a.txt", "a.txt"),
        ('inline; filename="a \\"b\\".txt"', 'a "b".txt'),
        ("inline; filename=x; filename*=UTF-8''%E6%97%A5%zz", "日%zz"),
        ("inline; filename*=utf-8'en'%FF", "\ufffd"),
    ],
)
def test_the_name_is_found_in_a_disposition(given: str | None, found: str | None) -> None:
    assert file_name_in(given) == found


def test_there_are_26_types_that_are_shown_inline() -> None:
    assert len(INLINE_TYPES) == 26
    assert not INLINE_TYPES & {"image/svg+xml", "text/html", "application/pdf"}


@pytest.mark.parametrize(
    ("kind", "name", "answer"),
    [
        ("IMAGE/PNG; x=y", None, "inline"),
        ("image/svg+xml", "", "attachment"),
        ("text/plain", "a b.txt", 'inline; filename="a b.txt"'),
        ("text/plain", 'a"b', "inline; filename*=utf-8''a%22b"),
        ("text/plain", "a\\b", "inline; filename*=utf-8''a%5Cb"),
        ("video/x-unknown", "Ünï/çode", "attachment; filename*=utf-8''%C3%9Cn%C3%AF%2F%C3%A7ode"),
    ],
)
def test_the_disposition_follows_the_type_and_keeps_the_name(kind: str, name: str | None, answer: str) -> None:
    assert disposition(kind, name) == answer


def test_a_name_that_is_asked_for_goes_before_the_stored_one() -> None:
    assert headers(media("text/plain"))["content-disposition"] == 'inline; filename="stored.bin"'
    assert headers(media("text/plain"), "asked")["content-disposition"] == 'inline; filename="asked"'


def test_a_thumbnail_needs_a_size_and_a_known_method() -> None:
    assert wanted_thumbnail(1, 2, "crop", None) == Wanted(1, 2, "crop", None)
    for width, height, method in ((0, 1, "crop"), (1, 0, "crop"), (1, 1, "stretch")):
        assert isinstance(wanted_thumbnail(width, height, method, None), Refused)


JPEG, GIF = b"\xff\xd8\xff\xe0", b"GIF89a"
MOVING_PNG = PNG[:8] + b"....IHDR....acTL....IDAT"
WEBP = b"RIFF....WEBPVP8X....\x10"
MOVING_WEBP = b"RIFF....WEBPVP8X....\x12"


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (JPEG, Picture("jpeg", False)),
        (PNG, Picture("png", False)),
        (MOVING_PNG, Picture("png", True)),
        (PNG[:12], Picture("png", True)),
        (GIF, Picture("gif", True)),
        (WEBP, Picture("webp", False)),
        (MOVING_WEBP, Picture("webp", True)),
        (b"RIFF....WEBPVP8 ....\x02", Picture("webp", False)),
        (b"RIFF....WAVE", None),
        (b"<svg", None),
        (b"", None),
    ],
)
def test_a_picture_is_known_by_its_first_bytes(head: bytes, found: Picture | None) -> None:
    assert picture(head) == found


@pytest.mark.parametrize(
    ("kind", "head", "animated", "status"),
    [
        ("image/png", PNG, False, None),
        ("image/png", MOVING_PNG, None, None),
        ("image/png", MOVING_PNG, False, 400),
        ("image/gif", GIF, True, None),
        ("image/gif", GIF, False, 400),
        ("image/png", JPEG, None, 400),
        ("image/png", b"<html>", None, 400),
        ("text/plain", PNG, None, 400),
    ],
)
def test_an_original_stands_for_its_thumbnail_if_it_is_what_it_says_and_still_if_it_must_be(
    kind: str, head: bytes, animated: bool | None, status: int | None
) -> None:
    refused = original_as_thumbnail(media(kind), head, Wanted(1, 1, "scale", animated))
    assert (None if refused is None else refused.status) == status


def test_a_large_original_is_no_thumbnail() -> None:
    refused = original_as_thumbnail(
        media("image/png", limits.thumbnail_original_bytes_max + 1), PNG, Wanted(1, 1, "crop", None)
    )
    assert refused is not None
    assert refused.status == 413
