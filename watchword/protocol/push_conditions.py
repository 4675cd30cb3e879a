"""Conditions of push rules, and the event and the reader they are asked about.

An event is taken apart once for all its readers: values are looked up on first use and remembered, and so is which of the
shared rules can hold at all. Whatever a condition says that we do not understand, it does not hold.
Deliberately absent: rules and their order (`push_rules`).

Spec: client-server-api#conditions-1, appendices#dot-separated-property-paths
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from watchword.base import limits
from watchword.protocol.events import Pdu
from watchword.protocol.push_patterns import Pattern, contains_words

Path = tuple[str, ...]

_ABSENT = object()
_BODY: Path = ("content", "body")
_COUNT = re.compile(r"(==|<=|>=|<|>)?([0-9]{1,15})")
_COMPARISONS: Mapping[str, Callable[[int, int], bool]] = {
    "": operator.eq,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


class PushContext(msgspec.Struct, frozen=True):
    """The reader of an event, and the room at that event.

    display_name: the reader's in this room. member_count: joined members. sender_level: power level of the event's sender.
    notification_level: key → level needed to notify so (`PowerLevels.notification_level`).
    """

    user_id: str
    display_name: str | None
    member_count: int
    sender_level: int
    notification_level: Callable[[str], int]


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


def compile_condition(condition: object) -> Condition | None:
    """A condition as the client gave it, ready to be asked; None if it never holds (unknown kind, malformed, too long)."""
    if not isinstance(condition, Mapping):
        return None
    kind = condition.get("kind")
    if kind == "contains_display_name":
        return ContainsDisplayName()
    if kind == "room_member_count":
        return _compile_count(condition.get("is"))
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


def _is_same(found: object, value: object) -> bool:
    return type(found) is type(value) and found == value
