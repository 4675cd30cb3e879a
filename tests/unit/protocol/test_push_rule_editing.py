from typing import Any

import pytest

from watchword.base import limits
from watchword.base.errors import BadRequest, NotFound, Refusal, TooLarge
from watchword.protocol.push_rule_editing import (
    add_rule,
    delete_rule,
    find_rule,
    set_actions,
    set_enabled,
    with_room_replaced,
)
from watchword.protocol.push_rules import KINDS, PushRule, RuleSet

DEFAULT = RuleSet.default("@me:hs")


def with_rules(kind: str, *rule_ids: str, rules: RuleSet = DEFAULT) -> RuleSet:
    """The rules in this order: each is added before the ones that came before it."""
    for rule_id in reversed(rule_ids):
        rules = add_rule(rules, kind, rule_id, a_body(kind))
    return rules


def a_body(kind: str = "room", **changes: Any) -> dict[str, Any]:
    return {"actions": ["notify"], **({"pattern": "x"} if kind == "content" else {}), **changes}


def order(rules: RuleSet, kind: str) -> list[str]:
    return [rule.rule_id for rule in rules.of_kind(kind) if not rule.is_default]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "postcontent"])
def test_a_new_rule_is_enabled_and_first_of_its_kind(kind: str) -> None:
    rules = with_rules(kind, "b", "a")
    assert order(rules, kind) == ["b", "a"]
    assert find_rule(rules, kind, "b").enabled


def test_new_override_rules_stand_between_the_master_switch_and_the_predefined_ones() -> None:
    ids = [rule.rule_id for rule in with_rules("override", "a").override]
    assert ids[:3] == [".m.rule.master", "a", ".m.rule.suppress_notices"]


def test_new_underride_rules_stand_before_the_predefined_ones() -> None:
    assert with_rules("underride", "a").underride[0].rule_id == "a"


def test_a_rule_goes_next_to_another() -> None:
    rules = with_rules("room", "a", "b")
    assert order(add_rule(rules, "room", "c", a_body(), before="b"), "room") == ["a", "c", "b"]
    assert order(add_rule(rules, "room", "c", a_body(), after="b"), "room") == ["a", "b", "c"]
    assert order(add_rule(rules, "room", "c", a_body(), before="a", after="b"), "room") == ["c", "a", "b"]


def test_a_rule_changed_stays_where_and_as_it_is() -> None:
    rules = set_enabled(with_rules("room", "a", "b"), "room", "b", False)
    changed = add_rule(rules, "room", "b", {"actions": []})
    assert order(changed, "room") == ["a", "b"]
    assert find_rule(changed, "room", "b") == PushRule("b", (), enabled=False)


def test_a_rule_changed_may_be_moved() -> None:
    rules = with_rules("room", "a", "b", "c")
    assert order(add_rule(rules, "room", "c", a_body(), before="a"), "room") == ["c", "a", "b"]


@pytest.mark.parametrize("neighbour", ["unknown", "c"])
def test_an_unknown_neighbour_is_not_found(neighbour: str) -> None:
    with pytest.raises(NotFound):
        add_rule(with_rules("room", "a"), "room", "c", a_body(), after=neighbour)


def test_a_predefined_rule_is_no_neighbour() -> None:
    with pytest.raises(BadRequest):
        add_rule(DEFAULT, "override", "a", a_body(), before=".m.rule.reaction")


@pytest.mark.parametrize("rule_id", ["", ".x", "a/b", "a\\b", "x" * 256])
def test_a_bad_id_is_refused(rule_id: str) -> None:
    with pytest.raises(BadRequest) as caught:
        add_rule(DEFAULT, "room", rule_id, a_body())
    assert caught.value.errcode == "M_INVALID_PARAM"


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(BadRequest):
        add_rule(DEFAULT, "device", "a", a_body())


@pytest.mark.parametrize(
    ("kind", "body", "errcode"),
    [
        ("room", {}, "M_MISSING_PARAM"),
        ("room", {"actions": "notify"}, "M_BAD_JSON"),
        ("room", {"actions": ["shout"]}, "M_INVALID_PARAM"),
        ("room", {"actions": [{"set_tweak": 5}]}, "M_INVALID_PARAM"),
        ("room", {"actions": [{"x": "y"}]}, "M_INVALID_PARAM"),
        ("room", {"actions": [{"set_tweak": "x", "value": "y" * limits.push_rule_bytes_max}]}, "M_TOO_LARGE"),
        ("content", {"actions": []}, "M_MISSING_PARAM"),
        ("content", {"actions": [], "pattern": 5}, "M_BAD_JSON"),
        ("content", {"actions": [], "pattern": "x" * (limits.push_pattern_characters_max + 1)}, "M_INVALID_PARAM"),
        ("override", {"actions": [], "conditions": {}}, "M_BAD_JSON"),
        ("override", {"actions": [], "conditions": [5]}, "M_BAD_JSON"),
        ("override", {"actions": [], "conditions": [{"kind": 5}]}, "M_BAD_JSON"),
        ("override", {"actions": [], "conditions": [{"kind": "x"}] * (limits.push_conditions_max + 1)}, "M_BAD_JSON"),
        ("override", {"actions": [], "conditions": [{"kind": "x" * limits.push_rule_bytes_max}]}, "M_TOO_LARGE"),
    ],
)
def test_a_bad_rule_is_refused(kind: str, body: dict[str, Any], errcode: str) -> None:
    with pytest.raises(Refusal) as caught:
        add_rule(DEFAULT, kind, "a", body)
    assert caught.value.errcode == errcode


