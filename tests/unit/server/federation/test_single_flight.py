"""One works, many wait."""

import asyncio

import pytest

from watchword.server.federation.single_flight import SingleFlight


async def test_work_is_done_once_and_again_when_asked_later() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    done: list[int] = []

    async def work() -> int:
        await asyncio.sleep(0)
        done.append(1)
        return len(done)

    assert await asyncio.gather(*(flights.run("k", work) for _ in range(5))) == [1] * 5
    assert await flights.run("k", work) == 2


async def test_everybody_hears_of_the_failure() -> None:
    flights: SingleFlight[str, int] = SingleFlight()

    async def work() -> int:
        await asyncio.sleep(0)
        raise ValueError("no")

    outcomes = await asyncio.gather(*(flights.run("k", work) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ValueError] * 3
    with pytest.raises(ValueError, match="no"):
        await flights.run("k", work)


async def test_a_waiter_takes_over_when_the_worker_is_cancelled() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    gate = asyncio.Event()

    async def stuck() -> int:
        await gate.wait()
        return 1

    async def quick() -> int:
        return 2

    first = asyncio.ensure_future(flights.run("k", stuck))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(flights.run("k", quick))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 2


async def test_a_waiter_that_gives_up_does_not_stop_the_work() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    gate = asyncio.Event()

    async def work() -> int:
        await gate.wait()
        return 1

    first = asyncio.ensure_future(flights.run("k", work))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(flights.run("k", work))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    gate.set()
    assert await first == 1
