"""Hashing: right and wrong, nobody's, and the bound of the queue."""

import asyncio
from collections.abc import Iterator

import pytest

from watchword.base.clock import ManualClock
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import LimitExceeded
from watchword.server.accounts.commands import AccountSettings
from watchword.server.accounts.passwords import FailedLogins, Passwords


@pytest.fixture
def passwords(settings: AccountSettings) -> Iterator[Passwords]:
    made = Passwords(settings, SeededEntropy(1))
    yield made
    made.close()


async def test_a_password_fits_its_own_hash_only(passwords: Passwords) -> None:
    stored = await passwords.hash("пароль 🗝")
    assert stored.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert await passwords.is_correct(stored, "пароль 🗝")
    assert not await passwords.is_correct(stored, "пароль")
    assert await passwords.hash("пароль 🗝") != stored


async def test_nobodys_password_is_never_right(passwords: Passwords) -> None:
    assert not await passwords.is_correct(None, "anything")
    assert not await passwords.is_correct("garbage", "anything")
    assert not await passwords.is_correct(await passwords.hash("x"), "x" * 2_000)


async def test_lone_surrogates_are_hashed_like_anything_else(passwords: Passwords) -> None:
    assert await passwords.is_correct(await passwords.hash("\ud800"), "\ud800")


async def test_the_queue_is_bounded(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchword.base.limits.password_queue_max", 3)
    results = await asyncio.gather(*(passwords.hash("x") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(result, LimitExceeded) for result in results) == 2
    assert await passwords.hash("x")


def test_failures_are_counted_per_user_and_address_in_a_window() -> None:
    clock = ManualClock()
    failures = FailedLogins(clock, 2)
    failures.note("@a:x", "1")
    failures.check("@a:x", "1")
    failures.note("@a:x", "1")
    with pytest.raises(LimitExceeded):
        failures.check("@a:x", "1")
    failures.check("@a:x", "2")
    failures.check("@b:x", "1")
    clock.advance(300_000)
    failures.check("@a:x", "1")
    failures.note("@a:x", "1")
    failures.check("@a:x", "1")


def test_counting_can_be_off_and_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    off = FailedLogins(ManualClock(), 0)
    off.note("@a:x", "1")
    off.check("@a:x", "1")
    monkeypatch.setattr("watchword.base.limits.failed_logins_tracked_max", 1)
    few = FailedLogins(ManualClock(), 1)
    few.note("@a:x", "1")
    few.note("@b:x", "1")
    few.check("@a:x", "1")
    with pytest.raises(LimitExceeded):
        few.check("@b:x", "1")
