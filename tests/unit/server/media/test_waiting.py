import asyncio

import pytest

from watchword.base import limits
from watchword.base.clock import ManualClock
from watchword.server.media.waiting import PendingWaiters, Turns


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_filling_a_name_wakes_everybody_who_waits_for_it() -> None:
    waiters = PendingWaiters(ManualClock())
    waiting = [asyncio.ensure_future(waiters.wait(name, 1_000)) for name in ("a", "a", "b")]
    await settle()
    waiters.fill("a")
    waiters.fill("unknown")
    await settle()
    assert [task.done() for task in waiting] == [True, True, False]
    waiters.fill("b")
    await asyncio.gather(*waiting)


async def test_waiting_ends_with_its_time() -> None:
    clock = ManualClock()
    waiting = asyncio.ensure_future(PendingWaiters(clock).wait("a", 1_000))
    await settle()
    clock.advance(1_000)
    await waiting


async def test_nobody_waits_beyond_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "media_waiters_max", 0)
    await PendingWaiters(ManualClock()).wait("a", 1_000_000)


async def test_turns_of_one_name_do_not_overlap_and_other_names_do_not_wait() -> None:
    turns = Turns()
    order: list[str] = []

    async def work(name: str, label: str) -> None:
        async with turns.turn(name):
            order.append(f"{label} in")
            await asyncio.sleep(0)
            order.append(f"{label} out")

    await asyncio.gather(work("a", "first"), work("a", "second"), work("b", "other"))
    assert order.index("first out") < order.index("second in")
    assert order.index("other in") < order.index("first out")
    await work("a", "again")
    assert order[-1] == "again out"
