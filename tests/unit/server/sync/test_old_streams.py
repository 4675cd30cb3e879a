import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World, bodies, open_world, types
from watchword.base import limits
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.server.rooms.out_of_band import OutOfBand, Told

FAR = RoomId("!far:there.example")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, presence=True) as world:
        await world.users(ALICE, BOB, CAROL)
        yield world


async def stream(world: World, user: UserId, since: str | None = None, **query: Any) -> Any:
    return await world.ask(user, "GET", "events", **{"from": since, "timeout": 0, **query})


async def world_readable(world: World) -> RoomId:
    visibility = {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}
    return await world.room(ALICE, initial_state=[visibility])


async def test_the_stream_tells_of_what_is_new_in_all_rooms_in_order(world: World) -> None:
    first, second = await world.public_room(BOB), await world.public_room(BOB)
    start = (await stream(world, BOB))["end"]
    await world.send(ALICE, first, "one")
    await world.send(ALICE, second, "two")
    await world.send(ALICE, first, "three")
    answer = await stream(world, BOB, start)
    assert bodies(answer["chunk"]) == ["one", "two", "three"]
    assert [event["room_id"] for event in answer["chunk"]] == [first, second, first]
    assert answer["start"] == start
    assert (await stream(world, BOB, answer["end"]))["chunk"] == []


async def test_without_a_token_the_stream_begins_now(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.send(ALICE, room_id, "before")
    assert (await stream(world, BOB))["chunk"] == []


async def test_a_token_from_the_future_begins_now(world: World) -> None:
    assert (await stream(world, BOB, "s999999"))["chunk"] == []
    assert await world.refused(BOB, "GET", "events", **{"from": "nonsense"}) == (400, "M_INVALID_PARAM")


async def test_much_news_comes_in_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "old_stream_page_max", 2)
    first, second = await world.public_room(BOB), await world.public_room(BOB)
    since = (await stream(world, BOB))["end"]
    for number in range(3):
        await world.send(ALICE, first, f"a{number}")
        await world.send(ALICE, second, f"b{number}")
    found = []
    while (answer := await stream(world, BOB, since))["chunk"]:
        found += bodies(answer["chunk"])
        since = answer["end"]
    assert found == ["a0", "b0", "a1", "b1", "a2", "b2"]


async def test_a_listener_is_woken_by_news(world: World) -> None:
    room_id = await world.public_room(BOB)
    waiting = asyncio.ensure_future(stream(world, BOB, timeout=10_000))
    await asyncio.sleep(0)
    assert not waiting.done()
    await world.send(ALICE, room_id, "news")
    assert bodies((await waiting)["chunk"]) == ["news"]


async def test_a_listener_who_hears_nothing_gets_an_empty_answer(world: World) -> None:
    waiting = asyncio.ensure_future(stream(world, BOB, timeout=10_000))
    await asyncio.sleep(0)
    world.clock.advance(10_001)
    assert (await waiting)["chunk"] == []


async def test_a_room_that_everybody_may_read_is_previewed(world: World) -> None:
    room_id = await world_readable(world)
    waiting = asyncio.ensure_future(stream(world, CAROL, timeout=10_000, room_id=room_id))
    await asyncio.sleep(0.01)
    await world.send(ALICE, room_id, "for all")
    assert bodies((await waiting)["chunk"]) == ["for all"]


async def test_other_rooms_cannot_be_previewed(world: World) -> None:
    room_id = await world.public_room()
    assert await world.refused(CAROL, "GET", "events", room_id=room_id) == (403, "M_FORBIDDEN")
    assert await world.refused(CAROL, "GET", "events", room_id="!nowhere:x") == (403, "M_FORBIDDEN")
    assert await world.refused(CAROL, "GET", f"rooms/{room_id}/initialSync") == (403, "M_FORBIDDEN")


async def test_who_leaves_hears_of_that_and_of_nothing_after(world: World) -> None:
    room_id = await world.public_room(BOB)
    start = (await stream(world, BOB))["end"]
    await world.leave(BOB, room_id)
    await world.send(ALICE, room_id, "behind his back")
    events = (await stream(world, BOB, start))["chunk"]
    assert [(event["type"], event["content"].get("membership")) for event in events] == [("m.room.member", "leave")]


async def test_messages_of_the_ignored_are_not_heard(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.ask(BOB, "PUT", f"user/{BOB}/account_data/m.ignored_user_list", {"ignored_users": {ALICE: {}}})
    start = (await stream(world, BOB))["end"]
    await world.send(ALICE, room_id, "unheard")
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "New"})
    assert types((await stream(world, BOB, start))["chunk"]) == ["m.room.name"]


async def test_an_event_is_found_without_naming_its_room(world: World) -> None:
    room_id = await world.public_room(BOB)
    event_id = await world.send(ALICE, room_id, "here")
    assert (await world.ask(BOB, "GET", f"events/{event_id}"))["room_id"] == room_id
    private = await world.send(ALICE, await world.room(ALICE), "secret")
    for hidden in (private, "$nothing"):
        assert await world.refused(BOB, "GET", f"events/{hidden}") == (404, "M_NOT_FOUND")


