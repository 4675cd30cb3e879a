"""The order of the children of a space. Deliberately absent: the walk through the hierarchy.

Spec: client-server-api#ordering-of-children-within-a-space
"""

import re
from collections.abc import Mapping
from typing import Any

ChildOrder = tuple[bool, str, int, str]

_ORDER = re.compile(r"[\x20-\x7e]{1,50}")


def child_order(content: Mapping[str, Any], origin_server_ts: int, room_id: str) -> ChildOrder:
    """The sort key of a child: those with a valid `order` first, by code point; then by age; then by room ID.

    content, origin_server_ts: of its m.space.child event. room_id: that event's state key.
    """
    order = content.get("order")
    if isinstance(order, str) and _ORDER.fullmatch(order):
        return (False, order, origin_server_ts, room_id)
    return (True, "", origin_server_ts, room_id)


def is_child(content: Mapping[str, Any]) -> bool:
    """Whether an m.space.child event adds a child: only one with a valid `via` does."""
    via = content.get("via")
    return isinstance(via, list) and bool(via) and all(isinstance(server_name, str) for server_name in via)
