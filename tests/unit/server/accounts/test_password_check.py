"""Whose password it is."""

import asyncio
from typing import Any

import pytest

from watchword.base.errors import LimitExceeded
from watchword.edge.request import Request
from watchword.protocol.ids import UserId

ALICE = UserId("@alice:here.example")


async def test_it_finds_the_account_and_nobody_else(house: Any) -> None:
    await house.user("alice")
    check = house.accounts.logins.password_check
    request = Request("POST", "/", client_address="192.0.2.1")
    assert (await check.account(request, ALICE, "correct horse")).user_id == ALICE
    assert await check.account(request, ALICE, "wrong") is None
    assert await check.account(request, None, "correct horse") is None
    assert await check.account(request, UserId("@nobody:here.example"), "correct horse") is None


async def test_guesses_at_names_that_do_not_exist_count_too(house: Any) -> None:
    check = house.accounts.logins.password_check
    request = Request("POST", "/", client_address="192.0.2.1")
    for _ in range(10):
        assert await check.account(request, UserId("@nobody:here.example"), "x") is None
    with pytest.raises(LimitExceeded):
        await check.account(request, UserId("@nobody:here.example"), "x")


async def test_guesses_made_at_the_same_time_count_as_well(house: Any) -> None:
    await house.user("alice")
    check = house.accounts.logins.password_check
    request = Request("POST", "/", client_address="192.0.2.1")
    guesses = (check.account(request, ALICE, f"guess {n}") for n in range(30))
    results = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(result, LimitExceeded) for result in results) == 20


async def test_right_passwords_do_not_count(house: Any) -> None:
    await house.user("alice")
    check = house.accounts.logins.password_check
    request = Request("POST", "/", client_address="192.0.2.1")
    for _ in range(9):
        assert await check.account(request, ALICE, "wrong") is None
    for _ in range(5):
        assert await check.account(request, ALICE, "correct horse") is not None
    assert await check.account(request, ALICE, "wrong") is None
    with pytest.raises(LimitExceeded):
        await check.account(request, ALICE, "correct horse")


async def test_a_full_queue_is_not_the_users_failure(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.user("alice")
    check = house.accounts.logins.password_check
    request = Request("POST", "/", client_address="192.0.2.1")
    with monkeypatch.context() as full:
        full.setattr("watchword.base.limits.password_queue_max", 0)
        for _ in range(10):
            with pytest.raises(LimitExceeded):
                await check.account(request, ALICE, "correct horse")
    assert await check.account(request, ALICE, "correct horse") is not None
