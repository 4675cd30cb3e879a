"""To whom what may be done."""

from dataclasses import replace

import pytest

from watchword.protocol.ids import UserId
from watchword.server.accounts.commands import Account
from watchword.server.admin.decide import ADMINS_TOO, ANYBODY, ONESELF_TOO, OTHERS, Reach, target_refusal

ALICE = Account(UserId("@alice:here.example"), None, 0)
ADMIN = replace(ALICE, is_admin=True)
GONE = replace(ALICE, is_deactivated=True)


def _errcode(reach: Reach, target: Account | None, *, is_local: bool = True, is_self: bool = False) -> str | None:
    refused = target_refusal(reach, is_local=is_local, is_self=is_self, target=target)
    return None if refused is None else refused.errcode


@pytest.mark.parametrize("reach", [ANYBODY, OTHERS, ONESELF_TOO, ADMINS_TOO])
def test_ordinary_users_of_this_server_are_within_every_reach(reach: Reach) -> None:
    assert _errcode(reach, ALICE) is None
    assert _errcode(reach, ALICE, is_local=False) == "M_INVALID_PARAM"
    assert _errcode(reach, None) == "M_NOT_FOUND"


def test_other_administrators_are_within_reach_only_where_it_says_so() -> None:
    assert [_errcode(reach, ADMIN) for reach in (ANYBODY, ADMINS_TOO)] == [None, None]
    assert [_errcode(reach, ADMIN) for reach in (OTHERS, ONESELF_TOO)] == ["M_FORBIDDEN", "M_FORBIDDEN"]


def test_one_is_within_ones_own_reach_only_where_it_says_so() -> None:
    assert [_errcode(reach, ADMIN, is_self=True) for reach in (ANYBODY, ONESELF_TOO)] == [None, None]
    assert [_errcode(reach, ADMIN, is_self=True) for reach in (OTHERS, ADMINS_TOO)] == ["M_FORBIDDEN", "M_FORBIDDEN"]


def test_who_is_deactivated_can_only_be_looked_at() -> None:
    assert _errcode(ANYBODY, GONE) is None
    assert {_errcode(reach, GONE) for reach in (OTHERS, ONESELF_TOO, ADMINS_TOO)} == {"M_NOT_FOUND"}
