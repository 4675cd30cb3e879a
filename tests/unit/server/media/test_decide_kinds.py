import pytest

from tests.unit.server.media.pictures import a_picture, an_animation
from watchword.server.media.decide_kinds import INLINE_TYPES, is_inline, kind_of


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (a_picture("JPEG"), "jpeg"),
        (a_picture("PNG"), "png"),
        (an_animation("GIF"), "gif"),
        (a_picture("WEBP"), "webp"),
        (a_picture("AVIF"), "avif"),
        (b"RIFF....WAVEfmt ", "wave"),
        (b"RIFF....AVI ", "other"),
        (b"\x00\x00\x00\x18ftypmp42", "mp4"),
        (b"\x00\x00\x00\x18moov", "mp4"),
        (b"\x1aE\xdf\xa3", "webm"),
        (b"OggS\x00", "ogg"),
        (b"fLaC", "flac"),
        (b"ID3\x04", "mpeg"),
        (b"\xff\xfb\x90", "mpeg"),
        (b"\xff\xf1\x50", "mpeg"),
        (b"\xff\xff", "text"),
        (b"\xff", "text"),
        (b"%PDF-1.7", "pdf"),
        (b"", "empty"),
        (b"plain words", "text"),
        ("日本語".encode(), "text"),
        (b"\xff\xfew\x00", "text"),
        (b"\xfe\xff\x00<", "markup"),
        (b"\x7fELF\x02\x01", "other"),
        (b"MZ\x90\x00", "other"),
        (b"<!DOCTYPE html>", "markup"),
        (b"\xef\xbb\xbf \n<HTML>", "markup"),
        (b"<?xml version='1.0'?><svg/>", "markup"),
        (b"GIF88a <script>alert(1)</script>", "markup"),
        (b"a < b", "text"),
    ],
)
def test_a_kind_is_known_by_the_first_bytes(head: bytes, kind: str) -> None:
    assert kind_of(head[:512]) == kind


@pytest.mark.parametrize(
    ("declared", "kind", "answer"),
    [
        ("image/png", "png", True),
        ("IMAGE/PNG; x=y", "png", True),
        ("image/png", "markup", False),
        ("image/png", "jpeg", False),
        ("image/png", "other", False),
        ("image/svg+xml", "markup", False),
        ("text/html", "text", False),
        ("text/plain", "text", True),
        ("text/plain", "markup", False),
        ("text/plain", "other", False),
        ("application/json", "text", True),
        ("audio/x-wav", "wave", True),
        ("audio/mpeg", "other", False),
        ("video/mp4", "mp4", True),
        ("text/css", "empty", True),
        ("application/pdf", "pdf", False),
    ],
)
def test_only_what_is_as_it_says_is_shown_inline(declared: str, kind: str, answer: bool) -> None:
    assert is_inline(declared, kind) is answer


def test_there_are_26_types_that_are_shown_inline() -> None:
    assert len(INLINE_TYPES) == 26
    assert not INLINE_TYPES & {"image/svg+xml", "text/html", "application/pdf"}
