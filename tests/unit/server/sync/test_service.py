"""Which rooms and what else a response tells of, and when; what the sections hold is tested with their modules."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.push.world import open_push_world
from tests.unit.server.rooms.world import ALICE, BOB, CAROL, LAPTOP, PHONE, World, bodies, open_world, types
from tests.unit.server.sync.answers import ENCRYPTED, join, keys, log_in, section, tell_device, token, told, upload_keys
from watchword.base import limits
from watchword.edge.requester import Requester
from watchword.protocol.ids import DeviceId, UserId
from watchword.server.sync.filters import NO_FILTER
from watchword.server.sync.service import SyncRequest
from watchword.storage import Position

LEFT_TOO = {"room": {"include_leave": True}}
LAST_ONE = {"room": {"timeline": {"limit": 1}}}


@pytest.fixture
async def present(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, presence=True) as opened:
        await opened.users(ALICE, BOB, CAROL)
        yield opened


def data(events: Any) -> dict[str, Any]:
    """Account data by type."""
    return {event["type"]: event["content"] for event in events["account_data"]["events"]}


# Rooms


async def test_an_initial_sync_tells_of_all_joined_rooms(world: World) -> None:
    rooms = {await world.room(), await world.public_room(BOB), await world.room()}
    assert len(rooms) == 3
    assert (await world.sync())["rooms"]["join"].keys() == rooms


async def test_an_incremental_sync_tells_only_of_rooms_with_news(world: World) -> None:
    quiet, busy = await world.room(), await world.room()
    since = await token(world)
    await world.send(ALICE, busy)
    rooms = (await world.sync(ALICE, since))["rooms"]["join"]
    assert busy in rooms
    assert quiet not in rooms


async def test_the_next_batch_follows_on_without_a_repetition(world: World) -> None:
    room_id = await world.room()
    since = await token(world)
    await world.send(ALICE, room_id, "one")
    first = await world.sync(ALICE, since)
    await world.send(ALICE, room_id, "two")
    second = await world.sync(ALICE, first["next_batch"])
    assert bodies(join(first, room_id)["timeline"]["events"]) == ["one"]
    assert bodies(join(second, room_id)["timeline"]["events"]) == ["two"]


async def test_a_repeated_since_repeats_the_answer(world: World) -> None:
    room_id = await world.public_room(BOB)
    since = await token(world)
    await world.send(BOB, room_id)
    assert await world.sync(ALICE, since) == await world.sync(ALICE, since)


async def test_nothing_new_is_an_answer_with_a_token_and_no_rooms(world: World) -> None:
    await world.room()
    since = await token(world)
    body = await world.sync(ALICE, since)
    assert body["next_batch"] == since
    assert "rooms" not in body


async def test_others_rooms_are_not_told_of(world: World) -> None:
    room_id = await world.room(BOB)
    since = await token(world)
    await world.send(BOB, room_id)
    assert "rooms" not in await world.sync(ALICE)
    assert "rooms" not in await world.sync(ALICE, since)


async def test_anothers_token_shows_nothing_of_his_rooms(world: World) -> None:
    room_id = await world.room(BOB)
    since = await token(world, BOB)
    await world.send(BOB, room_id)
    assert "rooms" not in await world.sync(ALICE, since)


async def test_a_room_joined_since_is_sent_as_if_initial(world: World) -> None:
    room_id = await world.public_room(name="old")
    for number in range(30):
        await world.send(ALICE, room_id, str(number))
    since = await token(world, BOB)
    await world.join(BOB, room_id)
    await world.send(ALICE, room_id, "after")
    told_of = join(await world.sync(BOB, since), room_id)
    assert told_of["timeline"]["limited"] is True
    assert {("m.room.create", ""), ("m.room.name", ""), ("m.room.member", ALICE)} <= keys(told_of["state"]["events"])


async def test_a_room_joined_since_has_its_full_state_though_the_join_lies_before_the_timeline(world: World) -> None:
    room_id = await world.public_room(name="old")
    since = await token(world, BOB)
    await world.join(BOB, room_id)
    for number in range(5):
        await world.send(ALICE, room_id, str(number))
    told_of = join(await world.sync(BOB, since, filter={"room": {"timeline": {"limit": 2}}}), room_id)
    assert bodies(told_of["timeline"]["events"]) == ["3", "4"]
    assert {("m.room.create", ""), ("m.room.name", ""), ("m.room.member", BOB)} <= keys(told_of["state"]["events"])


async def test_a_room_joined_since_brings_its_account_data_of_before(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.ask(BOB, "PUT", f"user/{BOB}/rooms/{room_id}/account_data/x", {"n": 1})
    await world.leave(BOB, room_id)
    since = await token(world, BOB)
    await world.join(BOB, room_id)
    assert data(join(await world.sync(BOB, since), room_id)) == {"x": {"n": 1}}


async def test_full_state_tells_of_quiet_rooms(world: World) -> None:
    room_id = await world.room(name="quiet")
    since = await token(world)
    told_of = join(await world.sync(ALICE, since, full_state="true"), room_id)
    assert told_of["timeline"]["events"] == []
    assert {("m.room.create", ""), ("m.room.name", ""), ("m.room.member", ALICE)} <= keys(told_of["state"]["events"])


async def test_full_state_does_not_wait(world: World) -> None:
    since = await token(world)
    async with asyncio.timeout(1):
        assert (await world.sync(ALICE, since, full_state="true", timeout=30_000))["next_batch"] == since


# Leaving


async def test_a_room_left_is_told_once(world: World) -> None:
    room_id = await world.public_room(BOB)
    since = await token(world, BOB)
    await world.leave(BOB, room_id)
    first = await world.sync(BOB, since)
    assert section(first, "leave", room_id)["timeline"]["events"][-1]["content"]["membership"] == "leave"
    assert join(first, room_id) is None
    await world.send(ALICE, room_id)
    assert "rooms" not in await world.sync(BOB, first["next_batch"])


@pytest.mark.parametrize("action", ["kick", "ban"])
async def test_whoever_is_kicked_or_banned_is_told(world: World, action: str) -> None:
    room_id = await world.public_room(BOB)
    since = await token(world, BOB)
    await world.ask(ALICE, "POST", f"rooms/{room_id}/{action}", {"user_id": BOB})
    (event,) = section(await world.sync(BOB, since), "leave", room_id)["timeline"]["events"]
    assert (event["sender"], event["state_key"]) == (ALICE, BOB)


async def test_nothing_after_the_leave_is_shown(world: World) -> None:
    room_id = await world.public_room(BOB)
    since = await token(world, BOB)
    await world.send(ALICE, room_id, "before")
    await world.leave(BOB, room_id)
    await world.send(ALICE, room_id, "after")
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "after"})
    told_of = section(await world.sync(BOB, since), "leave", room_id)
    assert bodies(told_of["timeline"]["events"]) == ["before"]
    assert told_of["state"]["events"] == []


async def test_an_initial_sync_tells_of_rooms_left_only_if_asked(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.leave(BOB, room_id)
    assert "rooms" not in await world.sync(BOB)
    assert section(await world.sync(BOB, filter=LEFT_TOO), "leave", room_id) is not None


async def test_rooms_left_before_are_not_repeated_though_include_leave_is_asked(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.leave(BOB, room_id)
    since = await token(world, BOB)
    await world.send(ALICE, room_id)
    assert "rooms" not in await world.sync(BOB, since, filter=LEFT_TOO)


async def test_a_forgotten_room_is_never_told_of(world: World) -> None:
    room_id = await world.public_room(BOB)
    since = await token(world, BOB)
    await world.leave(BOB, room_id)
    await world.ask(BOB, "POST", f"rooms/{room_id}/forget", {})
    assert "rooms" not in await world.sync(BOB, since)
    assert "rooms" not in await world.sync(BOB, filter=LEFT_TOO)


async def test_a_rejected_invite_is_told_once_as_a_leave(world: World) -> None:
    room_id = await world.room()
    await world.invite(ALICE, room_id, BOB)
    since = await token(world, BOB)
    await world.leave(BOB, room_id)
    first = await world.sync(BOB, since)
    assert section(first, "leave", room_id) is not None
    assert section(first, "invite", room_id) is None
    assert "rooms" not in await world.sync(BOB, first["next_batch"])


async def test_a_rejected_invite_shows_nothing_of_the_room(world: World) -> None:
    room_id = await world.room(name="secret")
    await world.invite(ALICE, room_id, BOB)
    since = await token(world, BOB)
    await world.leave(BOB, room_id)
    told_of = section(await world.sync(BOB, since), "leave", room_id)
    shown = [*told_of.get("state", {}).get("events", []), *told_of["timeline"]["events"]]
    assert all(key == ("m.room.member", BOB) for key in keys(shown))


async def test_whoever_left_and_came_back_is_told_of_the_join(world: World) -> None:
    room_id = await world.public_room(BOB)
    since = await token(world, BOB)
    await world.leave(BOB, room_id)
    await world.join(BOB, room_id)
    told_of = join(await world.sync(BOB, since, filter={"room": {"timeline": {"limit": 1}}}), room_id)
    assert ("m.room.create", "") in keys(told_of["state"]["events"])
    assert told_of["timeline"]["events"][-1]["content"]["membership"] == "join"


async def test_whoever_came_and_went_is_told_of_the_leave(world: World) -> None:
    room_id = await world.public_room()
    since = await token(world, BOB)
    await world.join(BOB, room_id)
    await world.leave(BOB, room_id)
    assert section(await world.sync(BOB, since), "leave", room_id) is not None


async def test_whoever_left_and_is_invited_again_is_told_of_both(world: World) -> None:
    room_id = await world.public_room(BOB)
    since = await token(world, BOB)
    await world.leave(BOB, room_id)
    await world.invite(ALICE, room_id, BOB)
    body = await world.sync(BOB, since)
    assert section(body, "invite", room_id) is not None
    assert section(body, "leave", room_id) is not None


# Account data


async def test_push_rules_are_in_every_initial_sync(world: World) -> None:
    assert data(await world.sync())["m.push_rules"] == {"global": {}}


async def test_global_account_data_is_told_when_it_changes(world: World) -> None:
    since = await token(world)
    await world.ask(ALICE, "PUT", f"user/{ALICE}/account_data/x", {"n": 1})
    body = await world.sync(ALICE, since)
    assert data(body) == {"x": {"n": 1}}
    assert "account_data" not in await world.sync(ALICE, body["next_batch"])


async def test_account_data_of_a_room_is_told_in_the_room(world: World) -> None:
    room_id = await world.room()
    since = await token(world)
    await world.ask(ALICE, "PUT", f"user/{ALICE}/rooms/{room_id}/account_data/x", {"n": 1})
    body = await world.sync(ALICE, since)
    assert "account_data" not in body
    assert data(join(body, room_id)) == {"x": {"n": 1}}


async def test_account_data_is_for_its_owner_alone(world: World) -> None:
    room_id = await world.public_room(BOB)
    since = await token(world, BOB)
    await world.ask(ALICE, "PUT", f"user/{ALICE}/account_data/x", {})
    await world.ask(ALICE, "PUT", f"user/{ALICE}/rooms/{room_id}/account_data/x", {})
    body = await world.sync(BOB, since)
    assert "account_data" not in body
    assert "rooms" not in body


# To-device messages


async def test_to_device_messages_come_in_their_order_with_their_sender(world: World) -> None:
    await log_in(world, BOB)
    for number in range(3):
        await tell_device(world, ALICE, BOB, number)
    body = await world.sync(BOB)
    assert told(body) == [0, 1, 2]
    assert body["to_device"]["events"][0] == {"type": "m.test", "sender": ALICE, "content": {"n": 0}}


async def test_to_device_messages_are_repeated_for_the_same_since(world: World) -> None:
    await log_in(world, BOB)
    since = await token(world, BOB)
    await tell_device(world, ALICE, BOB, 1)
    assert [told(await world.sync(BOB, since)) for _ in range(2)] == [[1], [1]]


async def test_to_device_messages_are_acknowledged_by_the_token_that_followed_them(world: World) -> None:
    await log_in(world, BOB)
    since = await token(world, BOB)
    await tell_device(world, ALICE, BOB, 1)
    after = (await world.sync(BOB, since))["next_batch"]
    assert told(await world.sync(BOB, after)) == []
    async with world.database.write():
        pass  # Nobody waited for the deletion.
    assert told(await world.sync(BOB, since)) == []


async def test_to_device_messages_are_for_one_device(world: World) -> None:
    await log_in(world, BOB)
    await log_in(world, BOB, LAPTOP)
    await tell_device(world, ALICE, BOB, 1, LAPTOP)
    assert told(await world.sync(BOB)) == []
    assert told(await world.sync(BOB, device=LAPTOP)) == [1]


async def test_more_to_device_messages_than_a_page_come_page_by_page(world: World) -> None:
    await log_in(world, BOB)
    count = limits.to_device_page_max * 2 + 5
    since = await token(world, BOB)
    for number in range(count):
        await tell_device(world, ALICE, BOB, number)
    pages = []
    for _ in range(3):
        body = await world.sync(BOB, since)
        since = body["next_batch"]
        pages.append(told(body))
    assert [len(page) for page in pages] == [limits.to_device_page_max, limits.to_device_page_max, 5]
    assert [number for page in pages for number in page] == list(range(count))


async def test_a_page_of_to_device_messages_puts_off_what_came_later_and_loses_nothing_of_rooms(world: World) -> None:
    await log_in(world, BOB)
    room_id = await world.public_room(BOB)
    since = await token(world, BOB)
    for number in range(limits.to_device_page_max):
        await tell_device(world, ALICE, BOB, number)
    await world.send(ALICE, room_id, "early")
    await tell_device(world, ALICE, BOB, limits.to_device_page_max)
    await world.send(ALICE, room_id, "late")
    seen = []
    for _ in range(3):
        body = await world.sync(BOB, since)
        since = body["next_batch"]
        seen += bodies((join(body, room_id) or {"timeline": {"events": []}})["timeline"]["events"])
    assert seen == ["early", "late"]


async def test_a_room_left_while_a_page_of_to_device_messages_ends_the_span_is_told_in_full(world: World) -> None:
    await log_in(world, BOB)
    room_id = await world.public_room(BOB)
    since = await token(world, BOB)
    await world.send(ALICE, room_id, "early")
    for number in range(limits.to_device_page_max + 1):
        await tell_device(world, ALICE, BOB, number)
    await world.send(ALICE, room_id, "late")
    await world.leave(BOB, room_id)
    first = await world.sync(BOB, since)
    second = await world.sync(BOB, first["next_batch"])
    assert bodies(join(first, room_id)["timeline"]["events"]) == ["early"]
    assert bodies(section(second, "leave", room_id)["timeline"]["events"]) == ["late"]


# Keys


async def test_counts_of_one_time_keys_are_always_there(world: World) -> None:
    since = await token(world)
    for body in (await world.sync(), await world.sync(ALICE, since)):
        assert body["device_one_time_keys_count"] == {"signed_curve25519": 0}
        assert body["device_unused_fallback_key_types"] == []
        assert body["org.matrix.msc2732.device_unused_fallback_key_types"] == []


async def test_a_change_of_the_key_counts_is_news(world: World) -> None:
    await log_in(world, ALICE)
    since = await token(world)
    waiting = asyncio.ensure_future(world.sync(ALICE, since, timeout=30_000))
    await asyncio.sleep(0.01)
    await world.ask(ALICE, "POST", "keys/upload", {"one_time_keys": {"signed_curve25519:A": {"key": "k", "signatures": {}}}})
    async with asyncio.timeout(2):
        assert (await waiting)["device_one_time_keys_count"] == {"signed_curve25519": 1}


async def test_whoever_syncs_without_a_device_has_no_key_counts(world: World) -> None:
    assert "device_one_time_keys_count" not in await world.sync(device=None)


# Presence


async def test_presence_of_those_who_share_a_room_is_told(present: World) -> None:
    await present.public_room(BOB)
    since = await token(present, BOB)
    await present.ask(ALICE, "PUT", f"presence/{ALICE}/status", {"presence": "unavailable", "status_msg": "tea"})
    (event,) = (await present.sync(BOB, since))["presence"]["events"]
    assert (event["type"], event["sender"]) == ("m.presence", ALICE)
    assert (event["content"]["presence"], event["content"]["status_msg"]) == ("unavailable", "tea")


async def test_presence_of_strangers_is_not_told(present: World) -> None:
    since = await token(present, BOB)
    await present.ask(ALICE, "PUT", f"presence/{ALICE}/status", {"presence": "online"})
    assert "presence" not in await present.sync(BOB, since)


async def test_a_filter_says_whose_presence_is_told(present: World) -> None:
    await present.public_room(BOB, CAROL)
    since = await token(present, BOB)
    for user_id in (ALICE, CAROL):
        await present.ask(user_id, "PUT", f"presence/{user_id}/status", {"presence": "unavailable"})
    for wanted in ({"senders": [ALICE]}, {"not_senders": [CAROL, BOB]}):
        body = await present.sync(BOB, since, filter={"presence": wanted})
        assert [event["sender"] for event in body["presence"]["events"]] == [ALICE]
    assert "presence" not in await present.sync(BOB, since, filter={"presence": {"types": []}})


async def test_a_filter_says_of_which_rooms_account_data_is_told(world: World) -> None:
    one, two = await world.room(), await world.room()
    for room_id in (one, two):
        await world.ask(ALICE, "PUT", f"user/{ALICE}/rooms/{room_id}/account_data/a.b", {"n": 1})
    body = await world.sync(ALICE, filter={"room": {"account_data": {"not_rooms": [two]}}})
    assert [event["type"] for event in join(body, one)["account_data"]["events"]] == ["a.b"]
    assert "account_data" not in join(body, two)


async def test_an_initial_sync_tells_the_presence_that_is_known(present: World) -> None:
    await present.public_room(BOB)
    await present.sync(ALICE)
    senders = [event["sender"] for event in (await present.sync(BOB))["presence"]["events"]]
    assert senders == [ALICE, BOB]


async def test_set_presence_offline_leaves_the_user_as_he_is(present: World) -> None:
    await present.ask(ALICE, "PUT", f"presence/{ALICE}/status", {"presence": "unavailable"})
    await present.sync(ALICE, set_presence="offline")
    assert (await present.ask(ALICE, "GET", f"presence/{ALICE}/status"))["presence"] == "unavailable"


async def test_a_filter_leaves_presence_out(present: World) -> None:
    await present.public_room(BOB)
    await present.sync(ALICE)
    assert "presence" not in await present.sync(BOB, filter={"presence": {"types": []}})


async def test_without_presence_there_is_none(world: World) -> None:
    await world.public_room(BOB)
    await world.sync(ALICE)
    assert "presence" not in await world.sync(BOB)


# Tokens


async def test_a_token_from_the_future_begins_at_what_there_is(world: World) -> None:
    await world.room()
    body = await world.sync(ALICE, f"s{world.log.position + 1_000}")
    assert body["next_batch"] == f"s{world.log.position}"
    assert "rooms" not in body


async def test_a_token_from_the_future_acknowledges_no_to_device_message(world: World) -> None:
    await log_in(world, BOB)
    await tell_device(world, ALICE, BOB, 1)
    future = f"s{world.log.position + 1_000}"
    assert told(await world.sync(BOB, future)) == [1]
    assert told(await world.sync(BOB)) == [1]


async def test_a_token_is_good_after_a_restart(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.users(ALICE)
        room_id = await world.room()
        since = await token(world)
        await world.send(ALICE, room_id, "meanwhile")
    async with open_world(tmp_path) as world:
        timeline = join(await world.sync(ALICE, since), room_id)["timeline"]
        assert bodies(timeline["events"]) == ["meanwhile"]
        assert types(timeline["events"]) == ["m.room.message"]


@pytest.mark.parametrize("query", [{}, {"use_state_after": "true"}, {"filter": {"room": {"timeline": {"limit": 3}}}}])
async def test_a_token_older_than_the_ring_gets_the_same_answer(world: World, query: dict[str, Any]) -> None:
    since = await eventful(world)
    within = unordered(await world.sync(BOB, since, **query))
    assert within["rooms"].keys() == {"join", "leave", "invite"}
    world.log._ring_floor = world.log.position
    assert unordered(await world.sync(BOB, since, **query)) == within


async def test_a_token_older_than_the_ring_brings_no_room_without_news(world: World) -> None:
    _quiet, loud = await world.public_room(BOB), await world.public_room(BOB)
    since = await token(world, BOB)
    await world.send(ALICE, loud)
    world.log._ring_floor = world.log.position
    assert (await world.sync(BOB, since))["rooms"]["join"].keys() == {loud}


async def eventful(world: World) -> str:
    """A token of BOB's, after which all that can happen does."""
    for user_id in (ALICE, BOB):
        await log_in(world, user_id)
    talk, gone, read, typed = [await world.public_room(BOB, **ENCRYPTED) for _ in range(4)]
    new, invited = await world.public_room(), await world.room()
    assert len({talk, gone, read, typed, new, invited}) == 6
    event_id = await world.send(ALICE, read)
    since = await token(world, BOB)
    for number in range(15):
        await world.send(ALICE, talk, str(number))
    await world.set_state(ALICE, talk, "m.room.name", {"name": "new"})
    await world.join(CAROL, talk)
    await world.leave(BOB, gone)
    await world.join(BOB, new)
    await world.invite(ALICE, invited, BOB)
    await world.ask(ALICE, "POST", f"rooms/{read}/receipt/m.read/{event_id}", {})
    await world.ask(ALICE, "PUT", f"rooms/{typed}/typing/{ALICE}", {"typing": True, "timeout": 9_000})
    await world.ask(BOB, "PUT", f"user/{BOB}/account_data/x", {"n": 1})
    await world.ask(BOB, "PUT", f"user/{BOB}/rooms/{talk}/account_data/x", {"n": 1})
    await tell_device(world, ALICE, BOB, 1)
    await upload_keys(world, ALICE)
    return since


