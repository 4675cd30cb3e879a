"""Push rules: a user's set of them, and what they say about an event.

A `RuleSet` is the rules as the user sees and edits them (`push_rule_editing`), immutable. `CompiledRules` is the same made
ready for evaluation, built once per rule set. The predefined rules are the same objects for all users who left them
alone, so that which of them can hold is found out once per event.
Deliberately absent: counting, storing and sending notifications.

Spec: client-server-api#push-rules
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import msgspec

from watchword.base import limits
from watchword.protocol.default_push_rules import (
    DEFAULTS,
    DONT_EMAIL,
    EVERY_CHOICE,
    MASTER,
    POSTCONTENT,
    REPLY,
    DefaultRule,
    Predefined,
    conditions_for,
)
from watchword.protocol.push_conditions import (
    AboutReader,
    Condition,
    EventMatch,
    MentionsReader,
    PushContext,
    PushEvent,
    RelatedEventMatch,
    RepliesToReader,
    compile_body_match,
    compile_condition,
)

KINDS = ("override", "content", POSTCONTENT, "room", "sender", "underride")
"""The kinds of rules, in the order in which they are asked."""

_WITH_CONDITIONS = ("override", POSTCONTENT, "underride")
_TRUE_UNLESS_SAID = ("highlight", DONT_EMAIL)
_ROOM_ID = ("room_id",)


@dataclass(frozen=True, slots=True)
class PushRule:
    """One rule. conditions: of kinds override and underride; pattern: of kind content. actions: as the client gave them."""

    rule_id: str
    actions: Sequence[Any]
    enabled: bool = True
    is_default: bool = False
    conditions: Sequence[Mapping[str, Any]] = ()
    pattern: str = ""


class Actions(msgspec.Struct, frozen=True):
    """What a rule says is to be done. sound: None for silence. tweaks: all of them, for the push gateway."""

    notify: bool = False
    highlight: bool = False
    sound: str | None = None
    tweaks: Mapping[str, Any] = {}

    @classmethod
    def of(cls, actions: Iterable[Any]) -> "Actions":
        """From the list in a rule; what is not known is ignored. Spec: client-server-api#actions"""
        notify, tweaks = False, {}
        for action in actions:
            if action == "notify":
                notify = True
            elif isinstance(action, Mapping) and isinstance(action.get("set_tweak"), str):
                tweak = action["set_tweak"]
                value = action.get("value", True if tweak in _TRUE_UNLESS_SAID else None)
                if value is not None:
                    tweaks[tweak] = value
        sound = tweaks.get("sound")
        return cls(notify, tweaks.get("highlight") is True, sound if isinstance(sound, str) else None, tweaks)


NOTHING = Actions()
"""No rule matched, or the one that did wants nothing."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules of a user, predefined ones included, by kind and in the order in which they are asked."""

    override: tuple[PushRule, ...] = ()
    content: tuple[PushRule, ...] = ()
    postcontent: tuple[PushRule, ...] = ()
    room: tuple[PushRule, ...] = ()
    sender: tuple[PushRule, ...] = ()
    underride: tuple[PushRule, ...] = ()

    @classmethod
    def default(cls, user_id: str, predefined: Predefined = DEFAULTS) -> "RuleSet":
        """The rules of a user who has changed nothing."""
        return cls.from_json({}, user_id, predefined)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], user_id: str, predefined: Predefined = DEFAULTS) -> "RuleSet":
        """From what `to_json` gave, perhaps long ago: of predefined rules only actions and `enabled` are taken, so that
        rules predefined since appear and those removed since vanish. Malformed rules are left out."""
        return cls(**{kind: _read_kind(stored.get(kind), kind, user_id, predefined.get(kind, ())) for kind in KINDS})

    def of_kind(self, kind: str) -> tuple[PushRule, ...]:
        """The rules of one of `KINDS`."""
        rules: tuple[PushRule, ...] = getattr(self, kind)
        return rules

    def with_kind(self, kind: str, rules: Iterable[PushRule]) -> Self:
        """The same with other rules of one kind."""
        return replace(self, **{kind: tuple(rules)})

    def to_json(self) -> dict[str, Any]:
        """The rules as clients see them, what `global` holds. Spec: client-server-api#get_matrixclientv3pushrulesglobal"""
        return {kind: [rule_to_json(kind, rule) for rule in self.of_kind(kind)] for kind in KINDS}

    def to_account_data(self) -> dict[str, Any]:
        """The content of m.push_rules, and of `GET /pushrules/`. Spec: client-server-api#mpush_rules"""
        return {"global": self.to_json()}


