import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from watchword.base.clock import ManualClock
from watchword.base.errors import PeerError
from watchword.protocol.ids import ServerName
from watchword.server.e2ee.within import ask_all

FAST, SLOW, DOWN = ServerName("fast"), ServerName("slow"), ServerName("down")


async def fast() -> Mapping[str, Any]:
    return {"from": "fast"}


async def slow() -> Mapping[str, Any]:
    await asyncio.Event().wait()
    return {}


async def down() -> Mapping[str, Any]:
    raise PeerError("down", "down")


async def test_who_answers_in_time_is_heard_and_nobody_is_waited_for_longer() -> None:
    clock = ManualClock()
    asking = asyncio.ensure_future(ask_all(clock, 1_000, {FAST: fast, SLOW: slow, DOWN: down}))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not asking.done()
    clock.advance(1_000)
    answers = await asking
    assert answers[FAST] == {"from": "fast"}
    assert isinstance(answers[SLOW], PeerError)
    assert isinstance(answers[DOWN], PeerError)


async def test_when_all_have_answered_the_time_is_not_waited_out() -> None:
    assert await ask_all(ManualClock(), 1_000, {FAST: fast}) == {FAST: {"from": "fast"}}
    assert await ask_all(ManualClock(), 1_000, {}) == {}


async def test_a_bug_is_not_taken_for_a_server_that_is_down() -> None:
    async def bug() -> Mapping[str, Any]:
        raise KeyError

    with pytest.raises(ExceptionGroup):
        await ask_all(ManualClock(), 1_000, {FAST: bug})
