"""Two servers, and one with whatever peers a test plants."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.federation.stacks import A, B, Net, Stack
from watchword.base.clock import ManualClock
from watchword.protocol.ids import ServerName


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
async def a_stack(tmp_path: Path, net: Net, clock: ManualClock) -> AsyncIterator[Callable[..., Awaitable[Stack]]]:
    stacks: list[Stack] = []

    async def build(name: ServerName = A, **settings: Any) -> Stack:
        stack = await Stack.build(tmp_path, name, net, clock, **settings)
        stacks.append(stack)
        return stack

    yield build
    for stack in stacks:
        await stack.close()


@pytest.fixture
async def two(a_stack: Callable[..., Awaitable[Stack]]) -> tuple[Stack, Stack]:
    return await a_stack(A), await a_stack(B)
