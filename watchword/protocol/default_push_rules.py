"""The push rules that every user has: their order, conditions and actions, as data.

`{user_id}` in a pattern or value stands for the owner of the rules. Besides the rules of the specification there are those
of proposals that clients use: polls under the accepted names and under those that clients look for today, subscribed
threads, and two that an operator may add. Deliberately absent: the three legacy mention rules, which the specification
removed in 1.17.

Spec: client-server-api#predefined-rules, proposals/3930, proposals/4306, proposals/4028, proposals/3664
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OWNER = "{user_id}"

NOTIFY = "notify"
DONT_EMAIL = "org.matrix.msc4062.dont_email"
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


def _is_of_type(event_type: str) -> Mapping[str, Any]:
    return {"kind": "event_property_is", "key": "type", "value": event_type}


def _in_thread(*, subscribed: bool) -> Mapping[str, Any]:
    return {"kind": "io.element.msc4306.thread_subscription", "subscribed": subscribed}


MASTER = ".m.rule.master"
REPLY = ".im.nheko.msc3664.reply"
POSTCONTENT = "postcontent"
"""The kind between content and room, which has predefined rules alone. Spec: proposals/4306"""

_ENCRYPTED_EVENT = DefaultRule(
    ".org.matrix.msc4028.encrypted_event", (_is_of_type("m.room.encrypted"),), (NOTIFY, {"set_tweak": DONT_EMAIL})
)
_REPLY = DefaultRule(
    REPLY,
    ({"kind": "im.nheko.msc3664.related_event_match", "rel_type": "m.in_reply_to", "key": "sender", "pattern": OWNER},),
    (NOTIFY, _SOUND, _HIGHLIGHT),
)

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
    DefaultRule(".m.rule.poll_response", (_is_of_type("m.poll.response"),)),
    DefaultRule(".org.matrix.msc3930.rule.poll_response", (_match("type", "org.matrix.msc3381.poll.response"),)),
    DefaultRule(
        ".m.rule.suppress_edits",
        ({"kind": "event_property_is", "key": r"content.m\.relates_to.rel_type", "value": "m.replace"},),
    ),
)

_POSTCONTENT = (
    DefaultRule(".io.element.msc4306.rule.unsubscribed_thread", (_in_thread(subscribed=False),)),
    DefaultRule(".io.element.msc4306.rule.subscribed_thread", (_in_thread(subscribed=True),), (NOTIFY, _SOUND)),
)


def _poll_rules(prefix: str, is_start: Mapping[str, Any], is_end: Mapping[str, Any]) -> Iterator[DefaultRule]:
    for name, is_of_type in (("start", is_start), ("end", is_end)):
        yield DefaultRule(f"{prefix}.rule.poll_{name}_one_to_one", (_PAIR, is_of_type), (NOTIFY, _SOUND))
        yield DefaultRule(f"{prefix}.rule.poll_{name}", (is_of_type,), (NOTIFY,))


_IN_USE = "org.matrix.msc3381.poll"

UNDERRIDE = (
    DefaultRule(".m.rule.call", (_match("type", "m.call.invite"),), (NOTIFY, _RING)),
    DefaultRule(".m.rule.encrypted_room_one_to_one", (_PAIR, _match("type", "m.room.encrypted")), (NOTIFY, _SOUND)),
    DefaultRule(".m.rule.room_one_to_one", (_PAIR, _match("type", "m.room.message")), (NOTIFY, _SOUND)),
    DefaultRule(".m.rule.message", (_match("type", "m.room.message"),), (NOTIFY,)),
    DefaultRule(".m.rule.encrypted", (_match("type", "m.room.encrypted"),), (NOTIFY,)),
    *_poll_rules(".m", _is_of_type("m.poll.start"), _is_of_type("m.poll.end")),
    *_poll_rules(".org.matrix.msc3930", _match("type", f"{_IN_USE}.start"), _match("type", f"{_IN_USE}.end")),
)

Predefined = Mapping[str, Sequence[DefaultRule]]
"""The predefined rules of each kind that has some."""


def predefined(*, encrypted_events: bool = False, replies: bool = False) -> Predefined:
    """The rules that users of a server have.

    encrypted_events: with the one that wakes devices for everything encrypted. replies: with the one that highlights replies.
    Both are on for everybody where they are, and change what clients of today do; therefore an operator chooses them.
    """
    override: list[DefaultRule] = []
    for rule in OVERRIDE:
        if replies and rule.rule_id == ".m.rule.is_user_mention":
            override.append(_REPLY)
        override.append(rule)
        if encrypted_events and rule.rule_id == MASTER:
            override.append(_ENCRYPTED_EVENT)
    return {"override": tuple(override), POSTCONTENT: _POSTCONTENT, "underride": UNDERRIDE}


DEFAULTS: Predefined = predefined()
"""What an operator who chose nothing has."""

EVERY_CHOICE: Sequence[Predefined] = [
    predefined(encrypted_events=encrypted_events, replies=replies)
    for encrypted_events in (False, True)
    for replies in (False, True)
]


def conditions_for(rule: DefaultRule, user_id: str) -> tuple[Mapping[str, Any], ...]:
    """A predefined rule's conditions as its owner sees them."""
    return tuple(
        {name: user_id if value == OWNER else value for name, value in condition.items()} for condition in rule.conditions
    )
