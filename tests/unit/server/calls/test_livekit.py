"""A LiveKit server that is there: it believes what we sign, and makes rooms."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import OctKey

from watchword.base.clock import ManualClock
from watchword.base.errors import PeerError
from watchword.edge.addresses import AddressPolicy
from watchword.edge.dns import StaticResolver
from watchword.edge.fetch import Fetcher
from watchword.server.calls.commands import LiveKitSettings
from watchword.server.calls.livekit import LiveKitServer, signed

SECRET = "a secret of thirty-two characters"


def read(token: str) -> dict[str, Any]:
    """What a token says, if it is signed with the key."""
    return dict(jwt.decode(token, OctKey.import_key(SECRET), algorithms=["HS256"]).claims)


@asynccontextmanager
async def livekit(status: int = 200) -> AsyncIterator[tuple[LiveKitServer, list[tuple[str, dict[str, Any]]]]]:
    """A LiveKit server on loopback: who came with which token, and asked for which room."""
    asked: list[tuple[str, dict[str, Any]]] = []

    async def create(request: web.Request) -> web.Response:
        asked.append((request.headers["authorization"].removeprefix("Bearer "), await request.json()))
        return web.json_response({"sid": "RM_x"}, status=status)

    app = web.Application()
    app.router.add_post("/twirp/livekit.RoomService/CreateRoom", create)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    fetcher = Fetcher(StaticResolver({}), AddressPolicy(["127.0.0.0/8"]), plain_http=True)
    settings = LiveKitSettings("ws://livekit.example", f"http://127.0.0.1:{port}/", "key", SECRET)
    try:
        yield LiveKitServer(settings, fetcher, ManualClock(1_000_000_000)), asked
    finally:
        await fetcher.close()
        await runner.cleanup()


async def test_a_room_is_made_by_who_may() -> None:
    async with livekit() as (server, asked):
        await server.ensure("room")
        ((token, body),) = asked
    assert body == {"name": "room"}
    claims = read(token)
    assert (claims["iss"], claims["video"]) == ("key", {"roomCreate": True})


async def test_a_media_server_that_refuses_is_an_error() -> None:
    async with livekit(500) as (server, _):
        with pytest.raises(PeerError):
            await server.ensure("room")


def test_what_is_signed_can_be_read_with_the_key_alone() -> None:
    settings = LiveKitSettings("wss://x", "https://x", "key", SECRET)
    assert read(signed(settings, {"sub": "who", "video": {"room": "r"}})) == {"sub": "who", "video": {"room": "r"}}
    with pytest.raises(Exception, match="signature"):
        jwt.decode(signed(settings, {}), OctKey.import_key("x" * 32), algorithms=["HS256"])
