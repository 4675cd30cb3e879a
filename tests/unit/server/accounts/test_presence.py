"""Presence: who is seen how, and when that is news."""

import asyncio
from typing import Any

import pytest

from watchword.base import limits
from watchword.base.errors import BadRequest
from watchword.protocol.ids import UserId
from watchword.server.accounts.commands import PresenceState
from watchword.server.changes import PresenceChanged

ALICE = UserId("@alice:here.example")
STATUS = f"/_matrix/client/v3/presence/{ALICE}/status"


async def test_a_status_is_set_and_seen_by_those_who_share_a_room(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    bob = (await house.user("bob"))["access_token"]
    assert (await house.call("GET", STATUS, by=me)).body == {"presence": "offline"}
    assert (await house.call("PUT", STATUS, {"presence": "online", "status_msg": "here"}, by=me)).status == 200
    house.clock.advance(1_500)
    expected = {"presence": "online", "status_msg": "here", "last_active_ago": 1_500, "currently_active": True}
    assert (await house.call("GET", STATUS, by=me)).body == expected
    assert (await house.call("GET", STATUS, by=bob)).status == 403
    house.elsewhere.sharing.add(frozenset((ALICE, "@bob:here.example")))
    assert (await house.call("GET", STATUS, by=bob)).body == expected


async def test_a_new_name_or_picture_is_told_with_the_presence_of_whoever_was_seen(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    profile = f"/_matrix/client/v3/profile/{ALICE}"
    await house.call("PUT", f"{profile}/displayname", {"displayname": "A"}, by=me)
    await house.call("PUT", STATUS, {"presence": "online"}, by=me)
    assert "displayname" not in house.accounts.presence.content(ALICE)
    position = house.log.position
    await house.call("PUT", f"{profile}/displayname", {"displayname": "Alice"}, by=me)
    await house.call("PUT", f"{profile}/avatar_url", {"avatar_url": "mxc://here.example/a"}, by=me)
    await house.call("PUT", f"{profile}/m.tz", {"m.tz": "Europe/Berlin"}, by=me)
    assert [logged.change for logged in house.log.recent(position, house.log.position)].count(PresenceChanged(ALICE)) == 2
    content = house.accounts.presence.content(ALICE)
    assert (content["presence"], content["displayname"], content["avatar_url"]) == ("online", "Alice", "mxc://here.example/a")
    await house.call("PUT", STATUS, {"presence": "unavailable"}, by=me)
    await house.call("DELETE", f"{profile}/avatar_url", by=me)
    content = house.accounts.presence.content(ALICE)
    assert (content["presence"], content["displayname"], content.get("avatar_url")) == ("unavailable", "Alice", None)


async def test_nobody_sets_another_users_presence(house: Any) -> None:
    await house.user("alice")
    bob = (await house.user("bob"))["access_token"]
    assert (await house.call("PUT", STATUS, {"presence": "online"}, by=bob)).status == 403


@pytest.mark.parametrize("body", [{}, {"presence": "asleep"}, {"presence": 5}, {"presence": "online", "status_msg": 5}])
async def test_wrong_statuses_are_refused(house: Any, body: dict[str, Any]) -> None:
    me = (await house.user("alice"))["access_token"]
    assert (await house.call("PUT", STATUS, body, by=me)).status == 400


async def test_only_a_visible_change_is_news(house: Any) -> None:
    book = house.accounts.presence
    for _ in range(3):
        house.clock.advance(1_000)
        await book.seen(ALICE, "online")
    await book.seen(ALICE, "offline")
    assert await house.changes() == [PresenceChanged(ALICE)]
    with pytest.raises(BadRequest):
        await book.seen(ALICE, "asleep")


async def test_syncing_keeps_the_status_message(house: Any) -> None:
    book = house.accounts.presence
    await book.set(ALICE, "unavailable", "lunch")
    await book.seen(ALICE, "online")
    assert book.state(ALICE).status_msg == "lunch"


async def test_the_idle_become_unavailable_by_themselves(house: Any) -> None:
    book = house.accounts.presence
    async with asyncio.TaskGroup() as group:
        running = group.create_task(book.run())
        await book.seen(ALICE, "online")
        await asyncio.sleep(0)
        for _ in range(11):
            house.clock.advance(30_000)
            for _ in range(20):
                await asyncio.sleep(0.001)
        running.cancel()
    assert book.content(ALICE) == {"presence": "unavailable", "last_active_ago": 330_000, "currently_active": False}
    assert await house.changes() == [PresenceChanged(ALICE)] * 2


async def test_presence_can_be_off(houses: Any) -> None:
    house = await houses(presence=False)
    me = (await house.user("alice"))["access_token"]
    before = house.log.position
    assert (await house.call("PUT", STATUS, {"presence": "online"}, by=me)).status == 200
    await house.accounts.presence.seen(ALICE, "online")
    await house.accounts.presence.receive("@c:there.example", PresenceState("online", None, 0, True))
    assert house.log.position == before
    assert (await house.call("GET", STATUS, by=me)).body == {"presence": "offline"}


async def test_other_servers_users_are_kept_and_nonsense_is_dropped(house: Any) -> None:
    book = house.accounts.presence
    await book.receive("@c:there.example", PresenceState("online", None, 1, True))
    await book.receive("@d:there.example", PresenceState("asleep", None, 0, True))
    assert book.state("@c:there.example") is not None
    assert book.state("@d:there.example") is None
    await book.receive("@e:there.example", PresenceState("offline", None, 0, False))
    assert book.content("@e:there.example") == {"presence": "offline", "currently_active": False}
    house.clock.advance(3_600_000)
    await book.rest()
    assert book.state("@c:there.example").presence == "online"


async def test_memory_is_bounded(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchword.base.limits.presence_users_max", 2)
    for name in ("@a:x", "@b:x", "@c:x"):
        await house.accounts.presence.seen(name, "online")
    assert house.accounts.presence.state("@a:x") is None
    assert house.accounts.presence.state("@c:x") is not None


async def test_whoever_is_busy_stays_so_until_he_says_otherwise_or_is_gone(house: Any) -> None:
    me = (await house.user("alice"))["access_token"]
    busy = "org.matrix.msc3026.busy"
    assert (await house.call("PUT", STATUS, {"presence": busy}, by=me)).status == 200
    presence = house.accounts.presence
    await presence.seen(ALICE, "online")
    house.clock.advance(limits.presence_idle_ms)
    await presence.rest()
    assert (await house.call("GET", STATUS, by=me)).body["presence"] == busy
    house.clock.advance(limits.presence_gone_ms)
    await presence.rest()
    assert (await house.call("GET", STATUS, by=me)).body["presence"] == "offline"
    await presence.seen(ALICE, busy)
    await presence.seen(ALICE, "unavailable")
    assert (await house.call("GET", STATUS, by=me)).body["presence"] == "unavailable"
