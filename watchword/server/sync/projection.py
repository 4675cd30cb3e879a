"""`event_fields`: only the named properties of events. Rarely asked for; then each event is decoded again.

Spec: client-server-api#filtering
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

_ALWAYS = ("type", "event_id")


def projected(encoded: bytes, fields: Sequence[str]) -> bytes:
    """An encoded event with only these dot-separated properties (and what identifies it)."""
    event: dict[str, Any] = msgspec.json.decode(encoded)
    kept: dict[str, Any] = {key: event[key] for key in _ALWAYS if key in event}
    for name in fields:
        _copy(event, kept, [part.replace("\\.", ".").replace("\\\\", "\\") for part in re.split(r"(?<!\\)\.", name)])
    return orjson.dumps(kept)


def _copy(source: dict[str, Any], target: dict[str, Any], path: Sequence[str]) -> None:
    for part in path[:-1]:
        inner = source.get(part)
        if not isinstance(inner, dict):
            return
        source = inner
        target = target.setdefault(part, {})
    if path[-1] in source:
        target[path[-1]] = source[path[-1]]
