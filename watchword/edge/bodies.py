"""JSON bodies from outside: decoded once, bounded in depth, with exact integers.

Clients may send floats where no event content is concerned, so this is not canonical JSON; what becomes an event is
checked again by `protocol/`. Deliberately absent: any knowledge of what a body should contain.

Spec: client-server-api#api-standards
"""

import re
from typing import Any

import msgspec

from watchword.base import limits
from watchword.base.errors import BadRequest

_decode = msgspec.json.Decoder().decode
_LONG_NUMBER = re.compile(rb"[0-9]{19}")


def json_object(raw: bytes, depth_max: int = limits.json_depth_max) -> dict[str, Any]:
    """A client's JSON object. Raises BadRequest M_NOT_JSON, or M_BAD_JSON for what is no object, too deep or out of range."""
    value = server_json_object(raw)
    # Counting brackets is fast and nearly always enough; so is looking for long numbers.
    if raw.count(b"[") + raw.count(b"{") > depth_max and _is_deeper(value, depth_max):
        raise BadRequest("M_BAD_JSON", "The body is nested too deeply.")
    if _LONG_NUMBER.search(raw) and _has_wide_integer(value):
        raise BadRequest("M_BAD_JSON", "A number in the body is out of range.")
    return value


def server_json_object(raw: bytes) -> dict[str, Any]:
    """A server's JSON object: what is deep or wide is judged event by event, so that one does no harm to its neighbours.

    Raises BadRequest M_NOT_JSON, or M_BAD_JSON for what is no object.
    """
    try:
        value = _decode(raw)
    except RecursionError as error:
        raise BadRequest("M_BAD_JSON", "The body is nested too deeply.") from error
    except msgspec.ValidationError as error:
        raise BadRequest("M_BAD_JSON", "A number in the body is out of range.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest("M_NOT_JSON", "The body is not JSON in UTF-8.") from error
    if type(value) is not dict:
        raise BadRequest("M_BAD_JSON", "The body must be a JSON object.")
    return value


def _has_wide_integer(value: object) -> bool:
    # Nothing here can be encoded again beyond 64 bits; events are held to much less.
    level = [value]
    while level:
        children = [child for parent in level for child in (parent.values() if type(parent) is dict else parent)]  # type: ignore[attr-defined]
        if any(type(child) is int and not -(1 << 63) <= child < 1 << 64 for child in children):
            return True
        level = [child for child in children if type(child) in (dict, list)]
    return False


def _is_deeper(value: object, depth_max: int) -> bool:
    level = [value]
    for _ in range(depth_max):
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)  # type: ignore[attr-defined]
            if type(child) in (dict, list)
        ]
        if not level:
            return False
    return True
