"""A homeserver on loopback, and a device that is signed in there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.client.homeserver import TOKEN, Homeserver, listening
from watchword.base.clock import SystemClock
from watchword.base.entropy import SystemEntropy
from watchword.client.session import Session
from watchword.client.wire import ClientSettings


@pytest.fixture
async def homeserver() -> AsyncIterator[Homeserver]:
    async with listening(Homeserver()) as server:
        yield server


@pytest.fixture
async def alice(homeserver: Homeserver, tmp_path: Path) -> AsyncIterator[Session]:
    """Signed in, with nothing running: every step is the test's."""
    settings = ClientSettings(homeserver.url, tmp_path / "alice.db", b"k" * 32)
    session = await Session.register(settings, "alice", "pw", SystemClock(), SystemEntropy(), registration_token=TOKEN)
    yield session
    await session.close()
