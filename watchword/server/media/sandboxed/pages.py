"""What a web page says about itself: bytes in, a small object of strings out.

OpenGraph first, then Twitter's cards, then plain HTML. Nothing is fetched here and nothing is believed: lengths are bounded,
control characters go, addresses stay as they are written (the server resolves and checks them).
"""

import codecs
import re
from collections.abc import Iterator
from typing import Any

from selectolax.lexbor import LexborHTMLParser

_TITLE_MAX, _TEXT_MAX, _ADDRESS_MAX = 300, 1_000, 2_048
_SCANNED_BYTES = 4_096
_TAGS_MAX = 5_000
_DEPTH_MAX = 1_000
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9:-]{0,30})")
_NEVER_NEST = frozenset(
    (
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "p", "param", "source", "track", "wbr"),
        *("script", "style", "textarea", "title"),
    )
)
_FOLLOW_EACH_OTHER = frozenset(["dd", "dt", "li", "option", "td", "th", "tr"])
_WANTED = {
    "og:title": _TITLE_MAX,
    "og:description": _TEXT_MAX,
    "og:type": 100,
    "og:site_name": 200,
    "og:locale": 50,
    "og:url": _ADDRESS_MAX,
    "og:image": _ADDRESS_MAX,
    "og:image:alt": _TITLE_MAX,
}
_OTHERWISE = {
    "og:title": ("twitter:title", "dc.title"),
    "og:description": ("twitter:description", "description", "dc.description"),
    "og:image": ("og:image:secure_url", "og:image:url", "twitter:image", "twitter:image:src", "thumbnailurl", "image"),
    "og:site_name": ("application-name",),
    "og:image:alt": ("twitter:image:alt",),
}
# What a page calls its encoding, and what browsers make of it. Spec: none (Encoding Standard)
_LABELS = {
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "windows-1252": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "sjis": "cp932",
    "windows-31j": "cp932",
    "euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "windows-949": "cp949",
    "big5": "big5hkscs",
    "big5-hkscs": "big5hkscs",
    "tis-620": "cp874",
    "windows-874": "cp874",
    "iso-8859-9": "cp1254",
    "koi8-r": "koi8_r",
    "koi8-u": "koi8_u",
    "macintosh": "mac_roman",
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "utf-16": "utf-16-le",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    **{f"windows-{number}": f"cp{number}" for number in (1250, 1251, 1253, 1254, 1255, 1256, 1257, 1258)},
    **{f"iso-8859-{number}": f"iso8859_{number}" for number in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
}
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_META_CHARSET = re.compile(rb"<meta[^>]{1,512}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"^\s*<\?xml[^>]{1,200}?encoding\s*=\s*[\"']([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_SPACES = re.compile(r"\s+")


def prepare() -> None:
    """Load every decoder of characters while files may still be opened."""
    for name in set(_LABELS.values()):
        codecs.lookup(name)
    describe(b"<!doctype html><title>x</title><meta property=og:title content=x><p>x", "utf-8")


def describe(data: bytes, charset: str) -> dict[str, Any]:
    """The page's own words: `og` (og:… → text), `base`, `oembed` (addresses as written, or "")."""
    tree = LexborHTMLParser(shallow(decoded(data, charset)))
    named = _metas(tree)
    found: dict[str, str] = {}
    for name, most in _WANTED.items():
        for source in (name, *_OTHERWISE.get(name, ())):
            text = clean(named.get(source, ""), most)
            if text:
                found[name] = text
                break
    base, oembed, image = _links(tree)
    if image and "og:image" not in found:
        found["og:image"] = clean(image, _ADDRESS_MAX)
    if "og:title" not in found:
        found["og:title"] = _first_text(tree, ("title", "h1", "h2"), _TITLE_MAX)
    if "og:description" not in found:
        found["og:description"] = _paragraphs(tree)
    return {"og": {name: text for name, text in found.items() if text}, "base": base, "oembed": oembed}


def decoded(data: bytes, charset: str) -> str:
    """Text, by the mark at its beginning, what HTTP says, what the page says, or, if nothing says, by looking at it."""
    for mark, name in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace")
    head = data[:_SCANNED_BYTES]
    for label in (charset, _label(_XML_ENCODING, head), _label(_META_CHARSET, head)):
        known = _LABELS.get(label.strip().strip("\"'").lower())
        if known is not None:
            return data.decode(known, "replace")
    try:
        # The end may be cut off in the middle of a character.
        return codecs.getincrementaldecoder("utf-8")("strict").decode(data)
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def shallow(text: str) -> str:
    """The page up to where its elements nest so deeply that nobody wrote it by hand.

    The parser's time grows with the square of the depth. Counted from above: an element counts as closed only by its own
    tag next in turn, so that no trick hides depth; what a careless page leaves open costs it the end of a long text.
    """
    open_tags: list[str] = []
    for tag in _TAG.finditer(text):
        name = tag[2].lower()
        if name in _NEVER_NEST:
            continue
        if tag[1]:
            if open_tags and open_tags[-1] == name:
                open_tags.pop()
        elif not (open_tags and open_tags[-1] == name and name in _FOLLOW_EACH_OTHER):
            open_tags.append(name)
            if len(open_tags) > _DEPTH_MAX:
                return text[: tag.start()]
    return text


def clean(text: str, most: int) -> str:
    """One line without control characters, and not longer than that."""
    plain = _SPACES.sub(" ", _CONTROL.sub("", text[: most * 4])).strip()
    return plain if len(plain) <= most else plain[: most - 1].rstrip() + "…"


def _label(pattern: re.Pattern[bytes], head: bytes) -> str:
    found = pattern.search(head)
    if found is None:
        return ""
    label = found[1].decode("ascii").lower()
    # A page that could be read so far is not in UTF-16, whatever it says.
    return "utf-8" if label.startswith("utf-16") else label


def _metas(tree: LexborHTMLParser) -> dict[str, str]:
    named: dict[str, str] = {}
    for node in _some(tree, "meta"):
        attributes = node.attributes
        name = attributes.get("property") or attributes.get("name") or attributes.get("itemprop") or ""
        content = attributes.get("content") or ""
        if name and content.strip():
            # The first one counts: the others are further pictures, or comments of strangers.
            named.setdefault(name.strip().lower()[:100], content)
    return named


def _links(tree: LexborHTMLParser) -> tuple[str, str, str]:
    base = oembed = image = ""
    for node in _some(tree, "base[href]"):
        base = (node.attributes.get("href") or "")[:_ADDRESS_MAX]
        break
    for node in _some(tree, "link[href]"):
        attributes = node.attributes
        relation = (attributes.get("rel") or "").lower().split()
        address = (attributes.get("href") or "")[:_ADDRESS_MAX]
        if not image and "image_src" in relation:
            image = address
        if not oembed and "alternate" in relation and (attributes.get("type") or "").lower() == "application/json+oembed":
            oembed = address
    return base, oembed, image


def _first_text(tree: LexborHTMLParser, tags: tuple[str, ...], most: int) -> str:
    for tag in tags:
        for node in _some(tree, tag):
            text = clean(node.text(deep=True), most)
            if text:
                return text
            break
    return ""


def _paragraphs(tree: LexborHTMLParser) -> str:
    for scope in ("article p", "main p", "body p"):
        texts: list[str] = []
        for node in _some(tree, scope):
            texts.append(clean(node.text(deep=True), _TEXT_MAX))
            if sum(map(len, texts)) > _TEXT_MAX // 2 or len(texts) > 20:
                break
        joined = clean(" ".join(text for text in texts if text), _TEXT_MAX)
        if joined:
            return joined
    return ""


def _some(tree: LexborHTMLParser, selector: str) -> Iterator[Any]:
    for count, node in enumerate(tree.css(selector)):
        if count >= _TAGS_MAX:
            return
        yield node
