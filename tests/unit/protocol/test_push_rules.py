from collections.abc import Mapping
from typing import Any

import pytest

from watchword.base import limits
from watchword.protocol.default_push_rules import predefined
from watchword.protocol.push_conditions import RELATED_EVENT_MATCH as RELATED
from watchword.protocol.push_conditions import PushContext, PushEvent, Related
from watchword.protocol.push_rule_editing import add_rule, set_actions, set_enabled
from watchword.protocol.push_rules import NOTHING, Actions, CompiledRules, RuleSet

ME = "@me:hs"
SOUND = {"set_tweak": "sound", "value": "default"}
DEFAULT = RuleSet.default(ME)


def a_context(**changes: Any) -> PushContext:
    given = {"user_id": ME, "display_name": "Me", "member_count": 10, "sender_level": 0, **changes}
    return PushContext(notification_level=lambda _: 50, **given)


def a_message(body: str = "hello", **changes: Any) -> dict[str, Any]:
    content = {"msgtype": "m.text", "body": body}
    return {"type": "m.room.message", "sender": "@you:hs", "room_id": "!Room:hs", "content": content, **changes}


def evaluate(event: Mapping[str, Any], rules: RuleSet = DEFAULT, **context: Any) -> Actions:
    return CompiledRules.of(rules).evaluate(PushEvent(event), a_context(**context))


def a_rule(rules: RuleSet, kind: str, rule_id: str, *actions: Any, **body: Any) -> RuleSet:
    return add_rule(rules, kind, rule_id, {"actions": list(actions), **body})


class TestPredefinedRules:
    def test_a_message_notifies_silently(self) -> None:
        assert evaluate(a_message()) == Actions(notify=True)

    def test_a_message_between_two_sounds(self) -> None:
        found = evaluate(a_message(), member_count=2)
        assert (found.notify, found.sound, found.highlight) == (True, "default", False)

    def test_ones_own_message_does_nothing(self) -> None:
        assert evaluate(a_message(sender=ME)) == NOTHING

    def test_a_notice_does_nothing(self) -> None:
        assert not evaluate(a_message(content={"msgtype": "m.notice"})).notify

    def test_an_edit_does_nothing(self) -> None:
        assert not evaluate(a_message(content={"m.relates_to": {"rel_type": "m.replace"}})).notify

    def test_a_reaction_does_nothing(self) -> None:
        assert not evaluate(a_message(type="m.reaction")).notify

    def test_an_unknown_type_does_nothing(self) -> None:
        assert evaluate(a_message(type="com.example")) == NOTHING

    def test_an_invite_to_me_sounds_but_other_member_events_do_nothing(self) -> None:
        member = a_message(type="m.room.member", content={"membership": "invite"})
        assert evaluate({**member, "state_key": ME}).sound == "default"
        assert not evaluate({**member, "state_key": "@other:hs"}).notify

    def test_a_mention_of_me_is_highlighted(self) -> None:
        event = PushEvent(a_message(content={"m.mentions": {"user_ids": [ME]}}))
        rules = CompiledRules.of(DEFAULT)
        assert rules.evaluate(event, a_context()).highlight
        assert not rules.evaluate(event, a_context(user_id="@other:hs")).highlight

    def test_a_mention_of_the_room_needs_the_level(self) -> None:
        event = a_message(content={"m.mentions": {"room": True}})
        assert evaluate(event, sender_level=50).highlight
        assert not evaluate(event, sender_level=49).highlight

    def test_the_master_switch_silences_all(self) -> None:
        assert evaluate(a_message(), set_enabled(DEFAULT, "override", ".m.rule.master", True)) == NOTHING

    def test_one_switched_off_is_passed_over(self) -> None:
        rules = set_enabled(DEFAULT, "override", ".m.rule.suppress_notices", False)
        assert evaluate(a_message(content={"msgtype": "m.notice"}), rules).notify

    def test_one_may_be_given_other_actions(self) -> None:
        rules = set_actions(DEFAULT, "underride", ".m.rule.message", [])
        event = PushEvent(a_message())
        compiled = CompiledRules.of(rules)
        assert not compiled.evaluate(event, a_context()).notify
        assert not compiled.evaluate(event, a_context()).notify


