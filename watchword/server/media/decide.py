"""The rules of the content repository: names, types, dispositions, thumbnails."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from watchword.base import limits
from watchword.base.errors import Refused
from watchword.server.media.commands import Media

# Spec: client-server-api#serving-inline-content
INLINE_TYPES = frozenset(
    [
        "text/css",
        "text/plain",
        "text/csv",
        "application/json",
        "application/ld+json",
        "image/jpeg",
        "image/gif",
        "image/png",
        "image/apng",
        "image/webp",
        "image/avif",
        "video/mp4",
        "video/webm",
        "video/ogg",
        "video/quicktime",
        "audio/mp4",
        "audio/webm",
        "audio/aac",
        "audio/mpeg",
        "audio/ogg",
        "audio/wave",
        "audio/wav",
        "audio/x-wav",
        "audio/x-pn-wav",
        "audio/flac",
        "audio/x-flac",
    ]
)
_PICTURE_TYPES: Mapping[str, frozenset[str]] = {
    "jpeg": frozenset(("image/jpeg",)),
    "png": frozenset(("image/png", "image/apng")),
    "gif": frozenset(("image/gif",)),
    "webp": frozenset(("image/webp",)),
}

# "…the server SHOULD set…" Spec: client-server-api#get_matrixclientv1mediadownloadservernamemediaid
SAFETY_HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; "
        "object-src 'self';"
    ),
    "cross-origin-resource-policy": "cross-origin",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
UNKNOWN_TYPE = "application/octet-stream"

_MEDIA_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_TOKEN = r"[A-Za-z0-9!#$&^_.+-]+"  # noqa: S105 (a grammar's word)
_CONTENT_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*{_TOKEN}=(?:{_TOKEN}|\"[A-Za-z0-9 !#-\[\]-~]*\"))*")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9 !#$&'()+,.;=@\[\]^_`{}~-]+")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_EXTENDED = re.compile(r"filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", re.IGNORECASE)
_QUOTED = re.compile(r'filename\s*=\s*"((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_BARE = re.compile(r"filename\s*=\s*([^;\s\"]+)", re.IGNORECASE)


def is_media_id(text: str) -> bool:
    """Whether this can name media. Spec: client-server-api#security-considerations-5"""
    return _MEDIA_ID.fullmatch(text) is not None


def content_type(given: str | None) -> str:
    """The type to store: what was given if it is one, else application/octet-stream."""
    if given is None or len(given) > limits.content_type_characters_max:
        return UNKNOWN_TYPE
    stripped = given.strip()
    return stripped if _CONTENT_TYPE.fullmatch(stripped) else UNKNOWN_TYPE


def file_name(given: str | None) -> str | None:
    """The name to store: without control characters, and not longer than a file system likes; None if nothing is left."""
    if given is None:
        return None
    return _CONTROL.sub("", given)[: limits.file_name_characters_max].strip() or None


def file_name_in(disposition: str | None) -> str | None:
    """The file name in another server's Content-Disposition. Spec: none (RFC 6266)"""
    if disposition is None:
        return None
    extended = _EXTENDED.search(disposition)
    if extended is not None:
        return file_name(_percent_decoded(extended[1]))
    quoted = _QUOTED.search(disposition)
    if quoted is not None:
        return file_name(re.sub(r"\\(.)", r"\1", quoted[1]))
    bare = _BARE.search(disposition)
    return None if bare is None else file_name(bare[1])


def disposition(stored_type: str, name: str | None) -> str:
    """Content-Disposition: inline for the types that a browser shows without running them, else attachment.

    A name beyond plain ASCII is written in the extended form alone, which every browser reads.
    """
    bare_type = stored_type.partition(";")[0].strip().lower()
    kind = "inline" if bare_type in INLINE_TYPES else "attachment"
    if not name:
        return kind
    if _PLAIN_NAME.fullmatch(name):
        return f'{kind}; filename="{name}"'
    return f"{kind}; filename*=utf-8''{quote(name, safe='')}"


def headers(media: Media, name: str | None = None) -> dict[str, str]:
    """The headers of a download. name: what the path asks for in place of the stored one."""
    return {
        **SAFETY_HEADERS,
        "content-type": media.content_type,
        "content-length": str(media.file.size_bytes),
        "content-disposition": disposition(media.content_type, name or media.file_name),
        "cache-control": "private, max-age=86400, immutable",
    }


@dataclass(frozen=True, slots=True)
class Wanted:
    """A thumbnail as it is asked for. animated None: the server may choose."""

    width: int
    height: int
    method: str
    animated: bool | None


def wanted_thumbnail(width: int, height: int, method: str, animated: bool | None) -> Wanted | Refused:
    """Check what is asked for."""
    if width < 1 or height < 1:
        return Refused("M_UNKNOWN", "A thumbnail has a width and a height of at least 1.")
    if method not in ("crop", "scale"):
        return Refused("M_UNKNOWN", "method must be crop or scale.")
    return Wanted(width, height, method, animated)


@dataclass(frozen=True, slots=True)
class Picture:
    """What the first bytes of a file show. may_move: it is, or may be, animated."""

    format: str
    may_move: bool


def picture(head: bytes) -> Picture | None:
    """What kind of picture a file is, whatever its uploader said; None if it is none that browsers show safely."""
    if head.startswith(b"\xff\xd8\xff"):
        return Picture("jpeg", False)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        # An animation is announced before the first pixels; where neither is in sight, nobody knows.
        return Picture("png", b"acTL" in head or b"IDAT" not in head)
    if head.startswith((b"GIF87a", b"GIF89a")):
        return Picture("gif", True)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Picture("webp", head[12:16] == b"VP8X" and len(head) > 20 and bool(head[20] & 0x02))
    return None


def original_as_thumbnail(media: Media, head: bytes, wanted: Wanted) -> Refused | None:
    """Whether the original may stand for its thumbnail: a picture as it says, small, and still if it must be.

    head: the first bytes of the file. A thumbnail is never smaller than asked unless the original is: this never is.
    """
    found = picture(head)
    bare_type = media.content_type.partition(";")[0].strip().lower()
    if found is None or bare_type not in _PICTURE_TYPES[found.format]:
        return Refused("M_UNKNOWN", "There are no thumbnails of this type.")
    if wanted.animated is False and found.may_move:
        return Refused("M_UNKNOWN", "There is no still thumbnail of this picture.")
    if media.file.size_bytes > limits.thumbnail_original_bytes_max:
        return Refused("M_TOO_LARGE", "The picture is too large for a thumbnail.", 413)
    return None


def _percent_decoded(text: str) -> str:
    raw = re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), text.encode("utf-8", "replace"))
    return raw.decode("utf-8", "replace")
