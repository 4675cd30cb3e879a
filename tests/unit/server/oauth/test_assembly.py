"""OAuth put together."""

import asyncio

from tests.unit.server.oauth.world import World, authorize_url


async def test_what_has_expired_is_forgotten_now_and_then(world: World) -> None:
    await world.user()
    client_id = await world.client()
    browser = await world.browser().sign_in()
    await browser.get(authorize_url(client_id))
    await browser.submit(answer="allow")
    running = asyncio.ensure_future(world.oauth.run())
    for _ in range(100):
        await asyncio.sleep(0.01)
        if world.clock.next_wake_ms() is not None:
            break
    world.clock.advance(7_300_000)
    for _ in range(200):
        await asyncio.sleep(0.01)
        async with world.database.read() as tx:
            if await tx.fetch_one("SELECT client_id FROM oauth_codes") is None:
                break
    else:
        raise AssertionError("the code is still there")
    running.cancel()
