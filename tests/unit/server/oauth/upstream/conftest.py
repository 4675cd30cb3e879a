"""A provider on loopback, and worlds whose users may sign in there."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.oauth.upstream.provider import OpenIdProvider, running
from tests.unit.server.oauth.world import BASE, SERVER, World, open_world
from watchword.base.clock import ManualClock
from watchword.edge.addresses import AddressPolicy
from watchword.edge.dns import SrvRecord
from watchword.edge.fetch import Fetcher
from watchword.server.accounts.commands import IdentityProvider
from watchword.server.oauth.commands import OAuthSettings


class NoNames:
    """A resolver without names: the provider is at an address."""

    async def addresses(self, host: str) -> Sequence[str]:
        return ()

    async def srv(self, name: str) -> Sequence[SrvRecord]:
        return ()


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    found = Fetcher(NoNames(), AddressPolicy(["127.0.0.0/8"]), plain_http=True)
    yield found
    await found.close()


@pytest.fixture
async def provider() -> AsyncIterator[OpenIdProvider]:
    async with running(ManualClock()) as found:
        yield found


WorldOpener = Callable[..., Awaitable[World]]


@pytest.fixture
async def worlds_beside(tmp_path: Path, provider: OpenIdProvider, fetcher: Fetcher) -> AsyncIterator[WorldOpener]:
    """Opens worlds that know the provider; names are settings of it."""
    opened: list[World] = []

    async def open_one(accounts: dict[str, Any] | None = None, **changed: Any) -> World:
        settings = OAuthSettings(SERVER, BASE, (provider.settings(**changed),))
        shown = (IdentityProvider("idp", "Elsewhere"),)
        world = await open_world(tmp_path, settings=settings, fetcher=fetcher, identity_providers=shown, **(accounts or {}))
        opened.append(world)
        return world

    yield open_one
    for world in opened:
        await world.close()
