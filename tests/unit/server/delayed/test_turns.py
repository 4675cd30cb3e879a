"""One at a time for each name."""

import asyncio
from contextlib import suppress

from watchword.server.delayed.turns import Turns


async def test_who_comes_second_waits_for_the_first_of_the_same_name() -> None:
    turns, order = Turns(), []

    async def take(name: str, mark: str) -> None:
        async with turns.of(name):
            order.append(f"{mark} in")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            order.append(f"{mark} out")

    await asyncio.gather(take("a", "1"), take("a", "2"), take("b", "3"))
    assert order.index("2 in") > order.index("1 out")
    assert order.index("3 in") < order.index("1 out")


async def test_nothing_is_kept_of_those_who_are_through() -> None:
    turns = Turns()
    with suppress(ValueError):
        async with turns.of("a"):
            assert len(turns) == 1
            raise ValueError
    assert len(turns) == 0
