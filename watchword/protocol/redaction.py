"""Redaction: what is left of an event when its content is taken away, by room version.

The redacted form is also what is hashed for the event ID and what is signed; so every rule here decides identity.
Deliberately absent: who may redact (authorisation), and `unsigned.redacted_because` (serving).

Spec: rooms/v12#redactions, and the same section of every version
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from watchword.protocol import event_types
from watchword.protocol.room_versions import RoomVersion

_TOP_LEVEL = frozenset(
    {
        "event_id",
        "type",
        "room_id",
        "sender",
        "state_key",
        "content",
        "hashes",
        "signatures",
        "depth",
        "prev_events",
        "auth_events",
        "origin_server_ts",
    }
)
_TOP_LEVEL_WITH_ORIGIN = _TOP_LEVEL | {"origin", "membership", "prev_state"}
_POWER_LEVELS = ("ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default")
_NOTHING: tuple[str, ...] = ()


@cache
def _content_keys(
    aliases: bool, join_rules_allow: bool, authorising_user: bool, create_content: bool
) -> Mapping[str, tuple[str, ...]]:
    """Event type to the content keys that stay; a type not named keeps none."""
    kept: dict[str, tuple[str, ...]] = {
        event_types.MEMBER: ("membership",),
        event_types.CREATE: ("creator",),
        event_types.JOIN_RULES: ("join_rule",),
        event_types.POWER_LEVELS: _POWER_LEVELS,
        event_types.HISTORY_VISIBILITY: ("history_visibility",),
    }
    if aliases:
        kept[event_types.ALIASES] = ("aliases",)
    if join_rules_allow:
        kept[event_types.JOIN_RULES] += ("allow",)
    if authorising_user:
        kept[event_types.MEMBER] += ("join_authorised_via_users_server",)
    if create_content:
        kept[event_types.POWER_LEVELS] += ("invite",)
        kept[event_types.REDACTION] = ("redacts",)
    return kept


def redact(raw: Mapping[str, Any], version: RoomVersion) -> dict[str, Any]:
    """The redacted form of an event, as a new dict, without `unsigned`; values are shared with the argument.

    Total: an event of the wrong shape is redacted as far as it has one.
    """
    top_level = _TOP_LEVEL_WITH_ORIGIN if version.redaction_keeps_origin else _TOP_LEVEL
    redacted = {key: value for key, value in raw.items() if key in top_level}
    content = raw.get("content")
    redacted["content"] = _redacted_content(raw.get("type"), content, version) if isinstance(content, dict) else {}
    return redacted


def _redacted_content(event_type: object, content: Mapping[str, Any], version: RoomVersion) -> Mapping[str, Any]:
    if not isinstance(event_type, str):
        return {}
    if version.redaction_keeps_create_content and event_type == event_types.CREATE:
        return content
    keys = _content_keys(
        version.redaction_keeps_aliases,
        version.redaction_keeps_join_rules_allow,
        version.redaction_keeps_authorising_user,
        version.redaction_keeps_create_content,
    ).get(event_type, _NOTHING)
    kept = {key: content[key] for key in keys if key in content}
    if version.redaction_keeps_create_content and event_type == event_types.MEMBER:
        invite = content.get("third_party_invite")
        if isinstance(invite, dict) and "signed" in invite:
            kept["third_party_invite"] = {"signed": invite["signed"]}
    return kept
