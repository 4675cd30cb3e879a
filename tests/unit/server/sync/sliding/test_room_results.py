"""What is said of one room: its name and people, its state and timeline, first whole and then what is new."""

import asyncio
from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, DAVE, bodies
from tests.unit.server.sync.sliding.windows import (
    ACCEPTED,
    Client,
    SlidingWorld,
    accepted_window,
    addresses,
    subscription,
    window,
)

ALL = ["*", "*"]
LAZY = ["m.room.member", "$LAZY"]


# Name, picture, people


async def test_a_room_without_a_name_has_heroes(world: SlidingWorld) -> None:
    await world.ask(BOB, "PUT", f"profile/{BOB}/displayname", {"displayname": "Bob"})
    room_id = await world.public_room(BOB)
    await world.invite(ALICE, room_id, CAROL)
    room = await Client(world, lists={"all": window()}).room(room_id)
    assert room["heroes"] == [{"user_id": BOB, "displayname": "Bob"}, {"user_id": CAROL}]
    assert (room["joined_count"], room["invited_count"]) == (2, 1)
    assert not {"name", "avatar", "is_dm"} & room.keys()


async def test_a_change_of_the_name_and_the_picture_is_told_and_their_removal_is_null(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB, name="One")
    client = Client(world, lists={"all": window()})
    assert "heroes" not in await client.room(room_id)
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "Two"})
    await world.set_state(ALICE, room_id, "m.room.avatar", {"url": "mxc://here.example/a"})
    room = await client.room(room_id)
    assert (room["name"], room["avatar"]) == ("Two", "mxc://here.example/a")
    assert "joined_count" not in room
    await world.send(ALICE, room_id)
    assert not {"name", "avatar"} & (await client.room(room_id)).keys()
    await world.set_state(ALICE, room_id, "m.room.name", {"name": ""})
    await world.set_state(ALICE, room_id, "m.room.avatar", {})
    room = await client.room(room_id)
    assert (room["name"], room["avatar"]) == (None, None)
    assert [hero["user_id"] for hero in room["heroes"]] == [BOB]


async def test_who_comes_and_goes_changes_counts_and_heroes(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB)
    client = Client(world, lists={"all": window()})
    await client.ask()
    await world.join(CAROL, room_id)
    room = await client.room(room_id)
    assert (room["joined_count"], [hero["user_id"] for hero in room["heroes"]]) == (3, [BOB, CAROL])


async def test_direct_rooms_are_marked_when_they_become_so_and_when_they_are_no_more(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB)
    client = Client(world, lists={"all": window()})
    await client.ask()
    path = f"user/{ALICE}/account_data/m.direct"
    await world.ask(ALICE, "PUT", path, {BOB: [room_id, 7], CAROL: "nonsense"})
    assert await client.room(room_id) == {"is_dm": True}
    anew = await Client(world, conn_id="new", lists={"all": window()}).room(room_id)
    assert anew["is_dm"] is True
    await world.ask(ALICE, "PUT", path, {})
    assert await client.room(room_id) == {"is_dm": False}
    assert (await client.ask())["rooms"] == {}


async def test_the_accepted_form_tells_membership_and_lists_and_no_counts(world: SlidingWorld) -> None:
    room_id = await world.room()
    lists = {"one": accepted_window(), "two": accepted_window(), "none": accepted_window(5, 9)}
    room = await Client(world, form=ACCEPTED, lists=lists).room(room_id)
    assert (room["membership"], room["lists"]) == ("join", ["one", "two"])
    assert not {"notification_count", "highlight_count"} & room.keys()
    subscribed = {room_id: {"timeline_limit": 1, "required_state": {}}}
    room = await Client(world, form=ACCEPTED, conn_id="new", room_subscriptions=subscribed).room(room_id)
    assert "lists" not in room


# Bump stamps


async def test_only_what_people_care_about_bumps(world: SlidingWorld) -> None:
    room_id = await world.room()
    client = Client(world, lists={"all": window()})
    created = (await client.room(room_id))["bump_stamp"]
    await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "dull"})
    assert "bump_stamp" not in await client.room(room_id)
    await world.send(ALICE, room_id)
    stamp = (await client.room(room_id))["bump_stamp"]
    assert stamp == world.log.position > created


async def test_of_an_invite_the_stamp_is_the_invite(world: SlidingWorld) -> None:
    room_id = await world.room()
    await world.invite(ALICE, room_id, BOB)
    position = world.log.position
    await world.send(ALICE, room_id)
    assert (await Client(world, BOB, lists={"all": window()}).room(room_id))["bump_stamp"] == position


# Required state