class TestRulesBeyondTheSpecification:
    @pytest.mark.parametrize("kind", ["m.poll", "org.matrix.msc3381.poll"])
    def test_a_poll_notifies_and_its_answers_do_not(self, kind: str) -> None:
        assert evaluate(a_message(type=f"{kind}.start")) == Actions(notify=True)
        assert evaluate(a_message(type=f"{kind}.end"), member_count=2).sound == "default"
        own = a_rule(DEFAULT, "underride", "x", "notify")
        assert not evaluate(a_message(type=f"{kind}.response"), own).notify

    def test_a_subscribed_thread_sounds_even_in_a_room_with_a_rule(self) -> None:
        rules = a_rule(DEFAULT, "room", "!Room:hs")
        assert evaluate(a_message(), rules, is_subscribed=True).sound == "default"
        assert not evaluate(a_message(), rules).notify

    def test_another_thread_is_silent_unless_a_keyword_or_a_mention_is_in_it(self) -> None:
        rules = a_rule(DEFAULT, "content", "cat", "notify", {"set_tweak": "highlight"}, pattern="cat")
        assert not evaluate(a_message(), rules, is_subscribed=False).notify
        assert evaluate(a_message("my cat"), rules, is_subscribed=False).highlight
        assert evaluate(a_message(content={"m.mentions": {"user_ids": [ME]}}), rules, is_subscribed=False).highlight

    def test_everything_encrypted_wakes_devices_if_so_chosen_but_not_in_a_muted_room(self) -> None:
        rules = RuleSet.default(ME, predefined(encrypted_events=True))
        found = evaluate(a_message(type="m.room.encrypted"), a_rule(rules, "room", "!Room:hs"))
        assert found == Actions(notify=True, tweaks={"org.matrix.msc4062.dont_email": True})
        condition = {"kind": "event_match", "key": "room_id", "pattern": "!Room:hs"}
        muted = a_rule(rules, "override", "!Room:hs", conditions=[condition])
        assert not evaluate(a_message(type="m.room.encrypted"), muted).notify

    def test_replies_are_highlighted_if_so_chosen(self) -> None:
        related = {"m.in_reply_to": Related(PushEvent({"sender": ME}))}
        assert evaluate(a_message(), RuleSet.default(ME, predefined(replies=True)), related=related).highlight
        assert not evaluate(a_message(), related=related).highlight

    def test_wildcards_in_related_events_cost_as_much(self) -> None:
        pattern = "?" * limits.push_pattern_characters_max
        condition = {"kind": RELATED, "rel_type": "m.in_reply_to", "key": "content.body", "pattern": pattern}
        related = {"m.in_reply_to": Related(PushEvent({"content": {"body": "x" * len(pattern)}}))}
        rules = a_rule(DEFAULT, "override", "last", conditions=[condition])
        rules = a_rule(rules, "override", "before", conditions=[{**condition, "rel_type": "m.thread"}])
        assert not evaluate(a_message(), rules, related=related).notify
        rules = a_rule(rules, "override", "first", conditions=[{**condition, "rel_type": "m.thread"}])
        assert evaluate(a_message(), rules, related=related).notify


class TestOwnRules:
    def test_override_rules_come_before_predefined_ones(self) -> None:
        condition = {"kind": "event_match", "key": "content.msgtype", "pattern": "m.notice"}
        rules = a_rule(DEFAULT, "override", "x", "notify", conditions=[condition])
        assert evaluate(a_message(content={"msgtype": "m.notice"}), rules).notify

    def test_a_muted_room_is_silent_and_others_are_not(self) -> None:
        condition = {"kind": "event_match", "key": "room_id", "pattern": "!Room:hs"}
        rules = a_rule(DEFAULT, "override", "!Room:hs", conditions=[condition])
        assert not evaluate(a_message(), rules).notify
        assert evaluate(a_message(room_id="!other:hs"), rules).notify

    def test_the_order_of_rules_holds_across_rooms(self) -> None:
        in_room = {"kind": "event_match", "key": "room_id", "pattern": "!Room:hs"}
        rules = a_rule(DEFAULT, "override", "second", "notify", SOUND)
        rules = a_rule(rules, "override", "first", conditions=[in_room])
        assert not evaluate(a_message(), rules).notify
        assert evaluate(a_message(room_id="!other:hs"), rules).sound == "default"
        rules = add_rule(rules, "override", "first", {"actions": [], "conditions": [in_room]}, after="second")
        assert evaluate(a_message(), rules).sound == "default"

    def test_room_globs_are_not_taken_for_rooms(self) -> None:
        condition = {"kind": "event_match", "key": "room_id", "pattern": "!room:*"}
        assert not evaluate(a_message(), a_rule(DEFAULT, "override", "x", conditions=[condition])).notify

    def test_a_keyword_highlights(self) -> None:
        rules = a_rule(DEFAULT, "content", "cat", "notify", {"set_tweak": "highlight"}, pattern="cat")
        assert evaluate(a_message("my cat"), rules).highlight
        assert not evaluate(a_message("concatenate"), rules).highlight

    def test_room_and_sender_rules_match_exactly(self) -> None:
        assert evaluate(a_message(), a_rule(DEFAULT, "room", "!Room:hs", SOUND)).sound == "default"
        assert evaluate(a_message(), a_rule(DEFAULT, "room", "!room:hs", SOUND)).sound is None
        assert evaluate(a_message(), a_rule(DEFAULT, "sender", "@you:hs", SOUND)).sound == "default"

    def test_one_kind_is_asked_after_the_other(self) -> None:
        rules = DEFAULT
        for kind, body in (
            ("underride", {}),
            ("sender", {}),
            ("room", {}),
            ("content", {"pattern": "hello"}),
            ("override", {}),
        ):
            rule_id = {"sender": "@you:hs", "room": "!Room:hs"}.get(kind, "x")
            rules = a_rule(rules, kind, rule_id, {"set_tweak": "sound", "value": kind}, **body)
            assert evaluate(a_message(), rules).sound == kind

    def test_disabled_rules_are_passed_over(self) -> None:
        rules = set_enabled(a_rule(DEFAULT, "room", "!Room:hs"), "room", "!Room:hs", False)
        rules = set_enabled(a_rule(rules, "override", "x"), "override", "x", False)
        assert evaluate(a_message(), rules).notify

    def test_a_rule_with_an_unknown_condition_never_matches(self) -> None:
        known = {"kind": "event_match", "key": "type", "pattern": "*"}
        rules = a_rule(DEFAULT, "override", "x", conditions=[known, {"kind": "org.example.unknown"}])
        assert evaluate(a_message(), rules).notify

    def test_a_rule_without_conditions_always_matches(self) -> None:
        assert not evaluate(a_message(), a_rule(DEFAULT, "override", "x")).notify

    def test_wildcards_beyond_the_budget_never_match(self) -> None:
        rules, pattern = DEFAULT, "?" * limits.push_pattern_characters_max
        for number in range(3):
            rules = a_rule(rules, "content", f"{number}", {"set_tweak": "sound", "value": f"{number}"}, pattern=pattern)
            rules = add_rule(rules, "content", "last", {"actions": [SOUND], "pattern": "hello"}, after=f"{number}")
        assert evaluate(a_message("x" * len(pattern)), set_enabled(rules, "content", "2", False)).sound == "1"
        only_first = set_enabled(set_enabled(rules, "content", "2", True), "content", "1", True)
        assert evaluate(a_message("hello"), only_first).sound == "default"


