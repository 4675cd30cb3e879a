import io

import pytest

from watchword.server.media.sandboxed.frames import (
    HEAD_BYTES_MAX,
    LENGTH_BYTES,
    BrokenFrame,
    decode_head,
    encode_head,
    head_length,
    read_exactly,
)


def test_a_head_comes_back() -> None:
    encoded = encode_head({"job": "日本", "size": 3})
    assert head_length(encoded[:LENGTH_BYTES]) == len(encoded) - LENGTH_BYTES
    assert decode_head(encoded[LENGTH_BYTES:], 3) == {"job": "日本", "size": 3}


@pytest.mark.parametrize(
    "encoded",
    [b"", b"x", b"[]", b"{}", b'{"size":-1}', b'{"size":4}', b'{"size":true}', b'{"size":"1"}', b"[" * 100_000, b"\xff"],
)
def test_a_head_that_lies_is_refused(encoded: bytes) -> None:
    with pytest.raises(BrokenFrame):
        decode_head(encoded, 3)


def test_a_head_is_bounded_at_both_ends() -> None:
    with pytest.raises(BrokenFrame):
        head_length(b"\xff\xff\xff\xff")
    with pytest.raises(BrokenFrame):
        encode_head({"text": "x" * HEAD_BYTES_MAX})


def test_a_pipe_may_end_between_frames_but_not_within_one() -> None:
    source = io.BytesIO(b"12345")
    assert read_exactly(source.read, 3) == b"123"
    with pytest.raises(BrokenFrame):
        read_exactly(source.read, 3)
    assert read_exactly(source.read, 3) is None