async def test_state_is_told_as_wanted_and_then_as_it_changes(world: SlidingWorld) -> None:
    room_id = await world.room(name="One")
    await world.set_state(ALICE, room_id, "a.b", {"n": 1}, "x")
    await world.set_state(ALICE, room_id, "a.b", {"n": 1}, "y")
    client = Client(world, lists={"all": window(state=[["m.room.name", ""], ["a.b", "*"], ["none", ""]])})
    assert addresses(await client.room(room_id)) == {("m.room.name", ""), ("a.b", "x"), ("a.b", "y")}
    await world.set_state(ALICE, room_id, "a.b", {"n": 2}, "x")
    await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "unwanted"})
    room = await client.room(room_id)
    assert [event["content"] for event in room["required_state"]] == [{"n": 2}]
    assert [event["type"] for event in room["timeline"]] == ["a.b", "m.room.topic"]


async def test_wildcards_and_oneself(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB)

    async def told(*state: list[str]) -> set[tuple[str, str]]:
        return addresses(await Client(world, lists={"all": window(limit=0, state=state)}).room(room_id))

    everything = await told(ALL)
    assert {("m.room.create", ""), ("m.room.member", ALICE), ("m.room.member", BOB)} <= everything
    assert await told(["m.room.member", "$ME"]) == {("m.room.member", ALICE)}
    assert await told(["*", BOB]) == {("m.room.member", BOB)}
    assert await told(["*", ""]) == {key for key in everything if not key[1]}
    assert await told(ALL, LAZY) == {key for key in everything if key[0] != "m.room.member"}
    assert await told(LAZY, ["m.room.member", "*"]) == {key for key in everything if key[0] == "m.room.member"}
    assert await told() == set()


async def test_include_and_exclude(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB)

    async def told(**state: Any) -> set[tuple[str, str]]:
        lists = {"all": accepted_window(limit=0, state=state)}
        return addresses(await Client(world, form=ACCEPTED, lists=lists).room(room_id))

    everything = await told(include=[{}])
    assert ("m.room.member", BOB) in everything
    assert await told(include=[{}], exclude=[{"type": "m.room.create", "state_key": ""}]) == everything - {
        ("m.room.create", "")
    }
    assert await told(include=[{"state_key": BOB}]) == {("m.room.member", BOB)}
    assert await told(include=[{}], exclude=[{"type": "m.room.member"}]) == {key for key in everything if not key[1]}
    assert await told(include=[{}], lazy_members=True) == {key for key in everything if key[0] != "m.room.member"}
    assert await told() == set()


async def test_more_state_is_told_at_once_and_what_the_client_has_is_not(world: SlidingWorld) -> None:
    room_id = await world.room(name="One", topic="T")
    client = Client(world, lists={"all": window(state=[["m.room.name", ""]])})
    await client.ask()
    room = await client.room(room_id, lists={"all": window(state=[["m.room.name", ""], ["m.room.topic", ""]])})
    assert addresses(room) == {("m.room.topic", "")}
    assert "timeline" not in room
    # Back and forth between two rooms' worth of state costs nothing.
    assert (await client.ask(lists={"all": window(state=[["m.room.name", ""]])}))["rooms"] == {}
    assert (await client.ask(lists={"all": window(state=[["m.room.name", ""], ["m.room.topic", ""]])}))["rooms"] == {}


async def test_state_that_changed_while_it_was_not_wanted_is_told_when_it_is_again(world: SlidingWorld) -> None:
    room_id = await world.room(name="One", topic="T")
    more = {room_id: subscription(["m.room.topic", ""], ["m.room.name", ""])}
    client = Client(world, lists={"all": window(state=[["m.room.name", ""]])}, room_subscriptions=more)
    await client.ask()
    await client.ask(room_subscriptions={})
    await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "new"})
    assert addresses(await client.room(room_id)) == set()
    room = await client.room(room_id, room_subscriptions=more)
    assert [event["content"] for event in room["required_state"]] == [{"topic": "new"}]


async def test_state_that_changed_without_an_event_is_told_and_wakes(world: SlidingWorld) -> None:
    """State resolution may do that; what it took away has a stub in the accepted form."""
    room_id = await world.room(name="one")
    room = await world.reader.room(room_id)
    assert room is not None
    before = dict(room.state)
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "two"})
    await world.set_state(ALICE, room_id, "a.b", {}, "gone")
    state = {"include": [{}], "exclude": [{"type": "m.room.member"}]}
    client = Client(world, form=ACCEPTED, lists={"all": accepted_window(state=state)})
    await client.ask()
    waiting = asyncio.ensure_future(client.room(room_id, timeout=30_000))
    await asyncio.sleep(0.01)
    async with world.registry.locked(room_id), world.writer.appending(room) as (tx, durable):
        await world.appender.adopt_state(tx, room, before, {})
    await durable()
    told = await asyncio.wait_for(waiting, 5)
    assert told["name"] == "one"
    assert addresses(told) == {("m.room.name", ""), ("a.b", "gone")}
    assert [event for event in told["required_state"] if "content" not in event] == [{"type": "a.b", "state_key": "gone"}]
    assert "timeline" not in told


