"""Changes of a rule set, as its owner asks for them: each gives a new `RuleSet` or raises what the client is to be told.

Deliberately absent: storing the result, and telling the user's devices.

Spec: client-server-api#push-rules-api
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from watchword.base import limits
from watchword.base.errors import BadRequest, NotFound, TooLarge
from watchword.protocol.default_push_rules import POSTCONTENT
from watchword.protocol.push_conditions import RELATED_EVENT_MATCH
from watchword.protocol.push_rules import KINDS, PushRule, RuleSet

_PLAIN_ACTIONS = ("notify", "dont_notify", "coalesce")


def with_room_replaced(rules: RuleSet, old: str, new: str) -> RuleSet:
    """The user's own rules about one room also for the room that replaces it. What names the new room already stays.

    Spec: client-server-api#room-upgrades
    """
    for kind in KINDS:
        own = rules.of_kind(kind)
        known = {rule.rule_id for rule in own}
        copied: list[PushRule] = []
        for rule in own:
            copied.append(rule)
            if new not in known and not rule.is_default and _is_about_room(kind, rule, old):
                conditions = [{**each, "pattern": new} if _names_room(each, old) else each for each in rule.conditions]
                copied.append(replace(rule, rule_id=new, conditions=conditions))
                known.add(new)
        if len(copied) > len(own):
            rules = rules.with_kind(kind, copied)
    return rules


def _is_about_room(kind: str, rule: PushRule, room_id: str) -> bool:
    return (kind == "room" and rule.rule_id == room_id) or any(_names_room(each, room_id) for each in rule.conditions)


def _names_room(condition: Mapping[str, Any], room_id: str) -> bool:
    is_match = condition.get("kind") == "event_match" and condition.get("key") == "room_id"
    return is_match and condition.get("pattern") == room_id


def find_rule(rules: RuleSet, kind: str, rule_id: str) -> PushRule:
    """One rule. Raises NotFound (M_NOT_FOUND) if there is none, or no such kind."""
    for rule in rules.of_kind(kind) if kind in KINDS else ():
        if rule.rule_id == rule_id:
            return rule
    raise NotFound("You have no such push rule.")


def add_rule(
    rules: RuleSet,
    kind: str,
    rule_id: str,
    body: Mapping[str, Any],
    *,
    before: str | None = None,
    after: str | None = None,
) -> RuleSet:
    """Make a rule, or change the user's rule of that ID; a new one is enabled and the first of its kind.

    body: `actions`, and `conditions` or `pattern` as the kind has them. before, after: the user's rule that it is to stand
    next to; `before` counts if both are given. A rule changed without them stays where and as enabled as it is.
    Raises BadRequest for a bad kind, ID or body, NotFound for an unknown neighbour, TooLarge.
    Spec: client-server-api#put_matrixclientv3pushrulesglobalkindruleid
    """
    if kind not in KINDS:
        raise BadRequest("M_INVALID_PARAM", "There is no such kind of push rules.")
    if kind == POSTCONTENT:
        raise BadRequest("M_INVALID_PARAM", "Rules of this kind are predefined alone.")
    _check_rule_id(rule_id)
    new = _read_rule(kind, rule_id, body)
    all_rules = rules.of_kind(kind)
    old = next((rule for rule in all_rules if rule.rule_id == rule_id), None)
    if old is not None:
        new = replace(new, enabled=old.enabled)
        if before is None and after is None:
            return rules.with_kind(kind, (new if rule is old else rule for rule in all_rules))
    elif sum(not rule.is_default for each in KINDS for rule in rules.of_kind(each)) >= limits.push_rules_max:
        raise TooLarge("You have too many push rules.")
    others = [rule for rule in all_rules if rule is not old]
    others.insert(_place(others, before, after), new)
    return rules.with_kind(kind, others)


def delete_rule(rules: RuleSet, kind: str, rule_id: str) -> RuleSet:
    """Remove a user's rule. Raises NotFound, and BadRequest for a predefined rule, which can only be disabled."""
    found = find_rule(rules, kind, rule_id)
    if found.is_default:
        raise BadRequest("M_INVALID_PARAM", "Predefined push rules cannot be deleted.")
    return rules.with_kind(kind, (rule for rule in rules.of_kind(kind) if rule is not found))


def set_enabled(rules: RuleSet, kind: str, rule_id: str, enabled: bool) -> RuleSet:
    """Switch a rule on or off. Raises NotFound."""
    return _changed(rules, kind, find_rule(rules, kind, rule_id), enabled=enabled)


