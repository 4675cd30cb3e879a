from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.edge.relay import Relay, a_relay
from tests.unit.server.push.world import ALICE, BOB, Gateway, PushWorld, open_push_world
from tests.unit.server.rooms.world import CAROL


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[PushWorld]:
    async with open_push_world(tmp_path) as opened:
        await opened.users(ALICE, BOB, CAROL)
        yield opened


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with Gateway().open() as opened:
        yield opened


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    async with a_relay() as opened:
        yield opened
