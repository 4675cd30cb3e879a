"""How devices are shown."""

from typing import Any


async def test_a_device_shows_when_and_where_it_was_last_seen(house: Any) -> None:
    me = await house.user("alice", device_id="A", initial_device_display_name="Laptop")
    await house.call("GET", "/_matrix/client/v3/devices", by=me["access_token"], address="192.0.2.9")
    await house.accounts.last_seen.save()
    shown = await house.call("GET", "/_matrix/client/v3/devices/A", by=me["access_token"])
    assert shown.body == {
        "device_id": "A",
        "display_name": "Laptop",
        "last_seen_ts": house.clock.now_ms(),
        "last_seen_ip": "192.0.2.9",
    }


async def test_a_device_name_may_be_any_text(house: Any) -> None:
    me = await house.user("alice", device_id="a/b ü")
    path = "/_matrix/client/v3/devices/a%2Fb%20%C3%BC"
    assert (await house.call("GET", path, by=me["access_token"])).body["device_id"] == "a/b ü"