def rule_to_json(kind: str, rule: PushRule) -> dict[str, Any]:
    """One rule as clients see it."""
    shown: dict[str, Any] = {
        "rule_id": rule.rule_id,
        "default": rule.is_default,
        "enabled": rule.enabled,
        "actions": list(rule.actions),
    }
    if kind in _WITH_CONDITIONS:
        shown["conditions"] = [dict(condition) for condition in rule.conditions]
    elif kind == "content":
        shown["pattern"] = rule.pattern
    return shown


def _read_kind(stored: object, kind: str, user_id: str, predefined: Sequence[DefaultRule]) -> tuple[PushRule, ...]:
    entries = [entry for entry in stored if isinstance(entry, Mapping)] if isinstance(stored, list | tuple) else []
    own = [rule for entry in entries if (rule := _read_own(kind, entry)) is not None] if kind != POSTCONTENT else []
    by_id = {entry.get("rule_id"): entry for entry in entries if isinstance(entry.get("rule_id"), str)}
    defaults = [_read_default(rule, by_id.get(rule.rule_id, {}), user_id) for rule in predefined]
    first = [rule for rule in defaults if rule.rule_id == MASTER]
    # A rule stands in the set once: the first of its ID counts.
    distinct: dict[str, PushRule] = {}
    for rule in own[: limits.push_rules_max]:
        distinct.setdefault(rule.rule_id, rule)
    return (*first, *distinct.values(), *defaults[len(first) :])


def _read_own(kind: str, entry: Mapping[str, Any]) -> PushRule | None:
    rule_id, actions = entry.get("rule_id"), entry.get("actions")
    if not isinstance(rule_id, str) or rule_id.startswith(".") or not isinstance(actions, list | tuple):
        return None
    rule = PushRule(rule_id, tuple(actions), entry.get("enabled") is not False)
    if kind == "content":
        pattern = entry.get("pattern")
        return replace(rule, pattern=pattern) if isinstance(pattern, str) else None
    conditions = entry.get("conditions", ())
    if kind not in _WITH_CONDITIONS:
        return rule
    if not isinstance(conditions, list | tuple) or not all(isinstance(condition, Mapping) for condition in conditions):
        return None
    return replace(rule, conditions=tuple(conditions))


def _read_default(rule: DefaultRule, entry: Mapping[str, Any], user_id: str) -> PushRule:
    enabled, actions = entry.get("enabled"), entry.get("actions")
    return PushRule(
        rule.rule_id,
        tuple(actions) if isinstance(actions, list | tuple) else tuple(rule.actions),
        enabled if isinstance(enabled, bool) else rule.enabled,
        is_default=True,
        conditions=conditions_for(rule, user_id),
    )


class _Compiled:
    """One rule ready to be asked: first what is the same for all readers, then what is not.

    is_predefined: the conditions are the same objects for all users, so that their answer is remembered by the event.
    """

    __slots__ = ("actions", "is_predefined", "personal", "room", "shared")

    def __init__(self, conditions: Iterable[Condition], actions: Actions, *, is_predefined: bool = False) -> None:
        asked = tuple(conditions)
        self.shared = tuple(condition for condition in asked if not condition.is_personal)
        self.personal = tuple(condition for condition in asked if condition.is_personal)
        self.actions = actions
        self.is_predefined = is_predefined
        self.room = next((room for condition in asked if (room := _only_room(condition)) is not None), None)

    def can_hold(self, event: PushEvent) -> bool:
        if not self.is_predefined:
            return self._shared_hold(event)
        answer = event.memo.get(self.shared)
        if answer is None:
            answer = event.memo[self.shared] = self._shared_hold(event)
        return bool(answer)

    def _shared_hold(self, event: PushEvent) -> bool:
        return all(condition.holds(event, None) for condition in self.shared)

    def holds_for(self, event: PushEvent, context: PushContext) -> bool:
        for condition in self.personal:  # noqa: SIM110 - half the cost of all(), and it runs for every reader
            if not condition.holds(event, context):
                return False
        return True


