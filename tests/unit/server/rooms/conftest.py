from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World, open_world


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    made = Network()
    yield made
    for stack in made.stacks.values():
        await stack.database.close()


@pytest.fixture
async def a(network: Network, tmp_path: Path) -> Stack:
    return await Stack.start(network, tmp_path, "a.example", "alice", "anna")


@pytest.fixture
async def b(network: Network, tmp_path: Path) -> Stack:
    return await Stack.start(network, tmp_path, "b.example", "bob", "bea")


@pytest.fixture
async def c(network: Network, tmp_path: Path) -> Stack:
    return await Stack.start(network, tmp_path, "c.example", "carol", "carl")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        await opened.users(ALICE, BOB, CAROL)
        yield opened
