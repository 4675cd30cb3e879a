import pytest

from watchword.base.clock import ManualClock
from watchword.base.config import RateLimits
from watchword.base.errors import LimitExceeded
from watchword.edge.endpoint import Rate
from watchword.edge.rate_limits import Allowance, RateLimiter, allowances


def a_limiter(burst: int = 3, per_second: float = 2, **more: int) -> tuple[RateLimiter, ManualClock]:
    clock = ManualClock()
    return RateLimiter({Rate.WRITE: Allowance(per_second, burst)}, clock, **more), clock


def test_a_burst_passes_and_the_next_request_is_told_when_to_come_back() -> None:
    limiter, clock = a_limiter()
    for _ in range(3):
        limiter.take(Rate.WRITE, "@a")
    with pytest.raises(LimitExceeded) as refusal:
        limiter.take(Rate.WRITE, "@a")
    assert refusal.value.retry_after_ms == 500
    assert refusal.value.headers["Retry-After"] == "1"
    clock.advance(500)
    limiter.take(Rate.WRITE, "@a")


def test_a_refused_request_costs_nothing() -> None:
    limiter, clock = a_limiter(burst=1)
    limiter.take(Rate.WRITE, "@a")
    for _ in range(10):
        with pytest.raises(LimitExceeded):
            limiter.take(Rate.WRITE, "@a")
    clock.advance(500)
    limiter.take(Rate.WRITE, "@a")


def test_a_bucket_fills_to_its_burst_and_no_further() -> None:
    limiter, clock = a_limiter()
    clock.advance(1_000_000)
    for _ in range(3):
        limiter.take(Rate.WRITE, "@a")
    with pytest.raises(LimitExceeded):
        limiter.take(Rate.WRITE, "@a")


def test_one_user_does_not_use_up_what_another_may() -> None:
    limiter, _ = a_limiter(burst=1)
    limiter.take(Rate.WRITE, "@a")
    limiter.take(Rate.WRITE, "@b")


def test_a_rate_without_an_allowance_is_unlimited() -> None:
    limiter, _ = a_limiter(burst=1)
    for _ in range(100):
        limiter.take(Rate.READ, "@a")
    assert len(limiter) == 0


def test_memory_is_bounded_and_the_longest_unused_bucket_goes_first() -> None:
    limiter, _ = a_limiter(burst=1, buckets_max=2)
    for key in ("@a", "@b", "@c"):
        limiter.take(Rate.WRITE, key)
    assert len(limiter) == 2
    limiter.take(Rate.WRITE, "@a")
    with pytest.raises(LimitExceeded):
        limiter.take(Rate.WRITE, "@c")


def test_forgetting_a_key_fills_its_buckets() -> None:
    limiter, _ = a_limiter(burst=1)
    limiter.take(Rate.WRITE, "@a")
    limiter.forget("@a")
    limiter.take(Rate.WRITE, "@a")


def test_every_rate_is_configured() -> None:
    assert set(allowances(RateLimits())) == set(Rate) - {Rate.NONE}


def test_limits_can_be_switched_off() -> None:
    assert allowances(RateLimits(enabled=False)) == {}
