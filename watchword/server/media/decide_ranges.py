"""Parts of files and files that the client has already: what to answer to Range, If-Range and If-None-Match. Pure.

Spec: none (RFC 9110, sections 13 and 14)
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

_RANGE = re.compile(r"bytes\s*=\s*(?:(\d{1,20})-(\d{0,20})|-(\d{1,20}))\s*", re.ASCII | re.IGNORECASE)
_TAGS = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


class Part(NamedTuple):
    """Bytes first to last, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.last - self.first + 1


UNSATISFIABLE = Part(0, -1)
"""A part that lies behind the end of the file."""


def wanted_part(headers: Mapping[str, str], size_bytes: int, tag: str) -> Part | None:
    """The part to send; None for the whole file; UNSATISFIABLE for 416. headers: lower-case names. tag: the file's ETag.

    What is malformed, and several ranges at once, count as no range: that is allowed, and several small ones are an attack.
    A range that holds only for another version of the file (If-Range) is passed over. There is no Last-Modified: a date
    never matches.
    """
    given = _RANGE.fullmatch(headers.get("range", "").strip())
    if given is None:
        return None
    condition = headers.get("if-range")
    if condition is not None and condition.strip() != tag:
        return None
    first, last, suffix = given.groups()
    if suffix is not None:
        length = min(int(suffix), size_bytes)
        return Part(size_bytes - length, size_bytes - 1) if length else UNSATISFIABLE
    if last and int(last) < int(first):
        return None
    if int(first) >= size_bytes:
        return UNSATISFIABLE
    return Part(int(first), min(int(last), size_bytes - 1) if last else size_bytes - 1)


def is_known(headers: Mapping[str, str], tag: str) -> bool:
    """Whether the client says that it has this very file (If-None-Match)."""
    given = headers.get("if-none-match", "").strip()
    return given == "*" or any(found.removeprefix("W/") == tag for found in _TAGS.findall(given))
