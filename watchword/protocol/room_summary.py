"""Summaries of rooms that another server sent, as far as they can be believed; pure.

Deliberately absent: whether the other server was entitled to say anything of the room.
Spec: client-server-api#get_matrixclientv3publicrooms, server-server-api#get_matrixfederationv1hierarchyroomid
"""

from collections.abc import Mapping
from typing import Any

from watchword.base import limits
from watchword.base.errors import RemoteProtocolError
from watchword.protocol.ids import RoomId, parse_room_alias, parse_room_id

# How long each may be, in characters: summaries are kept, many at a time.
_TEXTS = {
    "name": 1_024,
    "topic": 4_096,
    **dict.fromkeys(("join_rule", "room_type", "encryption", "room_version"), limits.identifier_bytes_max),
}
_ROOMS_MAX = 50


def checked_summary(room: object) -> dict[str, Any] | None:
    """A summary with the keys that we know and the types that clients rely on; None if one that must be there is not."""
    if not isinstance(room, Mapping):
        return None
    room_id, count = _room_id(room.get("room_id")), room.get("num_joined_members")
    if (
        room_id is None
        or not isinstance(count, int)
        or isinstance(count, bool)
        or not 0 <= count <= limits.canonical_integer_max
    ):
        return None
    summary: dict[str, Any] = {
        "room_id": room_id,
        "num_joined_members": count,
        "world_readable": room.get("world_readable") is True,
        "guest_can_join": room.get("guest_can_join") is True,
    }
    texts = {key: room.get(key) for key in _TEXTS}
    summary |= {key: text for key, text in texts.items() if isinstance(text, str) and len(text) <= _TEXTS[key]}
    avatar_url, allowed = room.get("avatar_url"), room.get("allowed_room_ids")
    if isinstance(avatar_url, str) and avatar_url.startswith("mxc://") and len(avatar_url) <= limits.avatar_url_bytes_max:
        summary["avatar_url"] = avatar_url
    if isinstance(allowed, list):
        summary["allowed_room_ids"] = [each for each in map(_room_id, allowed[:_ROOMS_MAX]) if each is not None]
    return summary | _alias(room.get("canonical_alias"))


def _room_id(value: object) -> RoomId | None:
    try:
        return parse_room_id(value) if isinstance(value, str) else None
    except RemoteProtocolError:
        return None


def _alias(value: object) -> dict[str, Any]:
    try:
        return {"canonical_alias": parse_room_alias(value)} if isinstance(value, str) else {}
    except RemoteProtocolError:
        return {}
