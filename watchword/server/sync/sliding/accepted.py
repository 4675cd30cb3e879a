"""The accepted form of sliding sync: everything in the body, state by `include`, `exclude` and `lazy_members`.

Definition: MSC4186, `/_matrix/client/v4/sync`.
"""

from collections.abc import Mapping
from typing import Any

from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.server.sync.sliding import reading
from watchword.server.sync.sliding.commands import Pattern, Range, Required, RoomConfig, SlidingRequest, WireForm

FORM = WireForm(
    timeline=b"timeline",
    expanded=b"expanded_timeline",
    stripped=b"stripped_state",
    has_counts=False,
    tells_lists=True,
    has_stubs=True,
)


def read(request: Request, requester: Requester) -> SlidingRequest:
    """A request in this form. Raises BadRequest."""
    body = request.json
    timeout_ms = reading.value_of(body, "timeout", int) or 0
    if timeout_ms < 0:
        raise BadRequest("M_INVALID_PARAM", "timeout must not be negative.")
    return SlidingRequest(
        requester=requester,
        form=FORM,
        pos=reading.value_of(body, "pos", str),
        rules=reading.rules(body, _config, _range, "is_invited"),
        extensions=reading.extensions(body),
        conn_id=reading.connection_id(body),
        timeout_ms=min(timeout_ms, limits.sync_timeout_ms_max),
        set_presence=reading.value_of(body, "set_presence", str) or "online",
    )


def _range(entry: Mapping[str, Any]) -> tuple[Range, ...] | None:
    return None if entry.get("range") is None else (reading.window(entry["range"]),)


def _config(entry: Mapping[str, Any]) -> RoomConfig:
    required = reading.value_of(entry, "required_state", dict)
    if required is None:
        raise BadRequest("M_MISSING_PARAM", "required_state is missing.")
    return RoomConfig(
        reading.timeline_limit(entry, None),
        (
            Required(
                _patterns(required, "include"),
                _patterns(required, "exclude"),
                bool(reading.value_of(required, "lazy_members", bool)),
            ),
        ),
    )


def _patterns(required: Mapping[str, Any], name: str) -> tuple[Pattern, ...]:
    entries = reading.listed(required, name, limits.sliding_patterns_max) or ()
    if not all(isinstance(entry, dict) for entry in entries):
        raise reading.wrong(f"{name} must be a list of objects.")
    return tuple((reading.value_of(entry, "type", str), reading.value_of(entry, "state_key", str)) for entry in entries)
