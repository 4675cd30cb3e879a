"""What both forms of the request read alike: filters, subscriptions, extensions, with their bounds.

Definition: MSC4186; extensions MSC3884, MSC3885, MSC3959, MSC3960, MSC3961, MSC4308, MSC4480.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.protocol.ids import RoomId
from watchword.server.sync.sliding.commands import (
    ALL_ROOMS,
    ExtensionsWanted,
    ListRule,
    Range,
    RoomConfig,
    RoomFilter,
    Rules,
    Scope,
    StickyWanted,
    ThreadsWanted,
    ToDeviceWanted,
)

T = TypeVar("T")
_EVERY = "*"
_DIGITS_MAX = 19
_THREADS = ("thread_subscriptions", "io.element.msc4308.thread_subscriptions")
_STICKY = ("sticky_events", "org.matrix.msc4354.sticky_events")


def wrong(text: str) -> BadRequest:
    """A request that is not formed as it must be."""
    return BadRequest("M_BAD_JSON", text)


def value_of(body: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    """A key of an object; None if it is absent or null. Raises BadRequest."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise wrong(f"{name} has the wrong type.")
    return value


def listed(body: Mapping[str, Any], name: str, most: int) -> list[Any] | None:
    """A list, bounded. Raises BadRequest."""
    value = value_of(body, name, list)
    if value is not None and len(value) > most:
        raise BadRequest("M_INVALID_PARAM", f"{name} has too many entries.")
    return value


