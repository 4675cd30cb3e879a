from typing import Any

import pytest

from watchword.protocol.ids import UserId
from watchword.protocol.invite_permission import EVERYBODY, InvitePermission, Verdict

SENDER = UserId("@friend:good.example:8448")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, Verdict.ALLOW),
        ({"default_action": "allow"}, Verdict.ALLOW),
        ({"default_action": "block"}, Verdict.BLOCK),
        ({"default_action": 5}, Verdict.ALLOW),
        ({"default_action": "block", "allowed_users": [SENDER]}, Verdict.ALLOW),
        ({"default_action": "block", "allowed_servers": ["good.example"]}, Verdict.ALLOW),
        ({"blocked_servers": ["*"]}, Verdict.BLOCK),
    ],
)
def test_the_default_action_holds_for_those_whom_no_rule_names(content: dict[str, Any], expected: Verdict) -> None:
    assert InvitePermission.of(content, None).judge(SENDER) is expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"blocked_users": ["@friend:*"]}, Verdict.BLOCK_BY_FILTER),
        ({"ignored_users": ["@fr?end:*"]}, Verdict.IGNORE),
        ({"blocked_servers": ["good.example:8448"]}, Verdict.BLOCK_BY_FILTER),
        ({"blocked_servers": ["GOOD.*"]}, Verdict.BLOCK_BY_FILTER),
        ({"ignored_servers": ["good.example"]}, Verdict.IGNORE),
        ({"allowed_users": ["*"], "ignored_users": ["*"], "blocked_users": ["*"]}, Verdict.ALLOW),
        ({"ignored_users": ["*"], "blocked_users": ["*"]}, Verdict.IGNORE),
        ({"blocked_users": ["*"], "allowed_servers": ["*"]}, Verdict.BLOCK_BY_FILTER),
        ({"allowed_users": ["*"], "blocked_servers": ["*"]}, Verdict.ALLOW),
        ({"ignored_servers": ["*"], "blocked_servers": ["*"]}, Verdict.IGNORE),
        ({"enabled": False, "blocked_users": ["*"]}, Verdict.ALLOW),
        ({"enabled": True, "blocked_users": ["*"]}, Verdict.BLOCK_BY_FILTER),
        ({"blocked_users": "*"}, Verdict.ALLOW),
        ({"blocked_users": [5]}, Verdict.ALLOW),
    ],
)
def test_users_are_judged_before_servers_and_allowed_before_ignored_before_blocked(
    content: dict[str, Any], expected: Verdict
) -> None:
    assert InvitePermission.of(None, content).judge(SENDER) is expected


def test_a_door_that_is_shut_is_not_opened_by_the_older_form() -> None:
    permission = InvitePermission.of({"default_action": "block"}, {"allowed_users": ["*"]})
    assert permission.judge(SENDER) is Verdict.BLOCK


def test_both_forms_hold_together_otherwise() -> None:
    permission = InvitePermission.of({"default_action": "allow"}, {"blocked_users": ["*"]})
    assert permission.judge(SENDER) is Verdict.BLOCK_BY_FILTER


def test_stored_invites_of_the_blocked_and_the_ignored_are_hidden() -> None:
    assert not EVERYBODY.hides(SENDER)
    assert InvitePermission.of({"default_action": "block"}, None).hides(SENDER)
    assert InvitePermission.of(None, {"ignored_users": ["*"]}).hides(SENDER)
    assert not InvitePermission.of(None, {"ignored_users": ["@else:*"]}).hides(SENDER)
