"""The body of /search → Criteria; and places in results as tokens. Pure.

Spec: client-server-api#post_matrixclientv3search
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.server.rooms.event_filters import EVERYTHING, parse_filter
from watchword.server.search.commands import ContextWanted, Criteria, Order, Place
from watchword.server.search.matching import COLUMNS

_GROUPS = ("room_id", "sender")
_TOKEN_CHARACTERS_MAX = 1_024


def parse_criteria(body: Mapping[str, Any]) -> Criteria | None:
    """What is searched for; None if nothing that we know is. Raises BadRequest."""
    categories = _object(body, "search_categories", required=True)
    if categories.get("room_events") is None:
        return None
    wanted = _object(categories, "room_events")
    term = wanted.get("search_term")
    if not isinstance(term, str):
        raise BadRequest(*_bad("search_term", "a string", missing="search_term" not in wanted))
    event_filter = parse_filter(wanted["filter"]) if wanted.get("filter") is not None else EVERYTHING
    limit = limits.search_page_default if event_filter.limit is None else event_filter.limit
    return Criteria(
        term=term[: limits.search_term_characters_max],
        columns=_columns(wanted),
        event_filter=event_filter,
        limit=max(1, min(limit, limits.search_page_max)),
        order=_order(wanted),
        context=_context(wanted),
        include_state=_flag(wanted, "include_state"),
        group_by=_group_by(wanted),
    )


def _bad(name: str, expected: str, *, missing: bool = False) -> tuple[str, str]:
    if missing:
        return "M_MISSING_PARAM", f"{name} is missing."
    return "M_BAD_JSON", f"{name} must be {expected}."


def _object(body: Mapping[str, Any], name: str, *, required: bool = False) -> Mapping[str, Any]:
    value = body.get(name)
    if value is None and not required:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(*_bad(name, "an object", missing=name not in body))
    return value


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if not isinstance(value, bool | None):
        raise BadRequest(*_bad(name, "true or false"))
    return bool(value)


def _count(body: Mapping[str, Any], name: str) -> int:
    value = body.get(name)
    if value is None:
        return limits.search_context_default
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadRequest(*_bad(name, "an integer of at least 0"))
    return min(value, limits.search_context_max)


def _columns(wanted: Mapping[str, Any]) -> tuple[str, ...]:
    keys = wanted.get("keys")
    if keys is None:
        return tuple(COLUMNS.values())
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in COLUMNS for key in keys):
        raise BadRequest("M_INVALID_PARAM", "keys must be a list of content.body, content.name and content.topic.")
    return tuple(dict.fromkeys(COLUMNS[key] for key in keys)) or tuple(COLUMNS.values())


def _order(wanted: Mapping[str, Any]) -> Order:
    order = wanted.get("order_by")
    try:
        return Order.RANK if order is None else Order(order)
    except ValueError as error:
        raise BadRequest("M_INVALID_PARAM", "order_by must be rank or recent.") from error


def _context(wanted: Mapping[str, Any]) -> ContextWanted | None:
    if wanted.get("event_context") is None:
        return None
    context = _object(wanted, "event_context")
    return ContextWanted(_count(context, "before_limit"), _count(context, "after_limit"), _flag(context, "include_profile"))


def _group_by(wanted: Mapping[str, Any]) -> tuple[str, ...]:
    groups = _object(wanted, "groupings").get("group_by")
    if groups is None:
        return ()
    if not isinstance(groups, list):
        raise BadRequest(*_bad("group_by", "a list"))
    keys: dict[str, None] = {}
    for group in groups:
        key = group.get("key") if isinstance(group, dict) else None
        if key not in _GROUPS:
            raise BadRequest("M_INVALID_PARAM", "Results are grouped by room_id or by sender.")
        keys[key] = None
    return tuple(keys)


# Tokens


class _Token(msgspec.Struct, array_like=True, frozen=True):
    entry: int
    rank: int
    first: int
    is_open: bool
    group: str
    value: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Token).decode


def place_token(place: Place) -> str:
    """A place as a client may hand it back."""
    token = _Token(place.entry, place.rank, place.first, place.is_open, place.group, place.value)
    return base64.urlsafe_b64encode(_encode(token)).decode().rstrip("=")


def parse_place(text: str) -> Place:
    """Raises BadRequest M_INVALID_PARAM for anything that we did not give."""
    try:
        if len(text) > _TOKEN_CHARACTERS_MAX:
            raise ValueError
        token = _decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        if (
            token.group not in ("", *_GROUPS)
            or not 0 <= min(token.entry, token.first) <= max(token.entry, token.first) < 1 << 63
        ):
            raise ValueError
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise BadRequest("M_INVALID_PARAM", "next_batch was not given by this server.") from error
    return Place(token.entry, token.rank, token.first, token.is_open, token.group, token.value)