def unordered(body: Any) -> Any:
    """A response without the order of state, which means nothing."""
    for sections in body["rooms"].values():
        for told_of in sections.values():
            for part in ("state", "state_after"):
                told_of.get(part, {"events": []})["events"].sort(key=lambda event: event["event_id"])
    return body


# State


@pytest.mark.parametrize(("query", "part", "name"), [({}, "state", "old"), ({"use_state_after": "true"}, "state_after", "new")])
async def test_state_is_that_at_the_start_of_the_timeline_and_state_after_that_at_its_end(
    world: World, query: dict[str, Any], part: str, name: str
) -> None:
    room_id = await world.room(name="old")
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "new"})
    told_of = join(await world.sync(filter=LAST_ONE, **query), room_id)
    assert [event["content"]["name"] for event in told_of[part]["events"] if event["type"] == "m.room.name"] == [name]


@pytest.mark.parametrize("name", ["use_state_after", "org.matrix.msc4222.use_state_after"])
async def test_state_after_stands_in_the_place_of_state_though_it_is_empty(world: World, name: str) -> None:
    room_id = await world.room()
    since = await token(world)
    await world.send(ALICE, room_id)
    told_of = join(await world.sync(ALICE, since, **{name: "true"}), room_id)
    # Whoever knows the old name alone is answered under it.
    assert told_of[name.replace("use_", "")] == {"events": []}
    assert "state" not in told_of


