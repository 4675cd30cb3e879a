"""Jobs and answers on a pipe: the length of a JSON object, the object, then as many bytes as its `size` says.

Shared by both ends, so that they cannot part. The server does not believe lengths: both are bounded by the reader.
"""

import json
import struct
from collections.abc import Callable
from typing import Any

_LENGTH = struct.Struct(">I")
LENGTH_BYTES = _LENGTH.size
HEAD_BYTES_MAX = 262_144


class BrokenFrame(Exception):
    """The other end sent what is no frame, or ended in the middle of one."""


def encode_head(head: dict[str, Any]) -> bytes:
    """The length and the object."""
    encoded = json.dumps(head, separators=(",", ":")).encode("ascii")
    if len(encoded) > HEAD_BYTES_MAX:
        raise BrokenFrame
    return _LENGTH.pack(len(encoded)) + encoded


def head_length(prefix: bytes) -> int:
    """How long the object is. Raises BrokenFrame."""
    length: int = _LENGTH.unpack(prefix)[0]
    if length > HEAD_BYTES_MAX:
        raise BrokenFrame
    return length


def decode_head(encoded: bytes, size_max: int) -> dict[str, Any]:
    """The object, with its `size` checked. Raises BrokenFrame."""
    try:
        head = json.loads(encoded)
    except (ValueError, RecursionError) as error:
        raise BrokenFrame from error
    size = head.get("size") if isinstance(head, dict) else None
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= size_max:
        raise BrokenFrame
    found: dict[str, Any] = head
    return found


def read_exactly(read: Callable[[int], bytes], count: int) -> bytes | None:
    """count bytes; None if the pipe ends before the first. Raises BrokenFrame if it ends later."""
    found = bytearray()
    while len(found) < count:
        piece = read(min(count - len(found), 1 << 20))
        if not piece:
            if found:
                raise BrokenFrame
            return None
        found += piece
    return bytes(found)
