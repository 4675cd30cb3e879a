import hashlib
from typing import Any

import pytest

from watchword.protocol import unpadded_base64
from watchword.protocol.policy_lists import PolicyRules, Rule, rule_of


def digest_of(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def hashed(text: str) -> str:
    return unpadded_base64.encode(digest_of(text))


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("m.policy.rule.user", {"entity": "@x:y", "recommendation": "m.ban"}, Rule("user", "@x:y")),
        ("m.room.rule.server", {"entity": "y", "recommendation": "org.matrix.mjolnir.ban"}, Rule("server", "y")),
        ("org.matrix.mjolnir.rule.room", {"entity": "!x", "recommendation": "m.takedown"}, Rule("room", "!x")),
        ("m.policy.rule.user", {"entity": "@x:y", "recommendation": "m.something"}, None),
        ("m.policy.rule.user", {"entity": "@x:y", "recommendation": ["m.ban"]}, None),
        ("m.policy.rule.user", {"entity": "", "recommendation": "m.ban"}, None),
        ("m.policy.rule.user", {"entity": 5, "recommendation": "m.ban"}, None),
        ("m.policy.rule.user", {}, None),
        ("m.room.name", {"entity": "@x:y", "recommendation": "m.ban"}, None),
        (
            "m.policy.rule.user",
            {"org.matrix.msc4205.hashes": {"sha256": hashed("@x:y")}, "recommendation": "m.ban"},
            Rule("user", None, digest_of("@x:y")),
        ),
        (
            "m.policy.rule.user",
            {"hashes": {"sha256": hashed("@x:y")}, "recommendation": "m.ban"},
            Rule("user", None, digest_of("@x:y")),
        ),
        ("m.policy.rule.user", {"hashes": {"sha256": "short"}, "recommendation": "m.ban"}, None),
        ("m.policy.rule.user", {"hashes": {"sha256": "!"}, "recommendation": "m.ban"}, None),
        ("m.policy.rule.user", {"hashes": {"sha256": 5}, "recommendation": "m.ban"}, None),
        ("m.policy.rule.user", {"hashes": [], "recommendation": "m.ban"}, None),
    ],
)
def test_a_rule_is_read_from_its_event(kind: str, content: dict[str, Any], expected: Rule | None) -> None:
    assert rule_of(kind, content) == expected


def test_users_are_banned_by_glob_by_hash_and_with_their_server() -> None:
    rules = PolicyRules(
        [Rule("user", "@spam*:x.example"), Rule("user", None, digest_of("@eve:y.example")), Rule("server", "*.bad")]
    )
    banned = [
        user
        for user in ("@spam1:x.example", "@ham:x.example", "@eve:y.example", "@eva:y.example", "@a:very.bad:8448")
        if rules.bans_user(user)
    ]
    assert banned == ["@spam1:x.example", "@eve:y.example", "@a:very.bad:8448"]


def test_servers_are_banned_whatever_their_port_and_case() -> None:
    rules = PolicyRules([Rule("server", "Bad.Example"), Rule("server", None, digest_of("worse.example"))])
    assert all(rules.bans_server(name) for name in ("bad.example", "BAD.example:8448", "worse.example:1"))
    assert not rules.bans_server("good.example")


def test_rooms_are_banned_by_what_they_are_called() -> None:
    rules = PolicyRules([Rule("room", "!one:*"), Rule("room", None, digest_of("!two"))])
    assert [room for room in ("!one:x", "!two", "!three") if rules.bans_room(room)] == ["!one:x", "!two"]


def test_no_rules_ban_nobody() -> None:
    rules = PolicyRules()
    assert not rules.bans_user("@a:b")
    assert not rules.bans_server("b")
    assert not rules.bans_room("!r")
