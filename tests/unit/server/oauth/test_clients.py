"""Clients that register, again and again, and are forgotten."""

from typing import Any

import pytest

from tests.unit.server.oauth.world import WEB_CLIENT, World, authorize_url
from watchword.base import limits
from watchword.base.errors import LimitExceeded
from watchword.server.oauth.clients import client_title
from watchword.server.oauth.commands import OAuthRefusal


async def test_the_same_metadata_is_the_same_client(world: World) -> None:
    first = await world.client()
    assert await world.client() == first
    assert await world.client(client_name="Another") != first


async def test_a_client_is_found_with_what_it_registered(world: World) -> None:
    found = await world.oauth.clients.find(await world.client())
    assert found is not None
    assert found.metadata.client_name == "The Client"
    assert client_title(found) == "The Client"
    nameless = await world.oauth.clients.find(await world.client(client_name=None))
    assert nameless is not None
    assert client_title(nameless) == "https://client.example/"
    assert await world.oauth.clients.find("unknown") is None
    assert await world.oauth.clients.find(None) is None
    with pytest.raises(OAuthRefusal):
        await world.oauth.clients.known("unknown")


async def test_clients_that_nobody_uses_are_forgotten(world: World) -> None:
    used, unused = await world.client(), await world.client(client_name="Unused")
    await world.signed_in(used)
    world.clock.advance(limits.oauth_client_unused_ms + 1)
    await world.oauth.clients.forget_unused()
    assert await world.oauth.clients.find(unused) is None
    assert await world.oauth.clients.find(used) is not None


async def test_the_number_of_clients_is_bounded(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "oauth_clients_max", 2)
    first = await world.client(client_name="1")
    world.clock.advance(1)
    await world.client(client_name="2")
    await world.client(client_name="3")
    assert await world.oauth.clients.find(first) is None
    await world.user()
    browser = await world.browser().sign_in()
    for name in ("2", "3"):
        await browser.get(authorize_url(await world.client(client_name=name)))
        await browser.submit(answer="allow")
    with pytest.raises(LimitExceeded):
        await world.oauth.clients.register({**WEB_CLIENT, "client_name": "4"})
