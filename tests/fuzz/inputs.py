"""What parsers are fed: right examples, edited in a few places so that they get past the first check and then surprise.

Deliberately absent: what is right. Each target brings its own examples.
"""

import copy
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

_BITS = (
    *(
        "\x00",
        "\n",
        "\r\n",
        "\t",
        " ",
        '"',
        "\\",
        "'",
        ",",
        ":",
        ";",
        "=",
        "%",
        "%00",
        "%2F",
        "/",
        "//",
        "..",
        "#",
        "?",
        "&",
        "+",
    ),
    *("@", "!", "$", "*", "{", "}", "[", "]", "(", ")", "<", ">", "<!--", "</", "|", "^", "~", "`", "-", "--", "_", "."),
    *("0", "1", "-1", "9" * 30, "1e999", "1.5", "NaN", "null", "true", "é", "\u202e", "\ufeff", "\U0001f98a", "İ", "ß", "٣"),
    *("x" * 300, "a" * 70_000, "AAAA", "[" * 300, "(a+)+$", "*?" * 40, "::1", "127.0.0.1", "example.org:99999"),
)
_BYTES = (
    *(bit.encode() for bit in _BITS),
    *(b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\r", b"\x00" * 9, b"\x1b"),
)
_NUMBERS = (0, 1, -1, 100, 1 << 31, 1 << 53, (1 << 53) - 1, -(1 << 53), 1 << 63, 1 << 64, 10**30, 0.0, -0.0, 1.5, 1e308)
_ODD_TEXTS = ("", "\x00", "x" * 300, "@", "!", "$", "@a:b", "!r:b", "$e", "mxc://a/b", "m.room.member", "join", "é", "\udc80")

JUNK: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(_NUMBERS),
    st.sampled_from(_ODD_TEXTS),
    st.text(max_size=8),
    st.sampled_from([[], {}, [None], [[]], {"": None}, {"a": {"b": []}}, [1, "x", {}], [[[[[[[[]]]]]]]], {"x" * 300: 1}]),
)
"""A JSON value that nobody expects here; also some that JSON has not."""

VALUES: st.SearchStrategy[Any] = st.recursive(
    JUNK,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_ODD_TEXTS) | st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)
"""Any JSON value, and some that JSON has not."""


@st.composite
def edited_text(draw: st.DrawFn, examples: Sequence[str]) -> str:
    """One of these texts after a few edits, or none; sometimes any text."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.text(max_size=60))
    text = draw(st.sampled_from(list(examples)))
    for _ in range(draw(st.integers(0, 4))):
        text = _edit(draw, text, _BITS, examples)
    return text


@st.composite
def edited_bytes(draw: st.DrawFn, examples: Sequence[bytes]) -> bytes:
    """One of these byte strings after a few edits, or none; sometimes any."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=80))
    data = draw(st.sampled_from(list(examples)))
    for _ in range(draw(st.integers(0, 4))):
        data = _edit(draw, data, _BYTES, examples)
    return data


def _edit(draw: st.DrawFn, whole: Any, bits: Sequence[Any], others: Sequence[Any]) -> Any:
    """Insert, take away, double, replace, or join with another example."""
    first = draw(st.integers(0, len(whole)))
    last = min(len(whole), first + draw(st.integers(0, 12)))
    match draw(st.integers(0, 4)):
        case 0:
            return whole[:first] + draw(st.sampled_from(bits)) + whole[first:]
        case 1:
            return whole[:first] + whole[last:]
        case 2:
            return whole[:last] + whole[first:last] * draw(st.sampled_from([1, 2, 50])) + whole[last:]
        case 3:
            return whole[:first] + draw(st.sampled_from(bits)) + whole[last:]
        case _:
            return whole[:first] + draw(st.sampled_from(list(others)))


@st.composite
def edited_json(draw: st.DrawFn, examples: Sequence[Any]) -> Any:
    """One of these JSON values with a few places changed, taken away or added; sometimes any value."""
    if draw(st.integers(0, 9)) == 0:
        return draw(VALUES)
    value = copy.deepcopy(draw(st.sampled_from(list(examples))))
    for _ in range(draw(st.integers(0, 3))):
        value = _changed(draw, value)
    return value


@st.composite
def edited_object(draw: st.DrawFn, examples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """As `edited_json`, always an object: what the door has checked already."""
    value = draw(edited_json(examples))
    return value if isinstance(value, dict) else {"unexpected": value}


def _changed(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(value, key=str)))
        match draw(st.integers(0, 6)):
            case 0:
                return {name: each for name, each in value.items() if name != key}
            case 1:
                return {**value, draw(st.sampled_from(_ODD_TEXTS)): draw(JUNK)}
            case 2:
                other = draw(st.sampled_from(sorted(value, key=str)))
                return {**value, key: value[other]}
            case _:
                return {**value, key: _changed(draw, value[key])}
    if isinstance(value, list) and value and draw(st.integers(0, 5)):
        index = draw(st.integers(0, len(value) - 1))
        match draw(st.integers(0, 4)):
            case 0:
                return value[:index] + value[index + 1 :]
            case 1:
                return value * draw(st.sampled_from([2, 3, 30]))
            case _:
                return [*value[:index], _changed(draw, value[index]), *value[index + 1 :]]
    if isinstance(value, str) and draw(st.booleans()):
        return _edit(draw, value, _BITS, (value,))
    return draw(JUNK)


@st.composite
def pieces_of(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The same bytes in pieces, as a network may deliver them."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