def texts(body: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """A list of strings, bounded. Raises BadRequest."""
    value = listed(body, name, limits.sliding_filter_entries_max)
    if value is None:
        return None
    if not all(isinstance(entry, str) for entry in value):
        raise wrong(f"{name} must be a list of strings.")
    return tuple(value)


def connection_id(body: Mapping[str, Any]) -> str:
    """`conn_id`; "" if there is none. Raises BadRequest."""
    name = value_of(body, "conn_id", str) or ""
    if len(name) > limits.sliding_name_characters_max:
        raise BadRequest("M_INVALID_PARAM", "conn_id is too long.")
    return name


def rules(
    body: Mapping[str, Any],
    config: Callable[[Mapping[str, Any]], RoomConfig],
    ranges: Callable[[Mapping[str, Any]], tuple[Range, ...] | None],
    invited: str,
) -> Rules:
    """Lists and subscriptions. config, ranges: how the form writes them; invited: its word. Raises BadRequest."""
    lists = []
    for name, entry in _objects(body, "lists"):
        if len(name) > limits.sliding_name_characters_max:
            raise BadRequest("M_INVALID_PARAM", "The name of a list is too long.")
        lists.append(ListRule(name, config(entry), _filter(value_of(entry, "filters", dict), invited), ranges(entry)))
    subscriptions = [(RoomId(room_id), config(entry)) for room_id, entry in _objects(body, "room_subscriptions")]
    return Rules(tuple(lists), tuple(subscriptions))


def _objects(body: Mapping[str, Any], name: str) -> list[tuple[str, Mapping[str, Any]]]:
    value = value_of(body, name, dict) or {}
    if len(value) > limits.sliding_rules_max:
        raise BadRequest("M_INVALID_PARAM", f"{name} has too many entries: {limits.sliding_rules_max} are taken.")
    if not all(isinstance(entry, dict) for entry in value.values()):
        raise wrong(f"The entries of {name} must be objects.")
    return list(value.items())


def timeline_limit(entry: Mapping[str, Any], default: int | None) -> int:
    """`timeline_limit`; where it is absent the default, or a refusal if there is none. Raises BadRequest."""
    limit = value_of(entry, "timeline_limit", int)
    if limit is None:
        if default is None:
            raise BadRequest("M_MISSING_PARAM", "timeline_limit is missing.")
        return default
    if limit < 0:
        raise BadRequest("M_INVALID_PARAM", "timeline_limit must not be negative.")
    return min(limit, limits.sync_timeline_max)


def window(value: object) -> Range:
    """One range. Raises BadRequest."""
    match value:
        case [int(start), int(stop)] if not isinstance(start, bool) and not isinstance(stop, bool):
            if 0 <= start <= stop:
                return start, min(stop, limits.canonical_integer_max)
        case _:
            pass
    raise BadRequest("M_INVALID_PARAM", "A range must be two indexes, the first not larger than the second.")


def _filter(entry: Mapping[str, Any] | None, invited: str) -> RoomFilter:
    if not entry:
        return ALL_ROOMS
    spaces = texts(entry, "spaces")
    return RoomFilter(
        is_dm=value_of(entry, "is_dm", bool),
        spaces=None if spaces is None else tuple(RoomId(space) for space in spaces),
        is_encrypted=value_of(entry, "is_encrypted", bool),
        is_invited=value_of(entry, invited, bool),
        room_types=_room_types(entry, "room_types"),
        not_room_types=_room_types(entry, "not_room_types") or (),
        room_name_like=value_of(entry, "room_name_like", str),
        tags=texts(entry, "tags"),
        not_tags=texts(entry, "not_tags") or (),
    )


def _room_types(entry: Mapping[str, Any], name: str) -> tuple[str | None, ...] | None:
    value = listed(entry, name, limits.sliding_filter_entries_max)
    if value is None:
        return None
    if not all(one is None or isinstance(one, str) for one in value):
        raise wrong(f"{name} must be a list of strings and nulls.")
    return tuple(value)


# Extensions


def extensions(body: Mapping[str, Any]) -> ExtensionsWanted:
    """The extensions that are on; those that we do not know are left alone. Raises BadRequest."""
    wanted = value_of(body, "extensions", dict) or {}
    return ExtensionsWanted(
        to_device=_to_device(_enabled(wanted, "to_device")),
        e2ee=_enabled(wanted, "e2ee") is not None,
        account_data=_scope(_enabled(wanted, "account_data")),
        receipts=_scope(_enabled(wanted, "receipts")),
        typing=_scope(_enabled(wanted, "typing")),
        threads=_threads(wanted),
        sticky=_sticky(wanted),
    )


def _enabled(wanted: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    entry = value_of(wanted, name, dict)
    if entry is None or not value_of(entry, "enabled", bool):
        return None
    return entry


def _to_device(entry: Mapping[str, Any] | None) -> ToDeviceWanted | None:
    if entry is None:
        return None
    since, limit = _page(entry)
    return ToDeviceWanted(since, min(limit or limits.to_device_page_max, limits.to_device_page_max))


def _page(entry: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """`since` and `limit` of an extension that has pages of its own."""
    since = value_of(entry, "since", str)
    if since is not None and not (since.isascii() and since.isdigit() and len(since) <= _DIGITS_MAX):
        raise BadRequest("M_INVALID_PARAM", "since was not given by this server.")
    limit = value_of(entry, "limit", int)
    if limit is not None and limit < 1:
        raise BadRequest("M_INVALID_PARAM", "limit must be at least 1.")
    return None if since is None else int(since), limit


def _threads(wanted: Mapping[str, Any]) -> ThreadsWanted | None:
    for name in _THREADS:
        entry = _enabled(wanted, name)
        if entry is not None:
            limit = value_of(entry, "limit", int)
            if limit is not None and limit < 1:
                raise BadRequest("M_INVALID_PARAM", "limit must be at least 1.")
            most = limits.thread_subscriptions_page_max
            return ThreadsWanted(name, min(limit or limits.thread_subscriptions_page_default, most))
    return None


def _sticky(wanted: Mapping[str, Any]) -> StickyWanted | None:
    for name in _STICKY:
        entry = _enabled(wanted, name)
        if entry is not None:
            since, limit = _page(entry)
            return StickyWanted(name, since, min(limit or limits.sticky_events_page_max, limits.sticky_events_page_max))
    return None


def _scope(entry: Mapping[str, Any] | None) -> Scope | None:
    if entry is None:
        return None
    return Scope(_names(texts(entry, "lists")), _names(texts(entry, "rooms")))


def _names(given: Sequence[str] | None) -> frozenset[str] | None:
    return None if given is None or _EVERY in given else frozenset(given)
