import asyncio

from watchword.base.clock import ManualClock, SystemClock


async def test_a_manual_clock_wakes_sleepers_in_order_when_their_time_comes() -> None:
    clock, woken = ManualClock(now_ms=1_000), list[str]()

    async def sleeper(name: str, duration_ms: int) -> None:
        await clock.sleep(duration_ms)
        woken.append(name)

    tasks = [asyncio.create_task(sleeper(name, ms)) for name, ms in (("late", 30), ("early", 10), ("never", 1_000))]
    await asyncio.sleep(0)
    assert clock.next_wake_ms() == 1_010
    clock.advance(50)
    await asyncio.gather(*tasks[:2])
    assert woken == ["early", "late"]
    assert (clock.now_ms(), clock.monotonic_ms(), clock.next_wake_ms()) == (1_050, 50, 2_000)
    tasks[2].cancel()
    await asyncio.wait(tasks)
    assert clock.next_wake_ms() is None


async def test_sleeping_for_nothing_gives_way_once() -> None:
    turns: list[int] = []

    async def other() -> None:
        turns.append(1)

    task = asyncio.create_task(other())
    await ManualClock().sleep(0)
    assert turns == [1]
    await task


async def test_the_system_clock_moves_on() -> None:
    clock = SystemClock()
    wall, before = clock.now_ms(), clock.monotonic_ms()
    await clock.sleep(2)
    assert clock.monotonic_ms() > before
    assert clock.now_ms() >= wall > 1_700_000_000_000