async def test_state_after_is_there_for_a_room_left(world: World) -> None:
    room_id = await world.public_room(BOB)
    since = await token(world, BOB)
    await world.leave(BOB, room_id)
    told_of = section(await world.sync(BOB, since, use_state_after="true"), "leave", room_id)
    assert keys(told_of["state_after"]["events"]) == {("m.room.member", BOB)}
    assert "state" not in told_of


# The gap


async def test_messages_close_the_gap_of_a_limited_timeline(world: World) -> None:
    room_id = await world.room()
    since = await token(world)
    for number in range(8):
        await world.send(ALICE, room_id, str(number))
    timeline = join(await world.sync(ALICE, since, filter=LAST_ONE), room_id)["timeline"]
    gap = (await world.messages(ALICE, room_id, **{"from": timeline["prev_batch"], "to": since}))["chunk"]
    assert timeline["limited"] is True
    assert bodies(gap[::-1]) + bodies(timeline["events"]) == [str(number) for number in range(8)]


async def test_a_timeline_without_a_gap_is_not_limited(world: World) -> None:
    room_id = await world.room()
    since = await token(world)
    await world.send(ALICE, room_id)
    assert join(await world.sync(ALICE, since, filter=LAST_ONE), room_id)["timeline"]["limited"] is False


# What readers share