async def test_the_snapshot_of_a_room_has_its_state_and_last_messages(world: World) -> None:
    room_id = await world.public_room(BOB, name="The room")
    for number in range(3):
        await world.send(ALICE, room_id, str(number))
    await world.ask(BOB, "PUT", f"user/{BOB}/rooms/{room_id}/tags/m.favourite", {})
    info = await world.ask(BOB, "GET", f"rooms/{room_id}/initialSync", limit=2)
    assert (info["room_id"], info["membership"], info["visibility"]) == (room_id, "join", "private")
    assert bodies(info["messages"]["chunk"]) == ["1", "2"]
    assert "m.room.name" in types(info["state"])
    assert info["account_data"] == [{"type": "m.tag", "content": {"tags": {"m.favourite": {}}}}]
    before = await world.messages(BOB, room_id, **{"from": info["messages"]["start"], "limit": 1})
    assert bodies(before["chunk"]) == ["0"]
    await world.send(ALICE, room_id, "later")
    after = await world.messages(BOB, room_id, **{"from": info["messages"]["end"], "dir": "f"})
    assert bodies(after["chunk"]) == ["later"]


async def test_the_snapshot_of_a_preview_says_of_no_membership(world: World) -> None:
    room_id = await world_readable(world)
    info = await world.ask(CAROL, "GET", f"rooms/{room_id}/initialSync")
    assert "membership" not in info
    assert types(info["state"])


async def test_the_snapshot_of_a_left_room_ends_with_the_leave(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.send(ALICE, room_id, "heard")
    await world.leave(BOB, room_id)
    await world.send(ALICE, room_id, "unheard")
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "After"})
    info = await world.ask(BOB, "GET", f"rooms/{room_id}/initialSync")
    assert info["membership"] == "leave"
    assert bodies(info["messages"]["chunk"]) == ["heard"]
    assert "m.room.name" not in types(info["state"])


async def test_the_whole_snapshot_leads_on_to_the_stream(world: World) -> None:
    joined, left, invited = await world.public_room(BOB), await world.public_room(BOB), await world.room(ALICE)
    await world.leave(BOB, left)
    await world.invite(ALICE, invited, BOB)
    await world.ask(BOB, "PUT", f"user/{BOB}/account_data/org.example", {"a": 1})
    answer = await world.ask(BOB, "GET", "initialSync", limit=1)
    assert {room["room_id"]: room["membership"] for room in answer["rooms"]} == {joined: "join", invited: "invite"}
    (invite,) = [room["invite"] for room in answer["rooms"] if "invite" in room]
    assert (invite["state_key"], invite["content"]["membership"]) == (BOB, "invite")
    assert answer["account_data"] == [{"type": "org.example", "content": {"a": 1}}]
    await world.send(ALICE, joined, "next")
    assert bodies((await stream(world, BOB, answer["end"]))["chunk"]) == ["next"]
    archived = await world.ask(BOB, "GET", "initialSync", archived="true")
    assert {room["room_id"] for room in archived["rooms"]} == {joined, left, invited}


async def test_rooms_of_which_there_is_nothing_to_show_are_left_out_of_the_archive(world: World) -> None:
    room_id = await world.room(ALICE)
    await world.invite(ALICE, room_id, BOB)
    await world.leave(BOB, room_id)
    forgotten = await world.public_room(BOB)
    await world.leave(BOB, forgotten)
    await world.ask(BOB, "POST", f"rooms/{forgotten}/forget", {})
    assert (await world.ask(BOB, "GET", "initialSync", archived="true"))["rooms"] == []


async def test_an_invite_from_afar_is_shown_with_what_is_known(world: World) -> None:
    out_of_band = OutOfBand(world.writer, world.memberships, world.log, world.reader.server_name)
    eve = UserId("@eve:there.example")
    lie = {"type": "m.room.member", "state_key": BOB, "sender": eve, "content": {"membership": "ban"}}
    member = {**lie, "content": {"membership": "invite"}, "origin_server_ts": 1_000}
    await out_of_band.record(FAR, ROOM_VERSIONS["11"], Told(BOB, "invite", EventId("$invite"), eve, [lie, member]))
    (room,) = (await world.ask(BOB, "GET", "initialSync"))["rooms"]
    assert room["invite"] == {**member, "event_id": "$invite", "room_id": FAR}
    assert await world.ask(BOB, "GET", f"rooms/{FAR}/initialSync") == room


async def test_presence_of_those_one_shares_a_room_with_is_in_the_snapshot(world: World) -> None:
    await world.public_room(BOB)
    await world.ask(ALICE, "PUT", f"presence/{ALICE}/status", {"presence": "online", "status_msg": "here"})
    presence = (await world.ask(BOB, "GET", "initialSync"))["presence"]
    assert ALICE in [event["sender"] for event in presence]