# Members who appear


async def test_members_are_told_with_what_they_say(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB, CAROL)
    await world.send(BOB, room_id)
    client = Client(world, lists={"all": window(limit=1, state=[LAZY])})
    assert addresses(await client.room(room_id)) == {("m.room.member", BOB)}
    await world.send(CAROL, room_id)
    assert addresses(await client.room(room_id)) == {("m.room.member", CAROL)}
    await world.send(BOB, room_id)
    assert addresses(await client.room(room_id)) == set()


async def test_changes_of_members_are_told_unless_something_was_left_out(world: SlidingWorld) -> None:
    await world.users(DAVE)
    room_id = await world.public_room(BOB)
    await world.send(ALICE, room_id)
    client = Client(world, lists={"all": window(limit=3, state=[LAZY])})
    await client.ask()
    await world.join(CAROL, room_id)
    assert addresses(await client.room(room_id)) == {("m.room.member", CAROL)}
    await world.join(DAVE, room_id)
    for _ in range(4):
        await world.send(BOB, room_id)
    room = await client.room(room_id)
    assert room["limited"] is True
    assert addresses(room) == {("m.room.member", BOB)}
    # The client forgot whom it knew, and so did we.
    await world.send(CAROL, room_id)
    assert addresses(await client.room(room_id)) == {("m.room.member", CAROL)}


async def test_whom_a_member_event_is_about_is_told_as_he_is_now(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB)
    client = Client(world, lists={"all": window(limit=2, state=[LAZY])})
    await client.ask()
    await world.ask(ALICE, "POST", f"rooms/{room_id}/kick", {"user_id": BOB})
    room = await client.room(room_id)
    assert [event["content"]["membership"] for event in room["required_state"]] == ["leave"]


# Timeline


@pytest.mark.parametrize("limit", [0, 1, 3, 50])
async def test_the_timeline_has_the_newest_events_and_a_way_back(world: SlidingWorld, limit: int) -> None:
    room_id = await world.room()
    for number in range(4):
        await world.send(ALICE, room_id, str(number))
    room = await Client(world, lists={"all": window(limit=limit)}).room(room_id)
    seen = bodies(room["timeline"])
    assert seen == ["0", "1", "2", "3"][4 - min(limit, 4) :]
    assert room["limited"] is (limit < 10)
    before = await world.messages(ALICE, room_id, **{"from": room["prev_batch"]})
    assert bodies(before["chunk"])[::-1] + seen == ["0", "1", "2", "3"]


async def test_a_position_is_a_token_for_pages(world: SlidingWorld) -> None:
    room_id = await world.room()
    await world.send(ALICE, room_id, "before")
    client = Client(world, lists={})
    pos = (await client.ask())["pos"]
    await world.send(ALICE, room_id, "after")
    assert bodies((await world.messages(ALICE, room_id, **{"from": pos}))["chunk"])[0] == "before"
    assert bodies((await world.messages(ALICE, room_id, dir="f", **{"from": pos}))["chunk"]) == ["after"]


async def test_hidden_history_stays_hidden(world: SlidingWorld) -> None:
    visibility = {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}
    room_id = await world.room(preset="public_chat", initial_state=[visibility])
    await world.send(ALICE, room_id, "before")
    await world.join(BOB, room_id)
    await world.send(ALICE, room_id, "after")
    room = await Client(world, BOB, lists={"all": window(limit=50)}).room(room_id)
    assert bodies(room["timeline"]) == ["after"]


async def test_what_happened_since_the_last_response_is_live(world: SlidingWorld) -> None:
    old, new = await world.room(), await world.room()
    await world.send(ALICE, old, "old")
    await world.send(ALICE, new, "old")
    client = Client(world, lists={"all": window((0, 0))})
    await client.ask()
    await world.send(ALICE, old, "live")
    room = await client.room(old)
    assert (room["initial"], room["num_live"]) == (True, 1)


async def test_what_relates_to_events_is_bundled_where_something_was_left_out(world: SlidingWorld) -> None:
    room_id = await world.room()
    event_id = await world.send(ALICE, room_id, "root")
    reply = {"m.relates_to": {"rel_type": "m.thread", "event_id": event_id}}
    await world.send(ALICE, room_id, "reply", **reply)
    for limit, bundled in ((2, True), (50, False)):
        room = await Client(world, lists={"all": window(limit=limit)}).room(room_id)
        root = next(event for event in room["timeline"] if event["event_id"] == event_id)
        assert ("m.relations" in root["unsigned"]) is bundled
