"""Conditions of push rules, and the event and the reader they are asked about.

An event is taken apart once for all its readers: values are looked up on first use and remembered, and so is which of the
shared rules can hold at all. Whatever a condition says that we do not understand, it does not hold.
Deliberately absent: rules and their order (`push_rules`).

Spec: client-server-api#conditions-1, appendices#dot-separated-property-paths, proposals/3664, proposals/4306
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from watchword.base import limits
from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId
from watchword.protocol.push_patterns import Pattern, contains_words
from watchword.protocol.relations import relation_of, replied_to

Path = tuple[str, ...]

_ABSENT = object()
_BODY: Path = ("content", "body")
_REPLY = "m.in_reply_to"
RELATED_EVENT_MATCH = "im.nheko.msc3664.related_event_match"
THREAD_SUBSCRIPTION = "io.element.msc4306.thread_subscription"
_COUNT = re.compile(r"(==|<=|>=|<|>)?([0-9]{1,15})")
_COMPARISONS: Mapping[str, Callable[[int, int], bool]] = {
    "": operator.eq,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


class Related(msgspec.Struct, frozen=True):
    """An event that another one relates to. event: None if it is not known, or not for the reader to see.

    is_fallback: whether the relation is there only for clients that know nothing of threads.
    """

    event: "PushEvent | None"
    is_fallback: bool = False


NOTHING_RELATED: Mapping[str, Related] = {}


def relations_in(content: Mapping[str, Any]) -> Mapping[str, tuple[EventId, bool]]:
    """What an event relates to: type of the relation → the other event, and whether that is only a fallback.

    A reply counts as a relation of type `m.in_reply_to`. Spec: proposals/3664
    """
    found: dict[str, tuple[EventId, bool]] = {}
    relation, reply = relation_of(content), replied_to(content)
    if relation is not None:
        found[relation.rel_type] = (relation.event_id, False)
    if reply is not None:
        found[_REPLY] = (reply, content["m.relates_to"].get("is_falling_back") is True)
    return found


class PushContext(msgspec.Struct, frozen=True):
    """The reader of an event, and the room at that event.

    display_name: the reader's in this room. member_count: joined members. sender_level: power level of the event's sender.
    notification_level: key → level needed to notify so (`PowerLevels.notification_level`).
    is_subscribed: to the thread of the event; None if it is in none, or the reader takes no part in subscriptions.
    related: what the event relates to, by the type of the relation.
    """

    user_id: str
    display_name: str | None
    member_count: int
    sender_level: int
    notification_level: Callable[[str], int]
    is_subscribed: bool | None = None
    related: Mapping[str, Related] = NOTHING_RELATED


class PushEvent:
    """An event as push rules see it; build one per event and share it among all readers.

    memo: what rules that are the same for many readers found out about it.
    """

    __slots__ = ("_names", "_root", "_texts", "_values", "memo", "room_id", "sender")

    def __init__(self, event: Mapping[str, Any]) -> None:
        """event: its client form, at least sender, type, room_id and content."""
        self._root = event
        self._values: dict[Path, object] = {}
        self._texts: dict[Path, str | None] = {}
        self._names: dict[Path, frozenset[str]] = {}
        sender, room_id = event.get("sender"), event.get("room_id")
        self.sender = sender if isinstance(sender, str) else ""
        self.room_id = room_id if isinstance(room_id, str) else ""
        self.memo: dict[object, Any] = {}

    @classmethod
    def of(cls, pdu: Pdu) -> "PushEvent":
        """From an event that was parsed."""
        return cls({**pdu.json, "event_id": pdu.event_id, "room_id": pdu.room_id})

    def value(self, path: Path) -> object:
        """The value at a property path, or `_ABSENT`."""
        found = self._values.get(path, self)
        if found is self:
            found = self._root
            for name in path:
                found = found.get(name, _ABSENT) if isinstance(found, Mapping) else _ABSENT
            self._values[path] = found
        return found

    def text(self, path: Path) -> str | None:
        """The lowered text at a property path; None if no text is there."""
        try:
            return self._texts[path]
        except KeyError:
            value = self.value(path)
            text = self._texts[path] = value.lower() if isinstance(value, str) else None
            return text

    def names(self, path: Path) -> frozenset[str]:
        """The texts in the list at a property path, as they are; none if no list is there."""
        found = self._names.get(path)
        if found is None:
            value = self.value(path)
            listed = value if isinstance(value, list | tuple) else ()
            found = self._names[path] = frozenset(entry for entry in listed if isinstance(entry, str))
        return found


def parse_path(key: str) -> Path:
    """The names in a dot-separated property path; `\\.` and `\\\\` stand for a dot and a backslash in a name."""
    names, name, characters = [], "", iter(key)
    for character in characters:
        if character == ".":
            names.append(name)
            name = ""
        elif character == "\\":
            following = next(characters, "")
            name += following if following in (".", "\\") else character + following
        else:
            name += character
    return (*names, name)


class Condition(Protocol):
    """is_personal: whether the answer depends on the reader, so that it cannot be shared."""

    @property
    def is_personal(self) -> bool: ...

    def holds(self, event: PushEvent, context: PushContext | None) -> bool:
        """context: None only where the answer is not personal."""
        ...


class _Shared:
    __slots__ = ()
    is_personal = False


class _Personal:
    __slots__ = ()
    is_personal = True


@dataclass(frozen=True, slots=True, eq=False)
class EventMatch(_Shared):
    """A text fits a glob; in `content.body` a part of it does."""

    path: Path
    pattern: Pattern

    def holds(self, event: PushEvent, _: PushContext | None) -> bool:
        text = event.text(self.path)
        return text is not None and self.pattern.fits(text)


@dataclass(frozen=True, slots=True, eq=False)
class EventPropertyIs(_Shared):
    """A value is exactly this one, of the same JSON type."""

    path: Path
    value: object

    def holds(self, event: PushEvent, _: PushContext | None) -> bool:
        return _is_same(event.value(self.path), self.value)


@dataclass(frozen=True, slots=True, eq=False)
class EventPropertyContains(_Shared):
    """A list has exactly this value, of the same JSON type, as an entry."""

    path: Path
    value: object

    def holds(self, event: PushEvent, _: PushContext | None) -> bool:
        found = event.value(self.path)
        return isinstance(found, list | tuple) and any(_is_same(entry, self.value) for entry in found)


@dataclass(frozen=True, slots=True, eq=False)
class RoomMemberCount(_Personal):
    """So many are in the room. (The same for all readers, but it comes with the context.)"""

    compare: Callable[[int, int], bool]
    count: int

    def holds(self, _: PushEvent, context: PushContext | None) -> bool:
        return context is not None and self.compare(context.member_count, self.count)


@dataclass(frozen=True, slots=True, eq=False)
class SenderNotificationPermission(_Personal):
    """The sender's power level is enough to notify in this way."""

    key: str

    def holds(self, _: PushEvent, context: PushContext | None) -> bool:
        return context is not None and context.sender_level >= context.notification_level(self.key)


