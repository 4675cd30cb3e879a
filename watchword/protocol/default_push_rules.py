"""The push rules that every user has: their order, conditions and actions, as data.

`{user_id}` in a pattern or value stands for the owner of the rules. Deliberately absent: the three legacy mention rules,
which the specification removed in 1.17.

Spec: client-server-api#predefined-rules
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OWNER = "{user_id}"

NOTIFY = "notify"
_HIGHLIGHT = {"set_tweak": "highlight"}
_SOUND = {"set_tweak": "sound", "value": "default"}
_RING = {"set_tweak": "sound", "value": "ring"}


@dataclass(frozen=True, slots=True)
class DefaultRule:
    """One predefined rule."""

    rule_id: str
    conditions: Sequence[Mapping[str, Any]]
    actions: Sequence[Any] = ()
    enabled: bool = True


def _match(key: str, pattern: str) -> Mapping[str, Any]:
    return {"kind": "event_match", "key": key, "pattern": pattern}


_PAIR = {"kind": "room_member_count", "is": "2"}

MASTER = ".m.rule.master"

OVERRIDE = (
    DefaultRule(MASTER, (), enabled=False),
    DefaultRule(".m.rule.suppress_notices", (_match("content.msgtype", "m.notice"),)),
    DefaultRule(
        ".m.rule.invite_for_me",
        (_match("type", "m.room.member"), _match("content.membership", "invite"), _match("state_key", OWNER)),
        (NOTIFY, _SOUND),
    ),
    DefaultRule(".m.rule.member_event", (_match("type", "m.room.member"),)),
    DefaultRule(
        ".m.rule.is_user_mention",
        ({"kind": "event_property_contains", "key": r"content.m\.mentions.user_ids", "value": OWNER},),
        (NOTIFY, _SOUND, _HIGHLIGHT),
    ),
    DefaultRule(
        ".m.rule.is_room_mention",
        (
            {"kind": "event_property_is", "key": r"content.m\.mentions.room", "value": True},
            {"kind": "sender_notification_permission", "key": "room"},
        ),
        (NOTIFY, _HIGHLIGHT),
    ),
    DefaultRule(".m.rule.tombstone", (_match("type", "m.room.tombstone"), _match("state_key", "")), (NOTIFY, _HIGHLIGHT)),
    DefaultRule(".m.rule.reaction", (_match("type", "m.reaction"),)),
    DefaultRule(".m.rule.room.server_acl", (_match("type", "m.room.server_acl"), _match("state_key", ""))),
    DefaultRule(
        ".m.rule.suppress_edits",
        ({"kind": "event_property_is", "key": r"content.m\.relates_to.rel_type", "value": "m.replace"},),
    ),
)

UNDERRIDE = (
    DefaultRule(".m.rule.call", (_match("type", "m.call.invite"),), (NOTIFY, _RING)),
    DefaultRule(".m.rule.encrypted_room_one_to_one", (_PAIR, _match("type", "m.room.encrypted")), (NOTIFY, _SOUND)),
    DefaultRule(".m.rule.room_one_to_one", (_PAIR, _match("type", "m.room.message")), (NOTIFY, _SOUND)),
    DefaultRule(".m.rule.message", (_match("type", "m.room.message"),), (NOTIFY,)),
    DefaultRule(".m.rule.encrypted", (_match("type", "m.room.encrypted"),), (NOTIFY,)),
)

DEFAULTS: Mapping[str, Sequence[DefaultRule]] = {"override": OVERRIDE, "underride": UNDERRIDE}
"""The predefined rules of each kind that has some."""


def conditions_for(rule: DefaultRule, user_id: str) -> tuple[Mapping[str, Any], ...]:
    """A predefined rule's conditions as its owner sees them."""
    return tuple(
        {name: user_id if value == OWNER else value for name, value in condition.items()} for condition in rule.conditions
    )