def _only_room(condition: Condition) -> str | None:
    """The lowered ID of the only room where the condition can hold: how clients mute rooms, often many."""
    if isinstance(condition, EventMatch) and condition.path == _ROOM_ID:
        return condition.pattern.literal
    return None


class _Rules:
    """Rules asked one after the other; those for one room only where it is that room.

    is_shared: the same object for many users; then what can hold is remembered by the event.
    """

    __slots__ = ("_by_room", "_general", "is_shared")

    def __init__(self, rules: Iterable[_Compiled], *, is_shared: bool = False) -> None:
        ordered = tuple(rules)
        self.is_shared = is_shared
        self._general = tuple(rule for rule in ordered if rule.room is None)
        rooms = {rule.room for rule in ordered if rule.room is not None}
        self._by_room = {room: tuple(rule for rule in ordered if rule.room in (None, room)) for room in rooms}

    def __bool__(self) -> bool:
        return bool(self._general or self._by_room)

    def first_match(self, event: PushEvent, context: PushContext) -> Actions | None:
        if self.is_shared:
            candidates = event.memo.get(self)
            if candidates is None:
                candidates = event.memo[self] = [rule for rule in self._general if rule.can_hold(event)]
            for rule in candidates:
                if rule.holds_for(event, context):
                    found: Actions = rule.actions
                    return found
            return None
        rules = self._general
        if self._by_room:
            rules = self._by_room.get(event.text(_ROOM_ID) or "", rules)
        for rule in rules:
            if rule.can_hold(event) and rule.holds_for(event, context):
                return rule.actions
        return None


class _OfThreads:
    """Rules of kind postcontent: all of them ask about subscribed threads, and most events are in none."""

    __slots__ = ("_rules",)

    def __init__(self, rules: _Rules) -> None:
        self._rules = rules

    def __bool__(self) -> bool:
        return bool(self._rules)

    def first_match(self, event: PushEvent, context: PushContext) -> Actions | None:
        return None if context.is_subscribed is None else self._rules.first_match(event, context)


class _ByRoom:
    """Rules of kind room: at most one fits."""

    __slots__ = ("actions",)

    def __init__(self, actions: Mapping[str, Actions]) -> None:
        self.actions = actions

    def __bool__(self) -> bool:
        return bool(self.actions)

    def first_match(self, event: PushEvent, _: PushContext) -> Actions | None:
        return self.actions.get(event.room_id)


class _BySender(_ByRoom):
    """Rules of kind sender: at most one fits."""

    __slots__ = ()

    def first_match(self, event: PushEvent, _: PushContext) -> Actions | None:
        return self.actions.get(event.sender)