class ContainsDisplayName(_Personal):
    """The body has the reader's display name in it. Deprecated; user rules may still ask."""

    def holds(self, event: PushEvent, context: PushContext | None) -> bool:
        text = event.text(_BODY)
        return (
            context is not None
            and text is not None
            and context.display_name is not None
            and contains_words(text, context.display_name.lower())
        )


class AboutReader(_Personal):
    """The state key is the reader: the default rule on invites, the same object for all."""

    path: Path = ("state_key",)

    def holds(self, event: PushEvent, context: PushContext | None) -> bool:
        return context is not None and event.text(self.path) == context.user_id.lower()


class MentionsReader(_Personal):
    """`m.mentions` lists the reader: the default rule on mentions, the same object for all."""

    path: Path = ("content", "m.mentions", "user_ids")

    def holds(self, event: PushEvent, context: PushContext | None) -> bool:
        return context is not None and context.user_id in event.names(self.path)


@dataclass(frozen=True, slots=True, eq=False)
class ThreadSubscription(_Personal):
    """The event is in a thread, to which the reader is subscribed, or is not. Spec: proposals/4306"""

    subscribed: bool

    def holds(self, _: PushEvent, context: PushContext | None) -> bool:
        return context is not None and context.is_subscribed is self.subscribed


@dataclass(frozen=True, slots=True, eq=False)
class RelatedEventMatch(_Personal):
    """The event relates to another in this way; and if there is a match, that one fits. Spec: proposals/3664"""

    rel_type: str
    match: EventMatch | None = None
    include_fallbacks: bool = False

    def holds(self, _: PushEvent, context: PushContext | None) -> bool:
        related = None if context is None else context.related.get(self.rel_type)
        if related is None or (related.is_fallback and not self.include_fallbacks):
            return False
        return self.match is None or (related.event is not None and self.match.holds(related.event, context))


