"""The feature as a whole: gaps, state that moves by itself, ignored users, device lists, and what ends a wait."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, PHONE, World, bodies, open_world, types
from tests.unit.server.sync.answers import ENCRYPTED, join, log_in, tell_device, token
from watchword.protocol.ids import RoomId, UserId
from watchword.server.changes import DeviceListChanged

NO_MEMBERS = {"room": {"timeline": {"not_types": ["m.room.member"]}, "state": {"types": []}}}


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def state_of(world: World, room_id: RoomId) -> set[str]:
    return {event["event_id"] for event in await world.ask(ALICE, "GET", f"rooms/{room_id}/state")}


async def ignore(world: World, user_id: UserId, *others: str) -> None:
    content: dict[str, Any] = {"ignored_users": {other: {} for other in others}}
    await world.ask(user_id, "PUT", f"user/{user_id}/account_data/m.ignored_user_list", content)


# State beside the timeline


async def test_state_changed_in_a_gap_is_told(world: World) -> None:
    room_id = await world.room(name="old")
    since = await token(world)
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "in the gap"})
    for number in range(12):
        await world.send(ALICE, room_id, str(number))
    body = join(await world.sync(since=since), room_id)
    assert body["timeline"]["limited"] is True
    assert bodies(body["timeline"]["events"]) == [str(number) for number in range(2, 12)]
    assert [event["content"] for event in body["state"]["events"]] == [{"name": "in the gap"}]


@pytest.mark.parametrize("query", [{}, {"use_state_after": "true"}])
async def test_state_that_changed_without_an_event_is_told_and_wakes(world: World, query: dict[str, Any]) -> None:
    """State resolution may do that."""
    room_id = await world.room(name="one")
    room = await world.reader.room(room_id)
    assert room is not None
    old = dict(room.state)
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "two"})
    waiting = asyncio.ensure_future(world.sync(since=await token(world), timeout=1000, **query))
    await settle()
    assert not waiting.done()
    async with world.registry.locked(room_id), world.writer.appending(room) as (tx, durable):
        await world.appender.adopt_state(tx, room, old, {})
    await durable()
    section = join(await waiting, room_id)
    assert section["timeline"]["events"] == []
    assert [event["content"] for event in section["state_after" if query else "state"]["events"]] == [{"name": "one"}]


async def test_state_that_a_filter_keeps_from_the_timeline_is_told_as_state(world: World) -> None:
    room_id = await world.room()
    since = await token(world)
    await world.send(ALICE, room_id, "before")
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "between"})
    await world.send(ALICE, room_id, "after")
    body = join(await world.sync(since=since, filter={"room": {"timeline": {"types": ["m.room.message"]}}}), room_id)
    assert bodies(body["timeline"]["events"]) == ["before", "after"]
    assert types(body["state"]["events"]) == ["m.room.name"]


async def test_full_state_keeps_the_timeline_to_what_is_new(world: World) -> None:
    room_id = await world.room()
    await world.send(ALICE, room_id, "old")
    since = await token(world)
    await world.send(ALICE, room_id, "new")
    body = join(await world.sync(since=since, full_state="true"), room_id)
    assert (bodies(body["timeline"]["events"]), body["timeline"]["limited"]) == (["new"], False)
    assert {event["event_id"] for event in body["state"]["events"]} == await state_of(world, room_id)


async def test_a_ban_after_leaving_shows_nothing_of_the_time_between(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.leave(BOB, room_id)
    since = await token(world, BOB)
    await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "secret"})
    await world.ask(ALICE, "POST", f"rooms/{room_id}/ban", {"user_id": BOB})
    body = await world.sync(BOB, since)
    assert types(body["rooms"]["leave"][room_id]["timeline"]["events"]) == ["m.room.member"]
    assert "secret" not in str(body)


# Ignored users


async def test_messages_of_ignored_users_are_left_out_and_their_state_is_not(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    await ignore(world, BOB, CAROL)
    since = await token(world, BOB)
    await world.send(CAROL, room_id, "ignored")
    await world.set_state(CAROL, room_id, "m.room.member", {"membership": "join", "displayname": "Carol"}, CAROL)
    await world.send(ALICE, room_id, "heard")
    for query in ({"since": since}, {}):
        events = join(await world.sync(BOB, **query), room_id)["timeline"]["events"]
        assert bodies(events) == ["heard"]
        assert [event["sender"] for event in events if event["type"] == "m.room.member"][-1] == CAROL
    assert bodies(join(await world.sync(ALICE, since), room_id)["timeline"]["events"]) == ["ignored", "heard"]


async def test_a_message_of_an_ignored_user_alone_is_no_news(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    await ignore(world, BOB, CAROL)
    since = await token(world, BOB)
    await world.send(CAROL, room_id, "ignored")
    assert join(await world.sync(BOB, since), room_id) is None


async def test_ignored_messages_do_not_use_up_the_limit(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    await ignore(world, BOB, CAROL)
    since = await token(world, BOB)
    await world.send(ALICE, room_id, "one")
    for _ in range(12):
        await world.send(CAROL, room_id, "ignored")
    await world.send(ALICE, room_id, "two")
    timeline = join(await world.sync(BOB, since, filter={"room": {"timeline": {"limit": 3}}}), room_id)["timeline"]
    assert (bodies(timeline["events"]), timeline["limited"]) == (["one", "two"], False)


async def test_whoever_is_ignored_no_more_is_heard_again_and_what_was_missed_is_not_told(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    await ignore(world, BOB, CAROL)
    await world.send(CAROL, room_id, "missed")
    since = await token(world, BOB)
    await ignore(world, BOB)
    await world.send(CAROL, room_id, "heard")
    assert bodies(join(await world.sync(BOB, since), room_id)["timeline"]["events"]) == ["heard"]


async def test_invites_of_ignored_users_are_hidden(world: World) -> None:
    room_id = await world.room()
    await ignore(world, BOB, ALICE)
    since = await token(world, BOB)
    await world.invite(ALICE, room_id, BOB)
    assert "rooms" not in await world.sync(BOB, since)
    assert "rooms" not in await world.sync(BOB)


# Device lists


async def test_sharing_an_encrypted_room_and_leaving_it_changes_device_lists(world: World) -> None:
    room_id = await world.public_room(**ENCRYPTED)
    since, bobs = await token(world), await token(world, BOB)
    await world.join(BOB, room_id)
    body = await world.sync(since=since)
    assert body["device_lists"] == {"changed": [BOB], "left": []}
    assert (await world.sync(BOB, bobs))["device_lists"]["changed"] == [ALICE, BOB]
    bobs = await token(world, BOB)
    await world.leave(BOB, room_id)
    assert (await world.sync(since=body["next_batch"]))["device_lists"] == {"changed": [], "left": [BOB]}
    assert (await world.sync(BOB, bobs))["device_lists"] == {"changed": [], "left": [ALICE]}


async def test_a_join_is_noticed_though_a_new_name_follows_it_and_though_a_filter_hides_members(world: World) -> None:
    room_id = await world.public_room(**ENCRYPTED)
    since = await token(world)
    await world.join(BOB, room_id)
    await world.set_state(BOB, room_id, "m.room.member", {"membership": "join", "displayname": "B"}, BOB)
    for filter_ in ({}, NO_MEMBERS):
        assert (await world.sync(since=since, filter=filter_))["device_lists"]["changed"] == [BOB]


async def test_encrypting_a_room_makes_its_members_known(world: World) -> None:
    room_id = await world.public_room(BOB)
    since = await token(world)
    await world.set_state(ALICE, room_id, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    assert (await world.sync(since=since))["device_lists"]["changed"] == [ALICE, BOB]


# Waiting


async def test_every_kind_of_news_wakes(world: World) -> None:
    await log_in(world, BOB)
    room_id = await world.public_room(BOB)
    event_id = await world.send(ALICE, room_id)
    private = await world.room()

    async def new_device() -> None:
        async with world.database.write() as tx:
            await world.log.append(tx, DeviceListChanged(BOB, PHONE))

    news = (
        lambda: world.send(ALICE, room_id),
        lambda: world.ask(ALICE, "POST", f"rooms/{room_id}/receipt/m.read/{event_id}", {}),
        lambda: world.ask(ALICE, "PUT", f"rooms/{room_id}/typing/{ALICE}", {"typing": True}),
        lambda: world.ask(BOB, "PUT", f"user/{BOB}/account_data/a.b", {"n": 1}),
        lambda: world.ask(BOB, "PUT", f"user/{BOB}/rooms/{room_id}/account_data/a.b", {"n": 1}),
        lambda: tell_device(world, ALICE, BOB, 1),
        new_device,
        lambda: world.invite(ALICE, private, BOB),
        lambda: world.ask(ALICE, "POST", f"rooms/{room_id}/kick", {"user_id": BOB}),
    )
    since = await token(world, BOB)
    for happen in news:
        waiting = asyncio.ensure_future(world.sync(BOB, since, timeout=30_000))
        await settle()
        assert not waiting.done()
        await happen()
        since = (await asyncio.wait_for(waiting, 5))["next_batch"]


@pytest.mark.parametrize("kind", ["unwanted", "private receipt", "ignored"])
async def test_what_the_reader_is_not_told_does_not_end_his_wait(world: World, kind: str) -> None:
    room_id = await world.public_room(BOB, CAROL)
    await ignore(world, BOB, CAROL)
    event_id = await world.send(ALICE, room_id)
    filter_ = {"room": {"timeline": {"not_types": ["m.unwanted"]}}}
    waiting = asyncio.ensure_future(world.sync(BOB, await token(world, BOB), timeout=30_000, filter=filter_))
    await settle()
    if kind == "unwanted":
        await world.ask(ALICE, "PUT", f"rooms/{room_id}/send/m.unwanted/t", {})
    elif kind == "private receipt":
        await world.ask(ALICE, "POST", f"rooms/{room_id}/receipt/m.read.private/{event_id}", {})
    else:
        await world.send(CAROL, room_id)
    await settle()
    assert not waiting.done()
    world.clock.advance(29_999)
    await settle()
    assert not waiting.done()
    world.clock.advance(1)
    assert "rooms" not in await waiting


# Tokens


async def test_the_largest_tokens_break_nothing(world: World) -> None:
    room_id = await world.room()
    largest = "9" * 18
    await world.sync(since=f"s{largest}")
    for given in (f"s{largest}", f"t{largest}9"):
        await world.messages(ALICE, room_id, **{"from": given})
        await world.messages(ALICE, room_id, dir="f", **{"from": given})
        await world.ask(ALICE, "GET", f"rooms/{room_id}/members", at=given)


async def test_the_typing_of_before_a_restart_is_ended(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.users(ALICE, BOB)
        room_id = await world.public_room(BOB)
        since = await token(world, BOB)
        await world.ask(ALICE, "PUT", f"rooms/{room_id}/typing/{ALICE}", {"typing": True, "timeout": 30_000})
    async with open_world(tmp_path) as world:
        async with world.database.write():
            pass  # The end is noted without anybody waiting for it.
        body: Any = await world.sync(BOB, since)
        assert join(body, room_id)["ephemeral"]["events"] == [{"type": "m.typing", "content": {"user_ids": []}}]
        assert join(await world.sync(BOB, body["next_batch"]), room_id) is None
