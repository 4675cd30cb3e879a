"""Canonical JSON: the one spelling of a value that is hashed and signed.

Keys are sorted by code point, nothing is escaped that need not be, there is no white space. From room version 6 on
only integers within ±(2^53 - 1) exist (`strict`); older rooms carry floats and larger integers, written as Python
writes them, which is what the servers of that time did. Of keys given twice the last one counts (no parser tells us of
them). A NUL or any other character is allowed in strings and keys; half of a surrogate pair is not, for it has no UTF-8.

Deliberately absent: knowledge of events. Spec: appendices#canonical-json
"""

import json
from typing import Any

import msgspec
import orjson

from watchword.base import limits
from watchword.base.errors import RemoteProtocolError

_ORJSON_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_EXPONENT_MAX = 15
"""10^15 is the last power of ten within ±(2^53 - 1)."""


class _FloatFound(ValueError):
    pass


def _refuse_float(text: str) -> Any:
    raise _FloatFound(text[:32])


def _lenient_number(text: str) -> int | float:
    mantissa, _, exponent = text.lower().partition("e")
    if exponent and "." not in mantissa and len(exponent) <= 3 and 0 <= int(exponent) <= _EXPONENT_MAX:
        return int(mantissa + "0" * int(exponent))
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("number out of range")
    return number


_strict_decoder = msgspec.json.Decoder(float_hook=_refuse_float)
_lenient_decoder = msgspec.json.Decoder(float_hook=_lenient_number)


def decode(data: bytes | str, strict: bool = True) -> Any:
    """Parse JSON, refusing what canonical JSON cannot say.

    strict: refuse floats, exponents, integers beyond ±(2^53 - 1) and -0 (room versions 6 and later, and everything new).
    Raises RemoteProtocolError; also for more than `limits.json_depth_max` levels, wrong UTF-8 and lone surrogates.
    """
    try:
        value = (_strict_decoder if strict else _lenient_decoder).decode(data)
        if strict:
            orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER)  # the cheapest check of all integers
            _refuse_negative_zero(data)
    except (ValueError, TypeError, RecursionError) as error:  # msgspec's and orjson's errors are ValueErrors or TypeErrors
        raise RemoteProtocolError("This is not canonical JSON.") from error
    check_depth(data, value)
    return value


def encode(value: Any, strict: bool = True) -> bytes:
    """Write canonical JSON, checking that the value has one.

    strict as in `decode`. Raises RemoteProtocolError: what we could not write came from a peer or a client.
    """
    try:
        data = orjson.dumps(value, option=_ORJSON_OPTIONS)
        if b"null" in data:
            json.dumps(value, allow_nan=False)  # orjson writes NaN as null
        _strict_decoder.decode(data)
    except (ValueError, TypeError, RecursionError) as error:
        if strict:
            raise RemoteProtocolError("This value has no canonical JSON.") from error
        return _encode_leniently(value)
    return data


def encode_checked(value: Any) -> bytes:
    """Write canonical JSON of a value known to hold no floats: decoded strictly, or checked by `encode` before.

    Half the cost of `encode`. Raises RemoteProtocolError for whatever else has no canonical JSON.
    """
    try:
        return orjson.dumps(value, option=_ORJSON_OPTIONS)
    except TypeError as error:  # orjson.JSONEncodeError
        raise RemoteProtocolError("This value has no canonical JSON.") from error


def _encode_leniently(value: Any) -> bytes:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        encoded = text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise RemoteProtocolError("This value has no canonical JSON.") from error
    # How deep the library's own writer goes differs from one Python to the next.
    check_depth(encoded, value)
    return encoded


def _refuse_negative_zero(data: bytes | str) -> None:
    """-0 is an integer to every parser, and 0 once parsed; only the text tells."""
    if (b"-0" if isinstance(data, bytes) else "-0") in data:  # type: ignore[operator]
        json.loads(data, parse_int=_refuse_minus_zero)


def _refuse_minus_zero(text: str) -> int:
    if text == "-0":
        raise ValueError("negative zero")
    return 0


def check_depth(data: bytes | str, value: Any) -> None:
    """Raise RemoteProtocolError if `value`, encoded as `data`, nests more than `limits.json_depth_max` lists and objects."""
    brackets = data.count(b"{") + data.count(b"[") if isinstance(data, bytes) else data.count("{") + data.count("[")
    if brackets <= limits.json_depth_max:
        return
    level = [value]
    for _ in range(limits.json_depth_max):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise RemoteProtocolError("This JSON is nested too deeply.")
