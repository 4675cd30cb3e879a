import pytest

from watchword.base import limits
from watchword.base.errors import Refused
from watchword.server.media.commands import Media, Quota, StoredFile, Usage
from watchword.server.media.decide import (
    UNKNOWN_TYPE,
    Wanted,
    content_type,
    disposition,
    file_name,
    file_name_in,
    has_thumbnails,
    headers,
    is_media_id,
    over_quota,
    shown_media,
    variant,
    wanted_thumbnail,
)


def media(kind: str, size_bytes: int = 10, shows: str = "text") -> Media:
    return Media(kind, "stored.bin", StoredFile(b"\x01", size_bytes), 0, shows)


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


@pytest.mark.parametrize(
    ("kind", "name", "answer"),
    [
        ("text/PLAIN; x=y", None, "inline"),
        ("image/png", None, "attachment"),
        ("image/svg+xml", "", "attachment"),
        ("text/plain", "a b.txt", 'inline; filename="a b.txt"'),
        ("text/plain", 'a"b', "inline; filename*=utf-8''a%22b"),
        ("text/plain", "a\\b", "inline; filename*=utf-8''a%5Cb"),
        ("video/x-unknown", "Ünï/çode", "attachment; filename*=utf-8''%C3%9Cn%C3%AF%2F%C3%A7ode"),
    ],
)
def test_the_disposition_follows_the_type_and_keeps_the_name(kind: str, name: str | None, answer: str) -> None:
    assert disposition(kind, name, "text") == answer


def test_a_name_that_is_asked_for_goes_before_the_stored_one() -> None:
    assert headers(media("text/plain"))["content-disposition"] == 'inline; filename="stored.bin"'
    assert headers(media("text/plain"), "asked")["content-disposition"] == 'inline; filename="asked"'


def test_a_download_can_be_asked_for_again_and_in_parts() -> None:
    found = headers(media("text/plain"))
    assert (found["etag"], found["accept-ranges"]) == ('"01"', "bytes")


def test_a_thumbnail_needs_a_size_and_a_known_method() -> None:
    assert wanted_thumbnail(Wanted(1, 2, "crop", None)) == Wanted(1, 2, "crop", None)
    for width, height, method in ((0, 1, "crop"), (1, 0, "crop"), (1, 1, "stretch")):
        assert isinstance(wanted_thumbnail(Wanted(width, height, method, None)), Refused)


@pytest.mark.parametrize(
    ("wanted", "kind", "name"),
    [
        (Wanted(32, 32, "crop", None), "jpeg", "32x32c"),
        (Wanted(33, 10, "crop", None), "jpeg", "96x96c"),
        (Wanted(97, 97, "crop", None), "jpeg", "320x240s"),
        (Wanted(32, 32, "scale", None), "jpeg", "320x240s"),
        (Wanted(320, 241, "scale", None), "jpeg", "640x480s"),
        (Wanted(800, 600, "scale", None, "image/webp,*/*"), "jpeg", "800x600s+webp"),
        (Wanted(801, 1, "scale", None), "jpeg", "full"),
        (Wanted(1, 1, "scale", True), "gif", "320x240s+moves"),
        (Wanted(1, 1, "scale", False), "gif", "320x240s"),
        (Wanted(1, 1, "scale", True), "jpeg", "320x240s"),
    ],
)
def test_one_of_few_thumbnails_is_served_and_none_is_smaller_than_asked(wanted: Wanted, kind: str, name: str) -> None:
    assert variant(wanted, kind).name == name


@pytest.mark.parametrize(
    ("kind", "size_bytes", "status"),
    [("png", 1, None), ("text", 1, 400), ("other", 1, 400), ("png", limits.thumbnail_source_bytes_max + 1, 413)],
)
def test_there_are_thumbnails_of_pictures_that_are_not_too_large(kind: str, size_bytes: int, status: int | None) -> None:
    refused = has_thumbnails(media("image/png", size_bytes, kind))
    assert (None if refused is None else refused.status) == status


@pytest.mark.parametrize(
    ("quota", "more", "is_refused"),
    [
        (Quota(), 10**12, False),
        (Quota(bytes_max=110), 10, False),
        (Quota(bytes_max=110), 11, True),
        (Quota(files_max=6), 1, False),
        (Quota(files_max=5), 0, True),
        (Quota(bytes_per_day_max=60), 10, False),
        (Quota(bytes_per_day_max=60), 11, True),
    ],
)
def test_a_quota_bounds_bytes_files_and_bytes_of_a_day(quota: Quota, more: int, is_refused: bool) -> None:
    refused = over_quota(quota, Usage(bytes=100, files=5, bytes_of_day=50), more)
    assert (refused is not None and (refused.status, refused.errcode) == (403, "M_FORBIDDEN")) is is_refused


def test_an_event_shows_its_file_and_its_thumbnail_encrypted_or_not() -> None:
    content = {
        "url": "mxc://here.example/a",
        "file": {"url": "mxc://here.example/b"},
        "info": {"thumbnail_url": "mxc://here.example/c", "thumbnail_file": {"url": "mxc://here.example/d"}},
        "m.new_content": {"url": "mxc://here.example/e", "m.new_content": {"url": "mxc://here.example/f"}},
    }
    assert shown_media(content, "here.example") == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"url": 5, "info": [], "file": "x", "m.new_content": 1},
        {"url": "mxc://there.example/a"},
        {"url": "mxc://here.example/a/../b"},
        {"file": {"url": None}, "info": {}},
    ],
)
def test_an_event_that_names_nothing_of_ours_shows_nothing(content: dict[str, object]) -> None:
    assert shown_media(content, "here.example") == []
