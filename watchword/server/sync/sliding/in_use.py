"""The form of sliding sync that clients use today: position and timeout in the query, state as pairs with `*`, `$LAZY`, `$ME`.

Definition: MSC4186 before its acceptance, `/_matrix/client/unstable/org.matrix.simplified_msc3575/sync`.
"""

from collections.abc import Mapping
from typing import Any

from watchword.base import limits
from watchword.edge.request import Request
from watchword.edge.requester import Requester
from watchword.protocol import event_types
from watchword.server.sync.sliding import reading
from watchword.server.sync.sliding.commands import Pattern, Range, Required, RoomConfig, SlidingRequest, WireForm

FORM = WireForm(
    timeline=b"timeline",
    expanded=b"unstable_expanded_timeline",
    stripped=b"invite_state",
    has_counts=True,
    tells_lists=False,
    has_stubs=False,
)
_ANY, _LAZY, _ME = "*", "$LAZY", "$ME"


def read(request: Request, requester: Requester) -> SlidingRequest:
    """A request in this form. Raises BadRequest."""
    body = request.json

    def config(entry: Mapping[str, Any]) -> RoomConfig:
        return RoomConfig(reading.timeline_limit(entry, limits.sync_timeline_default), (_required(entry, requester),))

    return SlidingRequest(
        requester=requester,
        form=FORM,
        pos=request.query_one("pos") or None,
        rules=reading.rules(body, config, _ranges, "is_invite"),
        extensions=reading.extensions(body),
        conn_id=reading.connection_id(body),
        timeout_ms=request.query_int("timeout", 0, most=limits.sync_timeout_ms_max),
        set_presence=request.query_one("set_presence") or "online",
    )


def _ranges(entry: Mapping[str, Any]) -> tuple[Range, ...] | None:
    ranges = reading.listed(entry, "ranges", limits.sliding_rules_max)
    return None if ranges is None else tuple(reading.window(one) for one in ranges)


def _required(entry: Mapping[str, Any], requester: Requester) -> Required:
    include: list[Pattern] = []
    lazy = False
    for pair in reading.listed(entry, "required_state", limits.sliding_patterns_max) or ():
        match pair:
            case [str(kind), str(state_key)]:
                if kind == event_types.MEMBER and state_key == _LAZY:
                    lazy = True
                elif state_key != _LAZY:
                    key = requester.user_id if state_key == _ME else state_key
                    include.append((None if kind == _ANY else kind, None if key == _ANY else key))
            case _:
                raise reading.wrong("required_state must be a list of pairs of strings.")
    return Required(tuple(include), (), lazy)
