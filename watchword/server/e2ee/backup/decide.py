"""Which backed-up key is the better one, and what shape a key has."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from watchword.base import limits
from watchword.base.errors import Refused

Sessions = Mapping[tuple[str, str], "BackedUpKey"]
"""(room ID, session ID) → key."""


class BackedUpKey(NamedTuple):
    """One room key as a client backs it up. session_data: JSON, opaque to the server."""

    first_message_index: int
    forwarded_count: int
    is_verified: bool
    session_data: bytes


def is_better(offered: BackedUpKey, stored: BackedUpKey | None) -> bool:
    """Whether an offered key replaces the stored one.

    Spec: client-server-api#put_matrixclientv3room_keyskeysroomidsessionid
    """
    if stored is None:
        return True
    if offered.is_verified != stored.is_verified:
        return offered.is_verified
    if offered.first_message_index != stored.first_message_index:
        return offered.first_message_index < stored.first_message_index
    return offered.forwarded_count < stored.forwarded_count


def backed_up_key(value: object) -> BackedUpKey | Refused:
    """Check one key of a request."""
    if not isinstance(value, dict):
        return Refused("M_BAD_JSON", "A session must be an object.")
    for name in ("first_message_index", "forwarded_count", "is_verified", "session_data"):
        if name not in value:
            return Refused("M_MISSING_PARAM", f"{name} is missing.")
    index, count = value["first_message_index"], value["forwarded_count"]
    if not _is_count(index) or not _is_count(count):
        return Refused("M_BAD_JSON", "first_message_index and forwarded_count must be integers of at least 0.")
    if not isinstance(value["is_verified"], bool) or not isinstance(value["session_data"], dict):
        return Refused("M_BAD_JSON", "is_verified must be true or false, session_data an object.")
    try:
        return BackedUpKey(index, count, value["is_verified"], orjson.dumps(value["session_data"]))
    except TypeError:
        return Refused("M_BAD_JSON", "session_data cannot be encoded as JSON.")


def sessions_of_room(room_id: str, value: object) -> dict[tuple[str, str], BackedUpKey] | Refused:
    """Check the keys of one room."""
    if not isinstance(value, dict) or not isinstance(value.get("sessions"), dict):
        return Refused("M_BAD_JSON", "sessions must be an object.")
    if len(room_id) > limits.identifier_bytes_max:
        return Refused("M_INVALID_PARAM", "A room ID is too long.")
    found = {}
    for session_id, session in value["sessions"].items():
        if len(session_id) > limits.identifier_bytes_max:
            return Refused("M_INVALID_PARAM", "A session ID is too long.")
        key = backed_up_key(session)
        if isinstance(key, Refused):
            return key
        found[room_id, session_id] = key
    return found


def sessions_of_rooms(value: object) -> dict[tuple[str, str], BackedUpKey] | Refused:
    """Check the keys of many rooms."""
    if not isinstance(value, dict):
        return Refused("M_BAD_JSON", "rooms must be an object.")
    found: dict[tuple[str, str], BackedUpKey] = {}
    for room_id, room in value.items():
        sessions = sessions_of_room(room_id, room)
        if isinstance(sessions, Refused):
            return sessions
        found.update(sessions)
    return found


def encoded_object(value: Mapping[str, Any]) -> bytes | Refused:
    """JSON of an object that is opaque to the server."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return Refused("M_BAD_JSON", "The object cannot be encoded as JSON.")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limits.canonical_integer_max
