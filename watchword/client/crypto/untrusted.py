"""Reading what a server or another client sent, without ever believing its shape.

Each function gives the value if it is of the named type, else None (or an empty mapping): a peer's wrong type is never
an exception, so one malformed entry cannot hide its neighbours.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from watchword.base.errors import RemoteProtocolError

_NOTHING: Mapping[str, Any] = {}


def _walk(value: object, path: Sequence[str]) -> object:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def text_at(value: object, *path: str) -> str | None:
    """The string at a path of keys, or None."""
    found = _walk(value, path)
    return found if isinstance(found, str) else None


def integer_at(value: object, *path: str) -> int | None:
    """The integer at a path of keys, or None; booleans are not integers."""
    found = _walk(value, path)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def object_at(value: object, *path: str) -> Mapping[str, Any]:
    """The object at a path of keys, or an empty one."""
    found = _walk(value, path)
    return found if isinstance(found, dict) else _NOTHING


def texts_at(value: object, *path: str) -> Sequence[str]:
    """The strings of the array at a path of keys; other members are left out."""
    found = _walk(value, path)
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def decode_object(data: bytes) -> Mapping[str, Any]:
    """Decode a JSON object. Raises RemoteProtocolError for anything else."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise RemoteProtocolError("a payload is not JSON") from error
    if not isinstance(value, dict):
        raise RemoteProtocolError("a payload is not a JSON object")
    return value
