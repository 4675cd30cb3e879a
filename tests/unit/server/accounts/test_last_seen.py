"""Sightings: batched, and written at the end."""

import asyncio
from typing import Any

WHOAMI = "/_matrix/client/v3/account/whoami"


async def test_sightings_are_written_every_minute_and_not_at_every_request(house: Any) -> None:
    me = await house.user("alice", device_id="A")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(house.accounts.last_seen.run())
        await asyncio.sleep(0)
        await house.call("GET", WHOAMI, by=me["access_token"], address="192.0.2.7")
        await house.call("GET", WHOAMI, by=me["access_token"], address="192.0.2.8")
        device = await house.accounts.reader.device("@alice:here.example", "A")
        assert device.last_seen_ts is None
        seen_ts = house.clock.now_ms()
        house.clock.advance(60_000)
        for _ in range(50):
            await asyncio.sleep(0.001)
        running.cancel()
    device = await house.accounts.reader.device("@alice:here.example", "A")
    assert (device.last_seen_ts, device.last_seen_ip, device.last_seen_agent) == (seen_ts, "192.0.2.7", "test")


async def test_an_application_service_without_a_device_is_not_noted(house: Any) -> None:
    await house.call("GET", WHOAMI, by="as_token")
    before = house.log.position
    await house.accounts.last_seen.save()
    assert house.log.position == before
