import json
from pathlib import Path
from typing import Any

import pytest

from watchword.protocol.server_acl import ServerAcl

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "vectors" / "server-acl.json").read_text())


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: f"{case['server']}-{case['content']}")
def test_servers_are_allowed_as_the_rules_say(case: dict[str, Any]) -> None:
    assert ServerAcl.from_content(case["content"]).allows(case["server"]) is case["allowed"]


@pytest.mark.parametrize(
    ("glob", "server_name", "matches"),
    [
        ("*", "a.org", True),
        ("**", "a.org", True),
        ("?.org", "a.org", True),
        ("?.org", "ab.org", False),
        ("a*b*c", "a.b.c", True),
        ("a*b*c", "abbc", True),
        ("a*b*c", "acb", False),
        ("*a*", "bab", True),
        ("*aba", "abababa", True),
        ("ab*ba", "aba", False),
        ("a[b].org", "ab.org", False),
        ("a.c", "abc", False),
        ("(a+)+$", "aaa", False),
        ("\\?", "\\a", True),
        ("A.ORG", "a.org", True),
        ("[::1]", "[::1]:8448", True),
        ("x" * 300, "a.org", False),
        ("*" * 300 + "org", "a.org", True),
    ],
)
def test_globs_know_stars_and_question_marks_only(glob: str, server_name: str, matches: bool) -> None:
    assert ServerAcl.from_content({"allow": [glob]}).allows(server_name) is matches
    assert ServerAcl.from_content({"allow": ["*"], "deny": [glob]}).allows(server_name) is not matches


def test_entries_that_are_no_strings_are_ignored() -> None:
    acl = ServerAcl.from_content({"allow": [1, None, "*"], "deny": [{}, "b.org"]})
    assert acl.allows("a.org")
    assert not acl.allows("b.org")


def test_a_hostile_glob_costs_little() -> None:
    acl = ServerAcl.from_content({"allow": ["*a" * 120 + "*b", "*" + "?" * 200 + "*c", "*?" * 127 + "d"]})
    assert not acl.allows("a" * 255)


def test_ip_literals_are_allowed_unless_forbidden() -> None:
    assert ServerAcl.from_content({"allow": ["*"]}).allows("1.2.3.4:8448")
    assert not ServerAcl.from_content({"allow": ["*"], "allow_ip_literals": False}).allows("1.2.3.4:8448")
    assert ServerAcl.from_content({"allow": ["*"], "allow_ip_literals": False}).allows("a.org")