class TestActions:
    def test_are_read_from_the_list(self) -> None:
        assert Actions.of(["notify", SOUND, {"set_tweak": "highlight"}, {"set_tweak": "x", "value": 1}]) == Actions(
            notify=True, highlight=True, sound="default", tweaks={"sound": "default", "highlight": True, "x": 1}
        )

    def test_that_are_unknown_are_ignored(self) -> None:
        assert Actions.of(["dont_notify", "coalesce", 5, {}, {"set_tweak": 5}, {"set_tweak": "sound"}]) == NOTHING

    @pytest.mark.parametrize("value", [False, "true", 1])
    def test_highlight_only_if_true(self, value: object) -> None:
        assert not Actions.of([{"set_tweak": "highlight", "value": value}]).highlight

    def test_sound_only_if_named(self) -> None:
        assert Actions.of([{"set_tweak": "sound", "value": 5}]).sound is None


class TestStoredRules:
    def test_come_back_as_they_were(self) -> None:
        rules = a_rule(DEFAULT, "content", "cat", "notify", pattern="cat")
        rules = a_rule(rules, "override", "x", conditions=[{"kind": "event_match", "key": "type", "pattern": "y"}])
        rules = a_rule(set_enabled(rules, "override", "x", False), "room", "!r:hs", "dont_notify")
        rules = set_actions(rules, "underride", ".m.rule.message", ["notify", SOUND])
        assert RuleSet.from_json(rules.to_json(), ME) == rules
        assert rules.to_account_data() == {"global": rules.to_json()}

    @pytest.mark.parametrize(
        "stored",
        [
            {"override": 5},
            {"override": [5, {}, {"rule_id": 5}, {"rule_id": "x"}, {"rule_id": "x", "actions": 5}]},
            {"override": [{"rule_id": "x", "actions": [], "conditions": [5]}]},
            {"override": [{"rule_id": "x", "actions": [], "conditions": 5}]},
            {"override": [{"rule_id": ".m.rule.gone", "actions": []}]},
            {"override": [{"rule_id": ".m.rule.master", "actions": 5, "enabled": 5}]},
            {"content": [{"rule_id": "x", "actions": []}]},
        ],
    )
    def test_that_are_malformed_or_gone_vanish(self, stored: Mapping[str, Any]) -> None:
        assert RuleSet.from_json(stored, ME) == DEFAULT

    def test_given_twice_count_once(self) -> None:
        entries = [{"rule_id": rule_id, "actions": [rule_id]} for rule_id in ("a", "b", "a")]
        rules = RuleSet.from_json({"room": entries}, ME)
        assert [rule.rule_id for rule in rules.room] == ["a", "b"]
