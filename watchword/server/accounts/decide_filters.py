"""What a filter may say. Pure, like `decide`; apart because the shape is long and nothing else needs it.

Spec: client-server-api#filtering
"""

from collections.abc import Callable, Mapping
from typing import Any

from watchword.base import limits
from watchword.server.accounts.commands import Refused

Check = Callable[[Any], bool]


def filter_refusal(definition: Mapping[str, Any]) -> Refused | None:
    """Why a filter is not understood. Unknown keys are kept: a newer client may mean something by them."""
    wrong = _wrong_key(definition, _FILTER, "")
    return None if wrong is None else Refused("M_BAD_JSON", f"{wrong} of the filter is not valid.")


def _wrong_key(value: Mapping[str, Any], shape: Mapping[str, Any], prefix: str) -> str | None:
    for key, rule in shape.items():
        if value.get(key) is None:
            continue
        found = value[key]
        if callable(rule):
            if not rule(found):
                return prefix + key
        elif not isinstance(found, dict):
            return prefix + key
        elif (wrong := _wrong_key(found, rule, f"{prefix}{key}.")) is not None:
            return wrong
    return None


def _strings(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > limits.filter_list_max:
        return False
    return all(isinstance(item, str) for item in value)


def _ids(sigil: str) -> Check:
    return lambda value: _strings(value) and all(item.startswith(sigil) for item in value)


def _boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _limit(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_EVENTS: Mapping[str, Any] = {
    "limit": _limit,
    "senders": _ids("@"),
    "not_senders": _ids("@"),
    "types": _strings,
    "not_types": _strings,
}
_ROOM_EVENTS: Mapping[str, Any] = {
    **_EVENTS,
    "rooms": _ids("!"),
    "not_rooms": _ids("!"),
    "contains_url": _boolean,
    "lazy_load_members": _boolean,
    "include_redundant_members": _boolean,
    "unread_thread_notifications": _boolean,
}
_FILTER: Mapping[str, Any] = {
    "event_fields": _strings,
    "event_format": lambda value: value in ("client", "federation"),
    "presence": _EVENTS,
    "account_data": _EVENTS,
    "room": {
        "rooms": _ids("!"),
        "not_rooms": _ids("!"),
        "include_leave": _boolean,
        "state": _ROOM_EVENTS,
        "timeline": _ROOM_EVENTS,
        "ephemeral": _ROOM_EVENTS,
        "account_data": _ROOM_EVENTS,
    },
}
