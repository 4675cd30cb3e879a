"""The two parts of a media answer, however they are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.base.errors import RemoteProtocolError
from watchword.server.federation.multipart import MediaParts, boundary_of

HEAD = b"--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nContent-Type: text/plain\r\nX: y: z\r\n\r\n"


def read(data: bytes, step: int) -> tuple[bytes, MediaParts]:
    parts = MediaParts(b"b")
    body = b"".join(parts.feed(data[at : at + step]) for at in range(0, len(data), step))
    return body, parts


@given(st.binary(max_size=200).filter(lambda body: b"\r\n--b" not in body), st.integers(1, 50), st.booleans())
def test_the_file_comes_out_as_it_went_in(body: bytes, step: int, preamble: bool) -> None:
    data = (b"preamble\r\n" if preamble else b"") + HEAD + body + b"\r\n--b--\r\nepilogue"
    found, parts = read(data, step)
    assert (found, parts.is_whole) == (body, True)
    assert parts.headers == {"content-type": "text/plain", "x": "y: z"}


@given(st.binary(max_size=300), st.integers(1, 50))
def test_garbage_never_crashes(data: bytes, step: int) -> None:
    parts = MediaParts(b"b")
    try:
        for at in range(0, len(data), step):
            parts.feed(data[at : at + step])
    except RemoteProtocolError:
        return


def test_a_part_without_headers_and_an_empty_file() -> None:
    found, parts = read(b"--b\r\n\r\n{}\r\n--b\r\n\r\n\r\n--b--", 3)
    assert (found, parts.headers, parts.is_whole) == (b"", {}, True)
    found, parts = read(b"--b\r\n\r\n{}\r\n--b\r\n\r\n--b--", 100)
    assert (found, parts.is_whole) == (b"", True)


def test_what_breaks_off_is_not_whole() -> None:
    _, parts = read(HEAD + b"half a file", 10)
    assert not parts.is_whole


def test_too_much_before_the_file_and_no_second_part_are_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        read(b"x" * 200_000, 1_000)
    with pytest.raises(RemoteProtocolError):
        read(b"--b\r\n\r\n{}\r\n--b--\r\n\r\n", 100)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/mixed; boundary=abc", b"abc"),
        ('Multipart/Mixed; charset=x; boundary="a b"', b"a b"),
        ("multipart/mixed", None),
        ("multipart/form-data; boundary=abc", None),
        ("", None),
        ("multipart/mixed; boundary=" + "x" * 71, None),
    ],
)
def test_the_boundary_is_in_the_content_type(content_type: str, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary
