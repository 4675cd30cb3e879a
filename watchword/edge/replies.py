"""What handlers give back: status, bytes, headers. Encoding happens here, once."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import msgspec
import orjson

JSON_HEADERS: Mapping[str, str] = {"content-type": "application/json"}


class Reply(msgspec.Struct, frozen=True):
    """A whole reply. Header names are lower-case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = msgspec.field(default_factory=lambda: JSON_HEADERS)

    EMPTY: ClassVar["Reply"]

    @staticmethod
    def json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> "Reply":
        """Encode a JSON value."""
        merged = JSON_HEADERS if headers is None else {**JSON_HEADERS, **headers}
        return Reply(status, orjson.dumps(value), merged)

    @staticmethod
    def encoded(body: bytes, status: int = 200) -> "Reply":
        """A JSON value that is encoded already (spliced from stored bytes)."""
        return Reply(status, body)


Reply.EMPTY = Reply(200, b"{}")


@dataclass(frozen=True, slots=True)
class StreamReply:
    """A reply whose body comes in pieces. Give `content-length` where it is known."""

    status: int
    pieces: AsyncIterator[bytes]
    headers: Mapping[str, str]


AnyReply = Reply | StreamReply