class RepliesToReader(_Personal):
    """The event replies to one of the reader's: the default rule on replies, the same object for all."""

    def holds(self, _: PushEvent, context: PushContext | None) -> bool:
        related = None if context is None else context.related.get(_REPLY)
        return (
            context is not None
            and related is not None
            and related.event is not None
            and not related.is_fallback
            and related.event.sender == context.user_id
        )


def compile_condition(condition: object) -> Condition | None:
    """A condition as the client gave it, ready to be asked; None if it never holds (unknown kind, malformed, too long)."""
    if not isinstance(condition, Mapping):
        return None
    kind = condition.get("kind")
    if kind == "contains_display_name":
        return ContainsDisplayName()
    if kind == "room_member_count":
        return _compile_count(condition.get("is"))
    if kind == THREAD_SUBSCRIPTION:
        subscribed = condition.get("subscribed")
        return ThreadSubscription(subscribed) if isinstance(subscribed, bool) else None
    if kind == RELATED_EVENT_MATCH:
        return _compile_related(condition)
    return _compile_with_key(kind, condition)


def _compile_with_key(kind: object, condition: Mapping[str, Any]) -> Condition | None:
    key = condition.get("key")
    if not isinstance(key, str):
        return None
    if kind == "sender_notification_permission":
        return SenderNotificationPermission(key)
    if kind == "event_match":
        return compile_match(parse_path(key), condition.get("pattern"))
    if kind not in ("event_property_is", "event_property_contains") or "value" not in condition:
        return None
    value = condition["value"]
    if value is not None and not isinstance(value, str | int | bool):
        return None
    return (EventPropertyIs if kind == "event_property_is" else EventPropertyContains)(parse_path(key), value)


def compile_match(path: Path, pattern: object) -> EventMatch | None:
    """The condition `event_match`; also what a content rule is, with the path of the body."""
    if not isinstance(pattern, str) or len(pattern) > limits.push_pattern_characters_max:
        return None
    return EventMatch(path, Pattern(pattern, within=path == _BODY))


def compile_body_match(pattern: object) -> EventMatch | None:
    """What the pattern of a content rule means. Spec: client-server-api#push-rules"""
    return compile_match(_BODY, pattern)


def _compile_count(text: object) -> RoomMemberCount | None:
    found = _COUNT.fullmatch(text) if isinstance(text, str) else None
    return None if found is None else RoomMemberCount(_COMPARISONS[found[1] or ""], int(found[2]))


def _compile_related(condition: Mapping[str, Any]) -> RelatedEventMatch | None:
    rel_type, key, fallbacks = condition.get("rel_type"), condition.get("key"), condition.get("include_fallbacks", False)
    if not isinstance(rel_type, str) or not isinstance(fallbacks, bool) or ("key" in condition) != ("pattern" in condition):
        return None
    if "key" not in condition:
        return RelatedEventMatch(rel_type, None, fallbacks)
    match = compile_match(parse_path(key), condition["pattern"]) if isinstance(key, str) else None
    return None if match is None else RelatedEventMatch(rel_type, match, fallbacks)


def _is_same(found: object, value: object) -> bool:
    return type(found) is type(value) and found == value