def test_old_actions_and_unknown_conditions_are_kept() -> None:
    body = {"actions": ["dont_notify", "coalesce"], "conditions": [{"kind": "org.example"}]}
    assert add_rule(DEFAULT, "override", "a", body).to_json()["override"][1] == {
        "rule_id": "a",
        "default": False,
        "enabled": True,
        **body,
    }


def test_there_may_be_only_so_many_rules() -> None:
    rules = DEFAULT.with_kind("room", [PushRule(f"{number}", ()) for number in range(limits.push_rules_max)])
    with pytest.raises(TooLarge):
        add_rule(rules, "sender", "a", a_body())
    assert add_rule(rules, "room", "0", {"actions": ["notify"]}).room[0].actions == ("notify",)


def test_a_rule_is_deleted() -> None:
    assert order(delete_rule(with_rules("room", "a", "b"), "room", "a"), "room") == ["b"]


def test_a_predefined_rule_is_not_deleted() -> None:
    with pytest.raises(BadRequest):
        delete_rule(DEFAULT, "override", ".m.rule.master")


def test_a_rule_is_switched_off_and_given_other_actions() -> None:
    rules = set_actions(set_enabled(DEFAULT, "override", ".m.rule.reaction", False), "override", ".m.rule.reaction", ["notify"])
    found = find_rule(rules, "override", ".m.rule.reaction")
    assert (found.enabled, found.actions) == (False, ("notify",))


def test_bad_actions_are_refused() -> None:
    with pytest.raises(BadRequest):
        set_actions(DEFAULT, "override", ".m.rule.reaction", None)


@pytest.mark.parametrize("kind", ["room", "device"])
def test_an_unknown_rule_is_not_found(kind: str) -> None:
    with pytest.raises(NotFound):
        find_rule(DEFAULT, kind, "a")
    with pytest.raises(NotFound):
        delete_rule(DEFAULT, kind, "a")
    with pytest.raises(NotFound):
        set_enabled(DEFAULT, kind, "a", True)
    with pytest.raises(NotFound):
        set_actions(DEFAULT, kind, "a", [])


def test_rules_about_a_room_hold_for_its_replacement_too() -> None:
    muted = {"actions": [], "conditions": [{"kind": "event_match", "key": "room_id", "pattern": "!old:hs"}]}
    rules = add_rule(with_rules("room", "!old:hs", "!else:hs"), "override", "!old:hs", muted)
    copied = with_room_replaced(rules, "!old:hs", "!new:hs")
    assert order(copied, "room") == ["!old:hs", "!new:hs", "!else:hs"]
    assert order(copied, "override") == ["!old:hs", "!new:hs"]
    assert find_rule(copied, "override", "!new:hs").conditions[0]["pattern"] == "!new:hs"
    assert with_room_replaced(copied, "!old:hs", "!new:hs") == copied


def test_rules_about_other_rooms_are_not_copied() -> None:
    rules = with_rules("room", "!else:hs")
    assert with_room_replaced(rules, "!old:hs", "!new:hs") == rules


def test_the_kind_after_content_takes_no_rules_of_users() -> None:
    with pytest.raises(BadRequest) as refused:
        add_rule(DEFAULT, "postcontent", "x", {"actions": []})
    assert refused.value.errcode == "M_INVALID_PARAM"
    off = set_enabled(DEFAULT, "postcontent", ".io.element.msc4306.rule.unsubscribed_thread", False)
    assert [rule.enabled for rule in off.postcontent] == [False, True]


@pytest.mark.parametrize("half", [{"key": "sender"}, {"pattern": "@me:hs"}])
def test_a_match_on_a_related_event_has_both_of_its_parts_or_none(half: dict[str, str]) -> None:
    condition = {"kind": "im.nheko.msc3664.related_event_match", "rel_type": "m.thread"}
    with pytest.raises(BadRequest):
        add_rule(DEFAULT, "override", "x", {"actions": [], "conditions": [{**condition, **half}]})
    assert add_rule(DEFAULT, "override", "x", {"actions": [], "conditions": [condition]}) != DEFAULT