async def test_events_of_a_sync_have_no_room_id(world: World) -> None:
    room_id = await world.room(name="named")
    told_of = join(await world.sync(filter=LAST_ONE), room_id)
    events = (*told_of["state"]["events"], *told_of["timeline"]["events"])
    assert len(events) > 1
    assert all("room_id" not in event for event in events)


async def test_two_readers_of_the_same_span_get_the_same_bytes(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    since = world.log.position
    await world.say(ALICE, room_id, "hello", "t1")
    first, second = await raw(world, BOB, since), await raw(world, CAROL, since)
    assert first == second
    assert b"transaction_id" not in first


async def test_only_the_senders_device_gets_his_transaction_id_whoever_reads_first(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    since = world.log.position
    await world.say(ALICE, room_id, "hello", "t1")
    readers = ((ALICE, PHONE), (BOB, PHONE), (ALICE, LAPTOP), (ALICE, PHONE), (CAROL, PHONE))
    bodies_ = [await raw(world, user_id, since, device) for user_id, device in readers]
    assert [b'"transaction_id":"t1"' in body for body in bodies_] == [True, False, False, True, False]


async def raw(world: World, user_id: UserId, since: Position, device: DeviceId = PHONE) -> bytes:
    """The body of a sync as bytes."""
    return await world.service.sync(SyncRequest(Requester(user_id, device, 1), since, NO_FILTER))


# Unread counts


async def test_unread_counts_come_with_the_event_that_changed_them(tmp_path: Path) -> None:
    async with open_push_world(tmp_path) as world:
        await world.users(ALICE, BOB)
        room_id = await world.public_room(BOB)
        since = await token(world, BOB)
        event_id = await world.send(ALICE, room_id)
        body = await world.sync(BOB, since)
        assert bodies(join(body, room_id)["timeline"]["events"]) == ["hello"]
        assert join(body, room_id)["unread_notifications"] == {"notification_count": 1, "highlight_count": 0}
        await world.read(BOB, room_id, event_id, "m.read.private")
        counts = join(await world.sync(BOB, body["next_batch"]), room_id)["unread_notifications"]
        assert counts == {"notification_count": 0, "highlight_count": 0}


# Waiting


async def test_new_keys_wake_who_shares_a_room(world: World) -> None:
    await log_in(world, ALICE)
    await world.public_room(BOB)
    looking_up = asyncio.ensure_future(world.waiting.run())
    waiting = asyncio.ensure_future(world.sync(BOB, await token(world, BOB), timeout=30_000))
    await asyncio.sleep(0.01)
    await upload_keys(world, ALICE)
    async with asyncio.timeout(2):
        assert (await waiting)["device_lists"]["changed"] == [ALICE]
    looking_up.cancel()
    with suppress(asyncio.CancelledError):
        await looking_up


async def test_events_of_other_rooms_do_not_end_a_wait(world: World) -> None:
    room_id = await world.room()
    waiting = asyncio.ensure_future(world.sync(BOB, await token(world, BOB), timeout=30_000))
    await asyncio.sleep(0.01)
    await world.send(ALICE, room_id)
    await asyncio.sleep(0.01)
    assert not waiting.done()
    world.clock.advance(30_000)
    async with asyncio.timeout(2):
        assert "rooms" not in await waiting


async def test_a_stop_answers_who_waits(world: World) -> None:
    waiting = asyncio.ensure_future(world.sync(BOB, await token(world, BOB), timeout=30_000))
    await asyncio.sleep(0.01)
    world.stopping.set()
    world.waiting.wake_all()
    async with asyncio.timeout(2):
        assert (await waiting)["next_batch"] == f"s{world.log.position}"


async def test_an_initial_sync_does_not_wait(world: World) -> None:
    async with asyncio.timeout(2):
        assert "next_batch" in await world.sync(ALICE, timeout=30_000)
