"""The rules of the content repository: names, types, dispositions, thumbnails, quotas."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from watchword.base import limits
from watchword.base.errors import Refused
from watchword.server.media import decide_kinds
from watchword.server.media.commands import Media, Quota, StoredFile, Usage
from watchword.server.media.sandboxed.sizing import Size, allowed

# "…the server SHOULD set…" Spec: client-server-api#get_matrixclientv1mediadownloadservernamemediaid
SAFETY_HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; "
        "object-src 'self';"
    ),
    "cross-origin-resource-policy": "cross-origin",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # What a script may read besides what it always may: it asks for parts of films.
    "access-control-expose-headers": "ETag, Retry-After, Content-Disposition, Content-Range, Accept-Ranges",
}
UNKNOWN_TYPE = "application/octet-stream"
TOO_LARGE = Refused("M_TOO_LARGE", "The picture is too large for a thumbnail.", 413)
UNREADABLE = Refused("M_UNKNOWN", "No thumbnail can be made of this file.")
# The kinds that may be animations.
_MOVING = frozenset(("gif", "png", "webp", "avif"))

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


def disposition(stored_type: str, name: str | None, kind: str) -> str:
    """Content-Disposition: inline for what a browser shows without running it and what is as it says, else attachment.

    kind: what the bytes show. A name beyond plain ASCII is written in the extended form alone, which every browser reads.
    """
    shown = "inline" if decide_kinds.is_inline(stored_type, kind) else "attachment"
    if not name:
        return shown
    if _PLAIN_NAME.fullmatch(name):
        return f'{shown}; filename="{name}"'
    return f"{shown}; filename*=utf-8''{quote(name, safe='')}"


def tag_of(file: StoredFile) -> str:
    """The ETag of a file: its content's hash."""
    return f'"{file.sha256.hex()}"'


def headers(media: Media, name: str | None = None) -> dict[str, str]:
    """The headers of a download. name: what the path asks for in place of the stored one."""
    return {
        **SAFETY_HEADERS,
        "content-type": media.content_type,
        "content-length": str(media.file.size_bytes),
        "content-disposition": disposition(media.content_type, name or media.file_name, media.kind),
        "cache-control": "private, max-age=86400, immutable",
        "etag": tag_of(media.file),
        "accept-ranges": "bytes",
    }


@dataclass(frozen=True, slots=True)
class Wanted:
    """A thumbnail as it is asked for. animated None: it should not move. accept: the header, as sent."""

    width: int
    height: int
    method: str
    animated: bool | None
    accept: str = ""


@dataclass(frozen=True, slots=True)
class Variant:
    """A thumbnail as it is made and kept. size None: as large as the original."""

    size: Size | None
    moves: bool
    webp: bool

    @property
    def name(self) -> str:
        """Names it among those of one file."""
        size = "full" if self.size is None else f"{self.size.width}x{self.size.height}{'c' if self.size.crop else 's'}"
        return size + ("+moves" if self.moves else "") + ("+webp" if self.webp else "")


def wanted_thumbnail(wanted: Wanted) -> Wanted | Refused:
    """Check what is asked for."""
    if wanted.width < 1 or wanted.height < 1:
        return Refused("M_UNKNOWN", "A thumbnail has a width and a height of at least 1.")
    if wanted.method not in ("crop", "scale"):
        return Refused("M_UNKNOWN", "method must be crop or scale.")
    return wanted


def variant(wanted: Wanted, kind: str) -> Variant:
    """Which of the few thumbnails to serve. kind: of the original.

    "When not provided, the server SHOULD NOT return an animated thumbnail." WebP is for readers that name it.
    """
    size = allowed(wanted.width, wanted.height, crop=wanted.method == "crop")
    moves = wanted.animated is True and kind in _MOVING
    return Variant(size, moves, "image/webp" in wanted.accept.lower())


def has_thumbnails(media: Media) -> Refused | None:
    """Whether small pictures can be made of this, by its kind and its size."""
    if media.kind not in decide_kinds.PICTURES:
        return Refused("M_UNKNOWN", "There are no thumbnails of this type.")
    if media.file.size_bytes > limits.thumbnail_source_bytes_max:
        return TOO_LARGE
    return None


def over_quota(quota: Quota, usage: Usage, more_bytes: int) -> Refused | None:
    """Whether a user who has stored that much may store one more file.

    Spec: client-server-api#post_matrixmediav3upload
    """
    if quota.files_max is not None and usage.files >= quota.files_max:
        return Refused("M_FORBIDDEN", "You have uploaded as many files as you may.", 403)
    if quota.bytes_max is not None and usage.bytes + more_bytes > quota.bytes_max:
        return Refused("M_FORBIDDEN", "You have uploaded as much as you may.", 403)
    if quota.bytes_per_day_max is not None and usage.bytes_of_day + more_bytes > quota.bytes_per_day_max:
        return Refused("M_FORBIDDEN", "You have uploaded as much as you may in one day.", 403)
    return None


def shown_media(content: Mapping[str, object], server_name: str) -> list[str]:
    """The media IDs of this server that an event's content shows: its file, its thumbnail, encrypted or not."""
    info = content.get("info")
    new = content.get("m.new_content")
    places: list[object] = [content.get("url"), _url_in(content.get("file"))]
    if isinstance(info, Mapping):
        places += [info.get("thumbnail_url"), _url_in(info.get("thumbnail_file"))]
    prefix = f"mxc://{server_name}/"
    found = [place.removeprefix(prefix) for place in places if isinstance(place, str) and place.startswith(prefix)]
    if isinstance(new, Mapping):
        found += shown_media({key: value for key, value in new.items() if key != "m.new_content"}, server_name)
    return [media_id for media_id in dict.fromkeys(found) if is_media_id(media_id)][: limits.event_media_max]


def _url_in(file: object) -> object:
    return file.get("url") if isinstance(file, Mapping) else None


def _percent_decoded(text: str) -> str:
    raw = re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), text.encode("utf-8", "replace"))
    return raw.decode("utf-8", "replace")
