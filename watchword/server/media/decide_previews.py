"""Which pages are looked at, and what of their words is passed on. Pure.

Spec: client-server-api#get_matrixclientv1mediapreview_url
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urljoin, urlsplit, urlunsplit

from watchword.base import limits
from watchword.base.errors import Refused
from watchword.server.media.commands import PreviewSettings

_TEXTS = ("og:title", "og:description", "og:type", "og:site_name", "og:locale", "og:image:alt")
_LANGUAGE = re.compile(r"[A-Za-z0-9,;=.*\- ]{1,100}")
_CHARSET = re.compile(r"charset\s*=\s*\"?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_FORBIDDEN = re.compile("[\x00-\x20\x7f\\\\]")
_TEXT_CHARACTERS_MAX = 1_000
PAGE_TYPES = frozenset(("text/html", "application/xhtml+xml"))


def page_of(text: str) -> str | Refused:
    """The address to look at, without its fragment. Only http and https, without a name and a password."""
    if len(text) > limits.preview_url_bytes_max:
        return Refused("M_INVALID_PARAM", "The address is too long.")
    found = _web_address(text.strip())
    return Refused("M_INVALID_PARAM", "This is not an address of the web.") if found is None else found


def resolved(base: str, reference: str) -> str | None:
    """What a page means by an address that may be relative; None if it is none that we go to."""
    try:
        joined = urljoin(base, reference.strip())
    except ValueError:
        return None
    found = None if len(joined) > limits.preview_url_bytes_max else _web_address(joined)
    if found is not None and base.startswith("https:") and not found.startswith("https:"):
        # What was fetched in private is not continued in public.
        return None
    return found


def _web_address(text: str) -> str | None:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if (
        _FORBIDDEN.search(text)
        or parts.scheme not in ("http", "https")
        or not parts.hostname
        or "@" in parts.netloc
        or port == 0
    ):
        return None
    return urlunsplit((parts.scheme, parts.netloc.lower(), parts.path or "/", parts.query, ""))


def may_visit(url: str, settings: PreviewSettings) -> bool:
    """Whether the operator lets us look at pages of this host."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if _matches(host, settings.deny_hosts):
        return False
    return settings.allow_hosts is None or _matches(host, settings.allow_hosts)


def _matches(host: str, patterns: Sequence[str]) -> bool:
    return any(
        re.fullmatch(re.escape(pattern.lower()).replace(r"\*", ".*").replace(r"\?", "."), host) is not None
        for pattern in patterns
    )


def language_of(header: str | None, otherwise: str) -> str:
    """The Accept-Language to send: what the client says if that is one, else what is configured."""
    given = (header or "").strip()
    return given if _LANGUAGE.fullmatch(given) else otherwise


def charset_of(content_type: str) -> str:
    """The charset that HTTP names; "" if it names none."""
    found = _CHARSET.search(content_type)
    return "" if found is None else found[1]


def bare_type(content_type: str) -> str:
    """A content type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def open_graph(said: object, page: str) -> dict[str, object]:
    """What is passed on of what a page says: known keys, texts of bounded length, addresses of the web."""
    given = said if isinstance(said, Mapping) else {}
    found: dict[str, object] = {}
    for name in _TEXTS:
        text = _text(given.get(name))
        if text:
            found[name] = text
    url = resolved(page, _text(given.get("og:url"))) if given.get("og:url") else None
    if url is not None:
        found["og:url"] = url
    return found


def embedded(said: object) -> dict[str, str]:
    """What an oEmbed answer adds, as OpenGraph. Spec: none (oEmbed 1.0)"""
    given = said if isinstance(said, Mapping) else {}
    picture = given.get("thumbnail_url") or (given.get("url") if given.get("type") == "photo" else None)
    words = {
        "og:title": given.get("title"),
        "og:description": given.get("author_name"),
        "og:site_name": given.get("provider_name"),
        "og:image": picture,
    }
    return {name: text for name, value in words.items() if (text := _text(value))}


def address(said: object, name: str) -> str:
    """An address that a page names, as it is written; "" if there is none."""
    given = said.get(name) if isinstance(said, Mapping) else None
    return given[: limits.preview_url_bytes_max] if isinstance(given, str) else ""


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return value[:_TEXT_CHARACTERS_MAX].encode("utf-8", "ignore").decode("utf-8").strip()
