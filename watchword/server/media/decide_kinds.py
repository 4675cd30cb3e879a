"""What the first bytes of a file show, and whether a browser may show the file as what it is said to be. Pure.

The declared type is kept for clients. But `inline` is only said of a file whose bytes are what they are declared to be: a page
that calls itself a picture is an attachment.
"""

from collections.abc import Mapping

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

TEXT, MARKUP, EMPTY, OTHER = "text", "markup", "empty", "other"
PICTURES = frozenset(("jpeg", "png", "gif", "webp", "avif"))

_PREFIXES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"\x1aE\xdf\xa3", "webm"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"ID3", "mpeg"),
    (b"%PDF-", "pdf"),
)
# What may be called what. A declared type that is not here, but inline, is text.
_KINDS_OF: Mapping[str, frozenset[str]] = {
    "image/jpeg": frozenset(("jpeg",)),
    "image/gif": frozenset(("gif",)),
    "image/png": frozenset(("png",)),
    "image/apng": frozenset(("png",)),
    "image/webp": frozenset(("webp",)),
    "image/avif": frozenset(("avif",)),
    "video/mp4": frozenset(("mp4",)),
    "video/quicktime": frozenset(("mp4",)),
    "video/webm": frozenset(("webm",)),
    "video/ogg": frozenset(("ogg",)),
    "audio/mp4": frozenset(("mp4",)),
    "audio/webm": frozenset(("webm",)),
    "audio/aac": frozenset(("mpeg", "mp4")),
    "audio/mpeg": frozenset(("mpeg",)),
    "audio/ogg": frozenset(("ogg",)),
    "audio/flac": frozenset(("flac", "ogg")),
    "audio/x-flac": frozenset(("flac", "ogg")),
    **dict.fromkeys(("audio/wave", "audio/wav", "audio/x-wav", "audio/x-pn-wav"), frozenset(("wave",))),
}
_TEXT = frozenset((TEXT,))
_MARKUP = (b"<!", b"<?", b"<html", b"<head", b"<body", b"<script", b"<svg", b"<iframe", b"<style", b"<title", b"<meta", b"<a ")
_MARKUP_ANYWHERE = (b"<script", b"<html", b"<!doctype", b"<svg", b"<iframe", b"<body")
# Control bytes that no text has.
_BINARY = frozenset(range(32)) - frozenset(b"\t\n\x0c\r\x1b")
_AVIF_BRANDS = (b"avif", b"avis")


def kind_of(head: bytes) -> str:
    """What a file is, by its first bytes: a container, `text`, `markup`, `empty`, or `other`."""
    if not head:
        return EMPTY
    for prefix, kind in _PREFIXES:
        if head.startswith(prefix):
            return kind
    if head[:4] == b"RIFF":
        return {b"WEBP": "webp", b"WAVE": "wave"}.get(head[8:12], OTHER)
    if head[4:8] == b"ftyp":
        return "avif" if any(brand in head[8:40] for brand in _AVIF_BRANDS) else "mp4"
    if head[4:8] in (b"moov", b"mdat", b"wide"):
        return "mp4"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] != 0xFF and not head.startswith(b"\xff\xfe"):
        return "mpeg"
    return _text_or_other(head)


def _text_or_other(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return MARKUP if b"<" in head else TEXT
    if any(byte in _BINARY for byte in head):
        return OTHER
    lowered = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if lowered.startswith(_MARKUP) or any(tag in lowered for tag in _MARKUP_ANYWHERE):
        return MARKUP
    return TEXT


def is_inline(content_type: str, kind: str) -> bool:
    """Whether a browser may show it: a type that is shown without being run, and bytes that are of that type."""
    bare = content_type.partition(";")[0].strip().lower()
    return bare in INLINE_TYPES and (kind == EMPTY or kind in _KINDS_OF.get(bare, _TEXT))
