"""Whatever rules and events hold, evaluation gives actions, and patterns mean what a plain reading says."""

import json
import re
from fnmatch import translate
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.base.errors import Refusal
from watchword.protocol.push_conditions import PushContext, PushEvent, Related
from watchword.protocol.push_patterns import Pattern
from watchword.protocol.push_rule_editing import add_rule
from watchword.protocol.push_rules import KINDS, Actions, CompiledRules, RuleSet

ME = "@me:hs"
KEYS = ("type", "content.body", "content", "room_id", "sender", "content.m\\.mentions.user_ids", "a.b", "", "\\")
NAMES = ("type", "content", "body", "room_id", "sender", "state_key", "m.mentions", "user_ids", "room", "a", "b")
CONDITION_KINDS = (
    *("event_match", "event_property_is", "event_property_contains", "room_member_count"),
    *("sender_notification_permission", "contains_display_name", "unknown"),
    *("im.nheko.msc3664.related_event_match", "io.element.msc4306.thread_subscription"),
)

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False), st.sampled_from((ME, "ab", "*", "?a"))
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=10,
)
events = st.dictionaries(st.sampled_from(NAMES), values, max_size=6)
conditions = values | st.fixed_dictionaries(
    {"kind": st.sampled_from(CONDITION_KINDS)},
    optional={
        "key": st.sampled_from(KEYS) | scalars,
        "pattern": st.text("ab*?", max_size=6) | scalars,
        "value": values,
        "is": st.sampled_from((">1", "2", "x")) | scalars,
        "rel_type": st.sampled_from(("m.thread", "m.in_reply_to")) | scalars,
        "include_fallbacks": scalars,
        "subscribed": scalars,
    },
)
actions = st.lists(st.sampled_from(("notify", "dont_notify")) | st.fixed_dictionaries({"set_tweak": scalars, "value": values}))
rules = st.fixed_dictionaries(
    {"rule_id": st.sampled_from(("a", "b", ME, ".m.rule.message", ".m.rule.master")), "actions": actions | values},
    optional={"conditions": st.lists(conditions, max_size=3) | values, "pattern": st.text("ab*?") | values, "enabled": values},
)
stored = st.dictionaries(st.sampled_from(KINDS), st.lists(rules | values, max_size=4) | values, max_size=5)


def a_context(name: str | None) -> PushContext:
    related = {"m.in_reply_to": Related(PushEvent({"sender": ME, "content": {"body": "ab"}}), is_fallback=True)}
    return PushContext(ME, name, 2, 0, lambda _: 50, is_subscribed=name == "ab", related=related)


@given(stored, events, st.sampled_from((None, "", "ab")))
@settings(max_examples=300, deadline=None)
def test_evaluation_gives_actions_and_remembering_changes_nothing(rule_set: Any, event: Any, name: str | None) -> None:
    compiled = CompiledRules.of(RuleSet.from_json(rule_set, ME))
    shared = PushEvent(event)
    first = compiled.evaluate(shared, a_context(name))
    assert isinstance(first, Actions)
    assert compiled.evaluate(shared, a_context(name)) == first == compiled.evaluate(PushEvent(event), a_context(name))


@given(stored)
@settings(max_examples=100, deadline=None)
def test_stored_rules_come_back_as_they_were(rule_set: Any) -> None:
    read = RuleSet.from_json(rule_set, ME)
    assert RuleSet.from_json(json.loads(json.dumps(read.to_json())), ME).to_json() == read.to_json()


@given(
    st.sampled_from((*KINDS, "x")),
    st.text(max_size=3),
    st.dictionaries(st.sampled_from(("actions", "conditions", "pattern")), values),
)
@settings(max_examples=100, deadline=None)
def test_a_rule_is_added_or_refused(kind: str, rule_id: str, body: dict[str, Any]) -> None:
    try:
        added = add_rule(RuleSet.default(ME), kind, rule_id, body)
    except Refusal:
        return
    CompiledRules.of(added)


@given(st.text("ab*?.", max_size=8), st.text("ab.\n", max_size=12))
@settings(max_examples=500, deadline=None)
def test_a_pattern_means_what_plain_backtracking_finds(glob: str, text: str) -> None:
    plain = translate(glob).removeprefix("(?s:").removesuffix(")\\Z")
    assert Pattern(glob, within=False).fits(text) == (re.fullmatch(plain, text, re.DOTALL) is not None)
    spaced = f"(?s)(?<![a-z0-9_])(?:{plain})(?![a-z0-9_])"
    assert Pattern(glob, within=True).fits(text) == (re.search(spaced, text) is not None)
