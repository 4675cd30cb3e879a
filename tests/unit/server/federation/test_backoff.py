"""Leaving servers alone."""

from collections.abc import Awaitable, Callable

import pytest

from tests.unit.server.federation.stacks import A, B, Stack
from watchword.base.clock import ManualClock
from watchword.base.entropy import SeededEntropy
from watchword.base.errors import PeerError
from watchword.server.federation.backoff import Backoff
from watchword.server.federation.settings import FederationSettings


@pytest.fixture
async def backoff(a_stack: Callable[..., Awaitable[Stack]]) -> Backoff:
    return (await a_stack(A)).out.backoff


async def test_the_wait_doubles_up_to_a_bound(backoff: Backoff, clock: ManualClock) -> None:
    waits = []
    for _ in range(16):
        clock.advance(backoff.wait_ms(B))
        await backoff.failed(backoff.begin(B))
        waits.append(backoff.wait_ms(B))
    assert 1_500 <= waits[0] <= 2_500
    assert 2.0 <= waits[2] / waits[0] <= 7
    assert max(waits) <= 3_600_000 * 1.25
    assert waits[-1] >= 3_600_000 * 0.75


async def test_calls_that_fail_together_count_once(backoff: Backoff) -> None:
    attempts = [backoff.begin(B) for _ in range(5)]
    for attempt in attempts:
        await backoff.failed(attempt)
    assert backoff.failures(B) == 1


async def test_a_server_in_its_wait_is_not_asked_unless_it_must_be(backoff: Backoff, clock: ManualClock) -> None:
    await backoff.failed(backoff.begin(B))
    with pytest.raises(PeerError) as refused:
        backoff.begin(B)
    assert refused.value.retry_after_ms == backoff.wait_ms(B)
    backoff.begin(B, patient=False)
    clock.advance(3_000)
    backoff.begin(B)


async def test_a_pause_that_is_asked_for_is_kept_within_bounds(backoff: Backoff) -> None:
    await backoff.failed(backoff.begin(B), wait_ms=100_000)
    assert backoff.wait_ms(B) == 100_000
    await backoff.failed(backoff.begin(B, patient=False), wait_ms=10**12)
    assert backoff.wait_ms(B) == 3_600_000


async def test_success_and_hearing_from_it_end_the_wait_and_are_told(backoff: Backoff) -> None:
    told: list[str] = []
    backoff.listen(told.append)
    backoff.heard_from(B)
    await backoff.succeeded(B)
    assert not told
    await backoff.failed(backoff.begin(B))
    backoff.heard_from(B)
    backoff.heard_from(B)
    assert (backoff.wait_ms(B), backoff.failures(B), told) == (0, 1, [B])
    await backoff.succeeded(B)
    assert (backoff.failures(B), backoff.failing_since_ts(B), told) == (0, None, [B, B])


async def test_it_survives_a_restart(a_stack: Callable[..., Awaitable[Stack]], clock: ManualClock) -> None:
    stack = await a_stack(A)
    await stack.out.backoff.failed(stack.out.backoff.begin(B))
    born = Backoff(stack.database, FederationSettings(A), clock, SeededEntropy(3))
    await born.start()
    assert (born.failures(B), born.wait_ms(B)) == (1, stack.out.backoff.wait_ms(B))
    await born.succeeded(B)
    again = Backoff(stack.database, FederationSettings(A), clock, SeededEntropy(3))
    await again.start()
    assert again.failures(B) == 0


async def test_a_server_that_talks_but_does_not_answer_is_not_tried_at_its_every_word(
    backoff: Backoff, clock: ManualClock
) -> None:
    told: list[str] = []
    backoff.listen(told.append)
    for _ in range(50):
        backoff.heard_from(B)
        if not backoff.wait_ms(B):
            await backoff.failed(backoff.begin(B))
        clock.advance(1_000)
    assert 4 <= len(told) <= 6


async def test_an_administrator_sees_who_does_not_answer_and_ends_the_wait(backoff: Backoff, clock: ManualClock) -> None:
    woken: list[str] = []
    backoff.listen(woken.append)
    assert not backoff.retry_now(B)
    assert await backoff.destination(B) is None
    await backoff.failed(backoff.begin(B))
    (found,) = await backoff.destinations("", 10)
    assert (found.server_name, found.failures, found.failing_since_ts) == (B, 1, clock.now_ms())
    assert await backoff.destinations(B, 10) == []
    assert backoff.retry_now(B)
    assert (backoff.wait_ms(B), woken) == (0, [B])
    await backoff.succeeded(B)
    (found,) = await backoff.destinations("", 10)
    assert (found.failures, found.last_success_ts) == (0, clock.now_ms())
    found_alone = await backoff.destination(B)
    assert found_alone == found


async def test_a_server_that_waits_for_our_answer_may_be_asked(backoff: Backoff) -> None:
    await backoff.failed(backoff.begin(B))
    with backoff.speaking(B):
        with backoff.speaking(B):
            backoff.begin(B)
        backoff.begin(B)
    with pytest.raises(PeerError):
        backoff.begin(B)