class CompiledRules:
    """A user's rules ready for evaluation. Immutable; keep it until the rule set changes."""

    __slots__ = ("_steps",)

    def __init__(self, steps: Iterable[_Rules | _OfThreads | _ByRoom]) -> None:
        self._steps = tuple(steps)

    @classmethod
    def of(cls, rules: RuleSet) -> "CompiledRules":
        """Compile every enabled rule. A rule that can never match is left out; so is one whose patterns would make the
        wildcards of this user's rules together exceed `push_wildcard_characters_max`."""
        if any(rule.rule_id == MASTER and rule.enabled for rule in rules.override):
            return cls((_Rules([_Compiled((), NOTHING)]),))
        compiler = _Compiler()
        override, override_defaults = compiler.kind("override", rules.override)
        content = _Rules(compiler.own(rules.content, "content"))
        _, postcontent = compiler.kind(POSTCONTENT, rules.postcontent)
        underride, underride_defaults = compiler.kind("underride", rules.underride)
        by_room, by_sender = (
            {rule.rule_id: Actions.of(rule.actions) for rule in of_kind if rule.enabled}
            for of_kind in (rules.room, rules.sender)
        )
        middle = (content, _OfThreads(postcontent), _ByRoom(by_room), _BySender(by_sender))
        return cls(filter(None, (override, override_defaults, *middle, underride, underride_defaults)))

    def evaluate(self, event: PushEvent, context: PushContext) -> Actions:
        """What the first matching rule wants. One's own events never notify."""
        if event.sender == context.user_id:
            return NOTHING
        for step in self._steps:
            actions = step.first_match(event, context)
            if actions is not None:
                return actions
        return NOTHING


class _Compiler:
    """Compiles one user's rules within his budget of wildcards."""

    __slots__ = ("_budget",)

    def __init__(self) -> None:
        self._budget = limits.push_wildcard_characters_max

    def kind(self, kind: str, rules: Sequence[PushRule]) -> tuple[_Rules, _Rules]:
        own = _Rules(self.own([rule for rule in rules if not rule.is_default], kind))
        defaults = [rule for rule in rules if rule.is_default]
        untouched = _UNTOUCHED.get(tuple(rule.rule_id for rule in defaults))
        if untouched is not None and all(map(_is_untouched, defaults)):
            return own, untouched
        return own, _Rules(_predefined(rule.rule_id, rule.actions) for rule in defaults if rule.enabled)

    def own(self, rules: Iterable[PushRule], kind: str) -> Iterable[_Compiled]:
        for rule in rules:
            if not rule.enabled:
                continue
            if kind == "content":
                found: list[Condition | None] = [compile_body_match(rule.pattern)]
            else:
                found = [compile_condition(condition) for condition in rule.conditions]
            conditions = [condition for condition in found if condition is not None]
            if len(conditions) == len(found) and self._afford(conditions):
                yield _Compiled(conditions, Actions.of(rule.actions))

    def _afford(self, conditions: Iterable[Condition]) -> bool:
        matches = [each.match if isinstance(each, RelatedEventMatch) else each for each in conditions]
        cost = sum(match.pattern.wildcard_characters for match in matches if isinstance(match, EventMatch))
        if cost > self._budget:
            return False
        self._budget -= cost
        return True


def _is_untouched(rule: PushRule) -> bool:
    default = _BY_ID[rule.rule_id]
    return rule.enabled == default.enabled and list(rule.actions) == list(default.actions)


def _predefined(rule_id: str, actions: Sequence[Any]) -> _Compiled:
    return _Compiled(_CONDITIONS[rule_id], Actions.of(actions), is_predefined=True)


def _compile_default(rule: DefaultRule) -> tuple[Condition, ...]:
    about_reader: Mapping[str, Condition] = {
        ".m.rule.invite_for_me": AboutReader(),
        ".m.rule.is_user_mention": MentionsReader(),
        REPLY: RepliesToReader(),
    }
    compiled = [compile_condition(condition) for condition in rule.conditions]
    if rule.rule_id in about_reader:
        compiled[-1] = about_reader[rule.rule_id]
    return tuple(condition for condition in compiled if condition is not None)


_BY_ID: Mapping[str, DefaultRule] = {
    rule.rule_id: rule for choice in EVERY_CHOICE for rules in choice.values() for rule in rules
}
_CONDITIONS: Mapping[str, tuple[Condition, ...]] = {rule_id: _compile_default(rule) for rule_id, rule in _BY_ID.items()}
_UNTOUCHED: Mapping[tuple[str, ...], _Rules] = {
    tuple(rule.rule_id for rule in rules): _Rules(
        [_predefined(rule.rule_id, rule.actions) for rule in rules if rule.enabled], is_shared=True
    )
    for choice in EVERY_CHOICE
    for rules in choice.values()
}