def set_actions(rules: RuleSet, kind: str, rule_id: str, actions: object) -> RuleSet:
    """Give a rule other actions. Raises NotFound, and BadRequest for what are not actions."""
    found = find_rule(rules, kind, rule_id)
    return _changed(rules, kind, found, actions=_read_actions(actions))


def _changed(rules: RuleSet, kind: str, found: PushRule, **changes: Any) -> RuleSet:
    return rules.with_kind(kind, (replace(rule, **changes) if rule is found else rule for rule in rules.of_kind(kind)))


def _place(rules: list[PushRule], before: str | None, after: str | None) -> int:
    """Where among the rules of its kind a new one goes."""
    neighbour = after if before is None else before
    if neighbour is None:
        return next((index for index, rule in enumerate(rules) if not rule.is_default), _leading_defaults(rules))
    if neighbour.startswith("."):
        raise BadRequest("M_INVALID_PARAM", "Push rules cannot be placed next to predefined ones.")
    for index, rule in enumerate(rules):
        if rule.rule_id == neighbour:
            return index if before is not None else index + 1
    raise NotFound("You have no push rule of the ID given as neighbour.")


def _leading_defaults(rules: Iterable[PushRule]) -> int:
    """How many predefined rules precede the user's: the master switch, which only override rules have."""
    return sum(rule.rule_id == ".m.rule.master" for rule in rules)


def _check_rule_id(rule_id: str) -> None:
    if not rule_id or rule_id.startswith(".") or "/" in rule_id or "\\" in rule_id:
        raise BadRequest("M_INVALID_PARAM", "A push rule's ID may not be empty, begin with a dot, or contain a slash.")
    if len(rule_id) > limits.identifier_bytes_max:
        raise BadRequest("M_INVALID_PARAM", "This push rule's ID is too long.")


def _read_rule(kind: str, rule_id: str, body: Mapping[str, Any]) -> PushRule:
    if "actions" not in body:
        raise BadRequest("M_MISSING_PARAM", "A push rule needs actions.")
    rule = PushRule(rule_id, _read_actions(body["actions"]))
    if kind == "content":
        rule = replace(rule, pattern=_read_pattern(body))
    elif kind in ("override", "underride"):
        rule = replace(rule, conditions=_read_conditions(body.get("conditions", [])))
    if len(msgspec.json.encode((rule.actions, rule.conditions))) > limits.push_rule_bytes_max:
        raise TooLarge("This push rule is too large.")
    return rule


def _read_actions(actions: object) -> tuple[Any, ...]:
    if not isinstance(actions, list):
        raise BadRequest("M_BAD_JSON", "The actions of a push rule are a list.")
    for action in actions:
        is_tweak = isinstance(action, Mapping) and isinstance(action.get("set_tweak"), str)
        if not is_tweak and action not in _PLAIN_ACTIONS:
            raise BadRequest("M_INVALID_PARAM", "One of the actions is unknown.")
    if len(msgspec.json.encode(actions)) > limits.push_rule_bytes_max:
        raise TooLarge("These actions are too large.")
    return tuple(actions)


def _read_pattern(body: Mapping[str, Any]) -> str:
    if "pattern" not in body:
        raise BadRequest("M_MISSING_PARAM", "A content rule needs a pattern.")
    pattern = body["pattern"]
    if not isinstance(pattern, str):
        raise BadRequest("M_BAD_JSON", "A pattern is a text.")
    if len(pattern) > limits.push_pattern_characters_max:
        raise BadRequest("M_INVALID_PARAM", "This pattern is too long.")
    return pattern


def _read_conditions(conditions: object) -> tuple[Mapping[str, Any], ...]:
    """Unknown kinds are kept: they never match here, but may mean something to a client."""
    if not isinstance(conditions, list) or len(conditions) > limits.push_conditions_max:
        raise BadRequest("M_BAD_JSON", "The conditions of a push rule are a list, and not a long one.")
    for condition in conditions:
        if not isinstance(condition, Mapping) or not isinstance(condition.get("kind"), str):
            raise BadRequest("M_BAD_JSON", "Each condition of a push rule has a kind.")
        if condition["kind"] == RELATED_EVENT_MATCH and ("key" in condition) != ("pattern" in condition):
            raise BadRequest("M_INVALID_PARAM", "This condition has both key and pattern, or none of them.")
    return tuple(conditions)
