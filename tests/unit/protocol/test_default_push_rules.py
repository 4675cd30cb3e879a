import json
from pathlib import Path

from watchword.protocol.default_push_rules import DEFAULTS, conditions_for
from watchword.protocol.push_rules import RuleSet

VECTORS = Path(__file__).parents[2] / "data" / "vectors"
ME = "@me:hs"


def test_the_predefined_rules_are_those_of_the_specification() -> None:
    specified = json.loads((VECTORS / "default-push-rules.json").read_text().replace("{user_id}", ME))
    kinds = ("override", "content", "room", "sender", "underride")
    assert RuleSet.default(ME).to_json() == {kind: specified[kind] for kind in kinds}


def test_the_owner_stands_in_the_conditions() -> None:
    invite = next(rule for rule in DEFAULTS["override"] if rule.rule_id == ".m.rule.invite_for_me")
    assert conditions_for(invite, ME)[-1] == {"kind": "event_match", "key": "state_key", "pattern": ME}
