"""JSON bodies from outside: decoded once, bounded in depth, with exact integers.

Clients may send floats where no event content is concerned, so this is not canonical JSON; what becomes an event is
checked again by `protocol/`. Deliberately absent: any knowledge of what a body should contain.

Spec: client-server-api#api-standards
"""

from typing import Any

import msgspec

from watchword.base import limits
from watchword.base.errors import BadRequest

_decode = msgspec.json.Decoder().decode


def json_object(raw: bytes, depth_max: int = limits.json_depth_max) -> dict[str, Any]:
    """A JSON object. Raises BadRequest M_NOT_JSON, or M_BAD_JSON for another value or one that is nested too deeply."""
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
    # Counting brackets is fast and nearly always enough.
    if raw.count(b"[") + raw.count(b"{") > depth_max and _is_deeper(value, depth_max):
        raise BadRequest("M_BAD_JSON", "The body is nested too deeply.")
    return value


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
