"""Reads the two parts of a media answer as their bytes come, pure: a JSON object about the file, then the file.

Theory of operation. `feed` takes what came and gives the bytes of the second part that are certain: those that might be
the beginning of a boundary are kept back. Before the second part's body nothing is given, and little is kept.
Spec: server-server-api#get_matrixfederationv1mediadownloadmediaid
"""

from collections.abc import Mapping
from email.message import Message
from enum import Enum

from watchword.base.errors import RemoteProtocolError

_HEAD_BYTES_MAX = 131_072
_BOUNDARY_CHARACTERS_MAX = 70


class _At(Enum):
    PREAMBLE = "before the first boundary"
    FIRST = "in the first part"
    HEADERS = "in the second part's headers"
    BODY = "in the second part's body"
    END = "behind the second part"


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a multipart/mixed content type; None if it is another, or names none."""
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_type() != "multipart/mixed" or not boundary or len(boundary) > _BOUNDARY_CHARACTERS_MAX:
        return None
    return boundary.encode("utf-8", "replace")


class MediaParts:
    """The parser. headers: of the second part, lower-case names, None until they are here."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        # The first boundary may stand at the very beginning, without a line break before it.
        self._buffer = b"\r\n"
        self._at = _At.PREAMBLE
        self.headers: Mapping[str, str] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the end of the second part has come."""
        return self._at is _At.END

    def feed(self, data: bytes) -> bytes:
        """Take bytes; give those of the file. Raises RemoteProtocolError if there is too much before the file."""
        self._buffer += data
        if self._at is _At.PREAMBLE and self._skip_to_delimiter():
            self._at = _At.FIRST
        if self._at is _At.FIRST and self._skip_to_delimiter():
            self._at = _At.HEADERS
        if self._at is _At.HEADERS:
            self._read_headers()
        if self._at is _At.BODY:
            return self._body()
        if self._at is _At.END:
            self._buffer = b""
        elif len(self._buffer) > _HEAD_BYTES_MAX:
            raise RemoteProtocolError("There is too much before the file.")
        return b""

    def _skip_to_delimiter(self) -> bool:
        found = self._buffer.find(self._delimiter)
        if found < 0:
            return False
        self._buffer = self._buffer[found + len(self._delimiter) :]
        return True

    def _read_headers(self) -> None:
        # What is left of the delimiter's line comes first; a part without headers has only the empty line.
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        if head.startswith(b"--"):
            raise RemoteProtocolError("There is no second part.")
        headers: dict[str, str] = {}
        for line in head.decode("utf-8", "replace").split("\r\n")[1:]:
            name, colon, value = line.partition(":")
            if colon:
                headers[name.strip().lower()] = value.strip()
        self.headers = headers
        # An empty file: the line break before its boundary is the one that ended the headers.
        self._buffer = b"\r\n" + rest if rest.startswith(self._delimiter[2:]) else rest
        self._at = _At.BODY

    def _body(self) -> bytes:
        found = self._buffer.find(self._delimiter)
        if found >= 0:
            body, self._buffer = self._buffer[:found], b""
            self._at = _At.END
            return body
        keep = len(self._delimiter) - 1
        certain = max(0, len(self._buffer) - keep)
        body, self._buffer = self._buffer[:certain], self._buffer[certain:]
        return body
