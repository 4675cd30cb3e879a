"""What a fuzz target is, and how long it is fed: examples of Hypothesis under a seed, until the time is over.

A target is one parser, what it is fed, and the exceptions that it may raise; any other is a bug, and so is an assertion of
the target itself (what was read must be written again as it was, say). What failed is shrunk and printed with its seed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

_BATCH = 200


@dataclass(frozen=True)
class Target:
    """One parser. feed: what to give it; check: gives it; allowed: what it may raise."""

    name: str
    feed: st.SearchStrategy[Any]
    check: Callable[[Any], object]
    allowed: tuple[type[Exception], ...] = ()

    def run(self, number: int, examples: int = _BATCH) -> None:
        """Feed it examples under one seed. Raises whatever it should not have raised."""

        @seed(number)
        @settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(self.feed)
        def feed(value: Any) -> None:
            try:
                self.check(value)
            except self.allowed:
                return

        feed()

    def run_for(self, seconds: float, first_seed: int) -> tuple[int, int]:
        """Feed it seed after seed; (seeds, the last one). A failure names its seed."""
        end = time.monotonic() + seconds
        number = first_seed
        while True:
            try:
                self.run(number)
            except Exception as error:
                error.add_note(f"again with: python -m tests.fuzz --seed {number} --batches 1 {self.name}")
                raise
            if time.monotonic() >= end:
                return number - first_seed + 1, number
            number += 1
