from typing import Any

import pytest

from tests.unit.server.push.world import ALICE, BOB, PushWorld
from watchword.protocol.push_rules import Actions
from watchword.server.push.notifications import actions_json
from watchword.server.rooms.commands import SendEvent


async def bodies(world: PushWorld, **query: Any) -> list[str]:
    answer = await world.ask(BOB, "GET", "notifications", **query)
    return [entry["event"]["content"]["body"] for entry in answer["notifications"]]


async def test_the_newest_of_all_rooms_come_first(world: PushWorld) -> None:
    one, two = await world.two_rooms(BOB)
    for room, text in ((one, "1"), (two, "2"), (one, "3"), (two, "4")):
        await world.send(ALICE, room, text)
    await world.send(BOB, one, "mine")
    assert await bodies(world) == ["4", "3", "2", "1"]
    assert await bodies(world, limit=1) == ["4"]


async def test_pages_go_on_where_the_last_ended(world: PushWorld) -> None:
    one, two = await world.two_rooms(BOB)
    for number in range(6):
        await world.send(ALICE, (one, two)[number % 2], str(number))
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 4}
    while True:
        answer = await world.ask(BOB, "GET", "notifications", **query)
        seen += [entry["event"]["content"]["body"] for entry in answer["notifications"]]
        if "next_token" not in answer:
            break
        query["from"] = answer["next_token"]
    assert seen == ["5", "4", "3", "2", "1", "0"]


async def test_each_says_what_was_to_be_done_and_whether_it_is_read(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    first = await world.send(ALICE, room)
    await world.read(BOB, room, first)
    await world.send(ALICE, room)
    newest, oldest = (await world.ask(BOB, "GET", "notifications"))["notifications"]
    assert (newest["read"], oldest["read"]) == (False, True)
    assert oldest["event"]["event_id"] == first
    assert oldest["room_id"] == room
    assert oldest["ts"] == world.clock.now_ms()
    assert oldest["actions"][0] == "notify"


async def test_what_is_not_to_be_seen_is_left_out(world: PushWorld) -> None:
    room = await world.public_room()
    await world.send(ALICE, room, "before")
    await world.join(BOB, room)
    gone = await world.send(ALICE, room, "gone")
    await world.writer.send(SendEvent(room, ALICE, "m.room.redaction", {"redacts": gone}, redacts=gone))
    await world.send(ALICE, room, "here")
    assert await bodies(world) == ["here"]
    await world.ask(BOB, "PUT", f"user/{BOB}/account_data/m.ignored_user_list", {"ignored_users": {ALICE: {}}})
    assert await bodies(world) == []


async def test_only_loud_ones_on_request(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    await world.send(ALICE, room, "silent")
    await world.writer.send(SendEvent(room, ALICE, "m.room.message", {"body": "loud", "m.mentions": {"user_ids": [BOB]}}))
    assert await bodies(world, only="highlight") == ["loud"]


async def test_rooms_that_were_left_have_none(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    await world.send(ALICE, room)
    await world.leave(BOB, room)
    assert await bodies(world) == []


def test_actions_are_shown_as_rules_have_them() -> None:
    actions = ["notify", {"set_tweak": "sound", "value": "ring"}, {"set_tweak": "highlight", "value": True}]
    assert actions_json(Actions.of(actions)) == actions
    assert actions_json(Actions()) == []


async def test_what_lies_behind_many_other_events_is_found(world: PushWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchword.server.push.notifications._EVENTS_MAX", 3)
    room = await world.public_room(BOB)
    await world.send(ALICE, room, "old")
    for number in range(7):
        await world.send(BOB, room, f"mine {number}")
    assert await bodies(world) == ["old"]
    for number in range(20):
        await world.send(BOB, room, f"mine {number} too")
    # There is an end to looking.
    assert await bodies(world) == []


async def test_highlights_are_found_behind_many_others(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    await world.send(ALICE, room, "loud", **{"m.mentions": {"user_ids": [BOB]}})
    for number in range(4):
        await world.send(ALICE, room, str(number))
    assert await bodies(world, only="highlight", limit=2) == ["loud"]


async def test_threads_are_read_by_themselves(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    root = await world.send(ALICE, room, "root")
    last = await world.send(ALICE, room, "in it", **{"m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    await world.read(BOB, room, last, thread_id=root)
    answer = await world.ask(BOB, "GET", "notifications")
    assert [entry["read"] for entry in answer["notifications"]] == [True, False]
