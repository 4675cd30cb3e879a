"""How often one user, address or server may ask: a token bucket for each (rate, key), in bounded memory.

A bucket that is forgotten is a full bucket, so forgetting the one that was unused longest never punishes anybody.
Deliberately absent: who the key is; the router knows.

Spec: client-server-api#rate-limiting
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from watchword.base import limits
from watchword.base.clock import Clock
from watchword.base.config import RateLimits
from watchword.base.errors import LimitExceeded
from watchword.edge.endpoint import Rate


@dataclass(frozen=True, slots=True)
class Allowance:
    """A bucket's size and how fast it fills: burst requests at once, per_second in the long run."""

    per_second: float
    burst: int


class RateLimiter:
    """Draws from buckets. A rate without an allowance is unlimited; so is everything for an empty mapping."""

    def __init__(
        self, allowances: Mapping[Rate, Allowance], clock: Clock, *, buckets_max: int = limits.rate_buckets_max
    ) -> None:
        self._allowances = dict(allowances)
        self._clock = clock
        self._buckets_max = buckets_max
        # When the bucket would be full again, in monotonic ms: one number says how full it is now.
        self._full_at: OrderedDict[tuple[Rate, str], float] = OrderedDict()

    def take(self, rate: Rate, key: str) -> None:
        """Draw one request. Raises LimitExceeded with the time until one fits."""
        allowance = self._allowances.get(rate)
        if allowance is None:
            return
        now = self._clock.monotonic_ms()
        one_ms = 1000.0 / allowance.per_second
        bucket = (rate, key)
        full_at = max(self._full_at.get(bucket, 0.0), now) + one_ms
        late_ms = full_at - now - allowance.burst * one_ms
        # The margin keeps rounding from refusing the request that comes exactly when it was told to.
        if late_ms > 0.001:
            raise LimitExceeded(max(1, int(-(-late_ms // 1))))
        self._full_at[bucket] = full_at
        self._full_at.move_to_end(bucket)
        if len(self._full_at) > self._buckets_max:
            self._full_at.popitem(last=False)

    def forget(self, key: str) -> None:
        """Fill every bucket of a key (an administrator's wish)."""
        for rate in self._allowances:
            self._full_at.pop((rate, key), None)

    def __len__(self) -> int:
        return len(self._full_at)


def allowances(settings: RateLimits) -> Mapping[Rate, Allowance]:
    """What the configuration allows; nothing is limited where it says so."""
    if not settings.enabled:
        return UNLIMITED
    rows = {rate: getattr(settings, rate.value) for rate in Rate if rate is not Rate.NONE}
    return {rate: Allowance(row.per_second, row.burst) for rate, row in rows.items()}


UNLIMITED: Mapping[Rate, Allowance] = {}
