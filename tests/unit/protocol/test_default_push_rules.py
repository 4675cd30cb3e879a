import json
from pathlib import Path
from typing import Any

from watchword.protocol.default_push_rules import DEFAULTS, conditions_for, predefined
from watchword.protocol.push_rules import RuleSet

VECTORS = Path(__file__).parents[2] / "data" / "vectors"
ME = "@me:hs"
KINDS = ("override", "content", "room", "sender", "underride")


def ids(rules: list[dict[str, Any]]) -> list[str]:
    return [rule["rule_id"] for rule in rules]


def test_the_predefined_rules_are_those_of_the_specification_in_its_order() -> None:
    specified = json.loads((VECTORS / "default-push-rules.json").read_text().replace("{user_id}", ME))
    found = RuleSet.default(ME).to_json()
    known = {rule["rule_id"] for kind in KINDS for rule in specified[kind]}
    for kind in KINDS:
        assert [rule for rule in found[kind] if rule["rule_id"] in known] == specified[kind]


def test_beyond_the_specification_there_are_polls_and_threads() -> None:
    specified = json.loads((VECTORS / "default-push-rules.json").read_text())
    known = {rule["rule_id"] for kind in KINDS for rule in specified[kind]}
    found = RuleSet.default(ME).to_json()
    polls = [
        f"{prefix}.rule.poll_{name}"
        for prefix in (".m", ".org.matrix.msc3930")
        for name in ("start_one_to_one", "start", "end_one_to_one", "end")
    ]
    assert [rule for rule in ids(found["override"]) if rule not in known] == [
        ".m.rule.poll_response",
        ".org.matrix.msc3930.rule.poll_response",
    ]
    assert [rule for rule in ids(found["underride"]) if rule not in known] == polls
    threads = [f".io.element.msc4306.rule.{name}subscribed_thread" for name in ("un", "")]
    assert ids(found["postcontent"]) == threads
    assert found["content"] == found["room"] == found["sender"] == []


def test_the_rules_on_polls_stand_where_the_proposal_puts_them() -> None:
    override, underride = (ids(RuleSet.default(ME).to_json()[kind]) for kind in ("override", "underride"))
    assert override.index(".m.rule.poll_response") == override.index(".m.rule.room.server_acl") + 1
    assert underride.index(".m.rule.poll_start_one_to_one") == underride.index(".m.rule.encrypted") + 1


def test_an_operator_may_wake_devices_for_everything_encrypted() -> None:
    rules = RuleSet.default(ME, predefined(encrypted_events=True)).to_json()["override"]
    assert ids(rules)[:2] == [".m.rule.master", ".org.matrix.msc4028.encrypted_event"]


def test_an_operator_may_highlight_replies() -> None:
    rules = ids(RuleSet.default(ME, predefined(replies=True)).to_json()["override"])
    assert rules.index(".im.nheko.msc3664.reply") == rules.index(".m.rule.is_user_mention") - 1


def test_the_owner_stands_in_the_conditions() -> None:
    invite = next(rule for rule in DEFAULTS["override"] if rule.rule_id == ".m.rule.invite_for_me")
    assert conditions_for(invite, ME)[-1] == {"kind": "event_match", "key": "state_key", "pattern": ME}
