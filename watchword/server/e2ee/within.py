"""Waiting for several servers at once, and not for ever."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from watchword.base.clock import Clock
from watchword.base.errors import PeerError
from watchword.protocol.ids import ServerName

Answer = Mapping[str, Any] | PeerError


async def ask_all(
    clock: Clock, timeout_ms: int, questions: Mapping[ServerName, Callable[[], Awaitable[Mapping[str, Any]]]]
) -> Mapping[ServerName, Answer]:
    """Ask every server in parallel; whoever has not answered in time answers PeerError, as does one that fails."""
    answers: dict[ServerName, Answer] = {name: PeerError(name, "no answer in time") for name in questions}
    if not questions:
        return answers

    async def ask(name: ServerName) -> None:
        try:
            answers[name] = await questions[name]()
        except PeerError as error:
            answers[name] = error

    async with asyncio.TaskGroup() as group:
        asked = {group.create_task(ask(name)) for name in questions}
        timer = group.create_task(clock.sleep(timeout_ms))
        while asked and not timer.done():
            _, asked_and_timer = await asyncio.wait({*asked, timer}, return_when=asyncio.FIRST_COMPLETED)
            asked &= asked_and_timer
        for task in (*asked, timer):
            task.cancel()
    return answers
