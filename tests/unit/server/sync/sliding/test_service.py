"""A client's rooms through its windows: each told once, then what is new."""

import asyncio
from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, EVE, LAPTOP, World, bodies
from tests.unit.server.sync.answers import ENCRYPTED, log_in, upload_keys
from tests.unit.server.sync.sliding.windows import (
    ACCEPTED,
    Client,
    SlidingWorld,
    accepted_window,
    subscription,
    window,
)
from watchword.protocol.ids import EventId, RoomId
from watchword.protocol.room_versions import ROOM_VERSIONS
from watchword.server.rooms.out_of_band import OutOfBand, Told


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def rooms_of(world: World, count: int) -> list[RoomId]:
    """Rooms of ALICE's with a message each, the newest first."""
    made = []
    for number in range(count):
        room_id = await world.room(name=f"Room {number}")
        await world.send(ALICE, room_id, f"hello {number}")
        made.append(room_id)
    return made[::-1]


async def test_a_window_shows_its_rooms_in_order_of_their_last_event(world: SlidingWorld) -> None:
    newest = await rooms_of(world, 4)
    client = Client(world, lists={"all": window((0, 1), limit=1)})
    answer = await client.ask()
    assert answer["lists"] == {"all": {"count": 4}}
    assert list(answer["rooms"]) == newest[:2]
    room = answer["rooms"][newest[0]]
    assert room["initial"] is True
    assert room["name"] == "Room 3"
    assert (bodies(room["timeline"]), room["limited"], room["num_live"]) == (["hello 3"], True, 0)
    assert (room["joined_count"], room["invited_count"]) == (1, 0)
    assert (room["notification_count"], room["highlight_count"]) == (0, 0)


async def test_a_larger_window_tells_only_the_rooms_that_were_not_told(world: SlidingWorld) -> None:
    newest = await rooms_of(world, 5)
    client = Client(world, lists={"all": window((0, 1))})
    await client.ask()
    answer = await client.ask(lists={"all": window((0, 3))})
    assert list(answer["rooms"]) == newest[2:4]
    assert (await client.ask())["rooms"] == {}


async def test_what_is_new_is_told_once_and_in_a_room_that_was_told(world: SlidingWorld) -> None:
    newest = await rooms_of(world, 2)
    client = Client(world, lists={"all": window((0, 9))})
    await client.ask()
    await world.send(ALICE, newest[1], "news")
    answer = await client.ask()
    assert list(answer["rooms"]) == [newest[1]]
    room = answer["rooms"][newest[1]]
    assert "initial" not in room
    assert "name" not in room
    assert (bodies(room["timeline"]), room["limited"], room["num_live"]) == (["news"], False, 1)
    assert (await client.ask())["rooms"] == {}


async def test_a_room_outside_the_window_is_told_when_something_brings_it_into_it(world: SlidingWorld) -> None:
    newest = await rooms_of(world, 3)
    client = Client(world, lists={"all": window((0, 0), limit=5)})
    await client.ask()
    await world.send(ALICE, newest[2], "bump")
    room = (await client.ask())["rooms"][newest[2]]
    assert room["initial"] is True
    assert bodies(room["timeline"]) == ["hello 0", "bump"]
    assert room["num_live"] == 1


async def test_what_a_room_missed_while_it_was_outside_is_told_when_it_comes_back(world: SlidingWorld) -> None:
    first, second = await rooms_of(world, 2)
    client = Client(world, lists={"all": window((0, 0), limit=2)})
    await client.ask()
    await world.send(ALICE, second, "up")
    await client.ask()
    for number in range(3):
        await world.send(ALICE, first, f"unseen {number}")
        await world.send(ALICE, second, "up again")
    await client.ask()
    room = await client.room(first, lists={"all": window((0, 1), limit=2)})
    assert "initial" not in room
    assert (bodies(room["timeline"]), room["limited"]) == (["unseen 1", "unseen 2"], True)
    page = await world.messages(ALICE, first, **{"from": room["prev_batch"]})
    assert bodies(page["chunk"])[:2] == ["unseen 0", "hello 1"]


async def test_the_last_position_may_be_repeated_and_loses_nothing(world: SlidingWorld) -> None:
    newest = await rooms_of(world, 3)
    client = Client(world, lists={"all": window((0, 0))})
    first = (await client.ask())["pos"]
    await world.send(ALICE, newest[0], "lost on its way")
    lost = await client.ask()
    again = await client.ask(pos=first)
    assert bodies(again["rooms"][newest[0]]["timeline"]) == ["lost on its way"]
    assert again["pos"] != lost["pos"]
    other = await client.ask(pos=first, lists={"all": window((0, 1))})
    assert bodies(other["rooms"][newest[0]]["timeline"]) == ["lost on its way"]
    assert other["rooms"][newest[1]]["initial"] is True
    # Now that one of the answers is acknowledged, what was before is over.
    await client.ask()
    assert await refusal(client, first) == "M_UNKNOWN_POS"


async def refusal(client: Client, pos: str) -> str:
    query = {} if client.form == ACCEPTED else {"pos": pos}
    body = {**client.body, "pos": pos} if client.form == ACCEPTED else client.body
    status, errcode = await client.world.refused(client.user_id, "POST", client.form, body, device=client.device, **query)
    assert status == 400
    return errcode


async def test_a_position_belongs_to_its_user_device_and_connection(world: SlidingWorld) -> None:
    client = Client(world, lists={})
    pos = (await client.ask())["pos"]
    strangers = (
        Client(world, BOB, lists={}),
        Client(world, device=LAPTOP, lists={}),
        Client(world, lists={}, conn_id="other"),
    )
    for stranger in strangers:
        assert await refusal(stranger, pos) == "M_UNKNOWN_POS"
    for nonsense in ("nonsense", "p1", f"{pos}1", "p9999999_0_AAAAAAAA"):
        assert await refusal(client, nonsense) == "M_UNKNOWN_POS"
    assert await client.ask(pos=pos)


async def test_connections_of_a_device_know_nothing_of_one_another(world: SlidingWorld) -> None:
    (room_id,) = await rooms_of(world, 1)
    for name in ("one", "two"):
        answer = await Client(world, lists={"all": window()}, conn_id=name).ask()
        assert answer["rooms"][room_id]["initial"] is True


async def test_a_request_without_a_position_begins_anew(world: SlidingWorld) -> None:
    (room_id,) = await rooms_of(world, 1)
    client = Client(world, lists={"all": window()})
    old = (await client.ask())["pos"]
    client.pos = None
    assert (await client.ask())["rooms"][room_id]["initial"] is True
    assert await refusal(client, old) == "M_UNKNOWN_POS"


async def test_a_subscription_tells_a_room_whatever_the_windows(world: SlidingWorld) -> None:
    newest = await rooms_of(world, 3)
    client = Client(world, lists={"all": window((0, 0), limit=1)})
    await client.ask()
    room = await client.room(newest[2], room_subscriptions={newest[2]: subscription(["m.room.create", ""])})
    assert room["initial"] is True
    assert [event["type"] for event in room["required_state"]] == ["m.room.create"]
    await client.ask(room_subscriptions={})
    await world.send(ALICE, newest[2], "not asked for")
    await world.send(ALICE, newest[0], "on top")
    assert list((await client.ask())["rooms"]) == [newest[0]]


async def test_subscriptions_to_what_the_user_may_not_see_are_left_alone(world: SlidingWorld) -> None:
    secret = await world.room(BOB)
    client = Client(world, room_subscriptions={secret: subscription(), "!none:here.example": subscription()})
    assert (await client.ask())["rooms"] == {}


async def test_a_grown_timeline_is_told_at_once(world: SlidingWorld) -> None:
    (room_id,) = await rooms_of(world, 1)
    for number in range(5):
        await world.send(ALICE, room_id, str(number))
    client = Client(world, lists={"all": window(limit=2)})
    assert bodies((await client.room(room_id))["timeline"]) == ["3", "4"]
    room = await client.room(room_id, timeout=30_000, lists={"all": window(limit=4)})
    assert room["unstable_expanded_timeline"] is True
    assert "initial" not in room
    assert (bodies(room["timeline"]), room["num_live"], room["limited"]) == (["1", "2", "3", "4"], 0, True)
    # Less, and more again, up to what the client has: nothing.
    assert (await client.ask(lists={"all": window(limit=1)}))["rooms"] == {}
    assert (await client.ask(lists={"all": window(limit=4)}))["rooms"] == {}


async def test_a_timeline_that_was_told_whole_does_not_grow(world: SlidingWorld) -> None:
    (room_id,) = await rooms_of(world, 1)
    client = Client(world, lists={"all": window(limit=50)})
    assert (await client.room(room_id))["limited"] is False
    assert (await client.ask(lists={"all": window(limit=99)}))["rooms"] == {}


async def test_a_request_waits_for_what_concerns_it(world: SlidingWorld) -> None:
    newest = await rooms_of(world, 2)
    client = Client(world, lists={"all": window((0, 0))})
    await client.ask()
    waiting = asyncio.ensure_future(client.ask(timeout=30_000))
    await settle()
    assert not waiting.done()
    private = await world.room(BOB)
    await world.send(BOB, private)
    await world.ask(ALICE, "PUT", f"rooms/{newest[0]}/typing/{ALICE}", {"typing": True})
    await settle()
    assert not waiting.done()
    await world.send(ALICE, newest[0], "news")
    answer = await asyncio.wait_for(waiting, 5)
    assert bodies(answer["rooms"][newest[0]]["timeline"]) == ["news"]


async def test_a_wait_ends_with_its_time(world: SlidingWorld) -> None:
    await rooms_of(world, 1)
    client = Client(world, lists={"all": window()})
    first = (await client.ask())["pos"]
    waiting = asyncio.ensure_future(client.ask(timeout=1_000))
    await settle()
    world.clock.advance(1_000)
    answer = await asyncio.wait_for(waiting, 5)
    assert (answer["rooms"], answer["lists"]) == ({}, {"all": {"count": 1}})
    assert answer["pos"] != first


async def test_the_server_stops_and_everybody_is_answered(world: SlidingWorld) -> None:
    client = Client(world, lists={"all": window()})
    await client.ask()
    waiting = asyncio.ensure_future(client.ask(timeout=30_000))
    await settle()
    world.stopping.set()
    world.waiting.wake_all()
    assert (await asyncio.wait_for(waiting, 5))["rooms"] == {}


@pytest.mark.parametrize("form", ["in use", "accepted"])
async def test_whoever_leaves_is_told_once_and_begins_anew_when_he_comes_back(world: SlidingWorld, form: str) -> None:
    room_id = await world.public_room(BOB)
    if form == "accepted":
        client = Client(world, BOB, form=ACCEPTED, lists={"all": accepted_window()})
    else:
        client = Client(world, BOB, lists={"all": window()})
    await client.ask()
    await world.leave(BOB, room_id)
    await world.send(ALICE, room_id, "not for him")
    answer = await client.ask()
    room = answer["rooms"][room_id]
    assert [event["content"]["membership"] for event in room["timeline"]] == ["leave"]
    assert [event["state_key"] for event in room["required_state"]] == [BOB]
    assert answer["lists"]["all"]["count"] == 0
    if form == "accepted":
        assert room["membership"] == "leave"
    assert (await client.ask())["rooms"] == {}
    await world.join(BOB, room_id)
    assert (await client.ask())["rooms"][room_id]["initial"] is True


async def test_whoever_left_before_is_not_told(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB)
    await world.leave(BOB, room_id)
    assert (await Client(world, BOB, lists={"all": window()}).ask())["lists"] == {"all": {"count": 0}}


@pytest.mark.parametrize("how", ["kick", "ban"])
async def test_whoever_was_thrown_out_is_told_always(world: SlidingWorld, how: str) -> None:
    room_id = await world.public_room(BOB)
    client = Client(world, BOB, lists={"all": window()})
    await client.ask()
    await world.send(ALICE, room_id, "before")
    await world.ask(ALICE, "POST", f"rooms/{room_id}/{how}", {"user_id": BOB})
    await world.send(ALICE, room_id, "after")
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "secret"})
    room = await client.room(room_id)
    assert bodies(room["timeline"]) == ["before"]
    assert (await client.ask())["rooms"] == {}
    fresh = await Client(world, BOB, conn_id="new", lists={"all": window()}).ask()
    assert fresh["lists"]["all"]["count"] == 1
    assert fresh["rooms"][room_id]["initial"] is True
    assert "secret" not in str(fresh)
    assert "after" not in str(fresh)
    assert fresh["rooms"][room_id]["required_state"][0]["state_key"] == BOB
    await world.ask(BOB, "POST", f"rooms/{room_id}/forget", {})
    assert (await Client(world, BOB, conn_id="newer", lists={"all": window()}).ask())["rooms"] == {}


async def test_whoever_was_banned_without_ever_having_joined_is_told_nothing(world: SlidingWorld) -> None:
    room_id = await world.room()
    await world.ask(ALICE, "POST", f"rooms/{room_id}/ban", {"user_id": BOB})
    assert (await Client(world, BOB, lists={"all": window()}).ask())["lists"]["all"]["count"] == 0


@pytest.mark.parametrize("form", ["in use", "accepted"])
async def test_invites_come_with_stripped_state_and_end_with_a_word(world: SlidingWorld, form: str) -> None:
    client = Client(world, BOB, lists={"all": window()})
    name = "invite_state"
    if form == "accepted":
        client, name = Client(world, BOB, form=ACCEPTED, lists={"all": accepted_window()}), "stripped_state"
    await client.ask()
    room_id = await world.room(name="Party")
    await world.invite(ALICE, room_id, BOB)
    await world.send(ALICE, room_id, "secret")
    room = await client.room(room_id)
    assert {"m.room.create", "m.room.name", "m.room.member"} <= {event["type"] for event in room[name]}
    assert "timeline" not in room
    assert (await client.ask())["rooms"] == {}
    await world.leave(BOB, room_id)
    room = await client.room(room_id)
    assert [event["content"]["membership"] for event in room["required_state"]] == ["leave"]
    if form == "accepted":
        assert room["membership"] == "leave"
        assert [event["content"] for event in room[name]] == [{"membership": "leave"}]
    else:
        assert name not in room
    assert (await client.ask())["rooms"] == {}


async def test_an_invite_that_is_taken_becomes_a_room(world: SlidingWorld) -> None:
    client = Client(world, BOB, lists={"all": window()})
    room_id = await world.room()
    await world.invite(ALICE, room_id, BOB)
    assert "invite_state" in await client.room(room_id)
    await world.join(BOB, room_id)
    room = await client.room(room_id)
    assert room["initial"] is True
    assert room["joined_count"] == 2
    assert "invite_state" not in room


async def test_knocks_are_shown(world: SlidingWorld) -> None:
    rules = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    room_id = await world.room(initial_state=[rules])
    await world.ask(BOB, "POST", f"knock/{room_id}", {})
    client = Client(world, BOB, form=ACCEPTED, lists={"all": accepted_window()})
    room = await client.room(room_id)
    assert (room["membership"], room["lists"]) == ("knock", ["all"])
    assert room["stripped_state"]


async def test_invites_of_ignored_users_are_hidden(world: SlidingWorld) -> None:
    client = Client(world, BOB, lists={"all": window()})
    await client.ask()
    content: dict[str, Any] = {"ignored_users": {ALICE: {}}}
    await world.ask(BOB, "PUT", f"user/{BOB}/account_data/m.ignored_user_list", content)
    await world.invite(ALICE, await world.room(), BOB)
    assert (await client.ask())["lists"]["all"]["count"] == 0
    await world.ask(BOB, "PUT", f"user/{BOB}/account_data/m.ignored_user_list", {"ignored_users": {}})
    assert (await client.ask())["lists"]["all"]["count"] == 1


async def test_messages_of_ignored_users_are_left_out(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB, CAROL)
    client = Client(world, BOB, lists={"all": window()})
    await client.ask()
    await world.ask(BOB, "PUT", f"user/{BOB}/account_data/m.ignored_user_list", {"ignored_users": {CAROL: {}}})
    await world.send(CAROL, room_id, "ignored")
    assert (await client.ask())["rooms"] == {}
    await world.send(ALICE, room_id, "heard")
    assert bodies((await client.room(room_id))["timeline"]) == ["heard"]


async def test_a_long_list_is_told_in_parts(world: SlidingWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchword.base.limits.sliding_rooms_per_response_max", 2)
    newest = await rooms_of(world, 5)
    client = Client(world, lists={"all": window()})
    told = [list((await client.ask())["rooms"]) for _ in range(4)]
    assert told == [newest[:2], newest[2:4], newest[4:], []]


async def test_a_client_that_was_away_for_long_loses_nothing(world: SlidingWorld) -> None:
    newest = await rooms_of(world, 2)
    client = Client(world, lists={"all": window()})
    await client.ask()
    await world.send(ALICE, newest[1], "while away")
    world.log._ring_floor = world.log.position
    del world.log._ring[:]
    answer = await client.ask()
    assert list(answer["rooms"]) == [newest[1]]
    assert bodies(answer["rooms"][newest[1]]["timeline"]) == ["while away"]


async def test_an_invite_to_a_room_of_another_server_is_shown_and_its_end(world: SlidingWorld) -> None:
    far, eve = RoomId("!far:there.example"), EVE
    member = {"type": "m.room.member", "state_key": BOB, "sender": eve, "content": {"membership": "invite"}}
    create = {"type": "m.room.create", "state_key": "", "sender": eve, "content": {"type": "m.space"}}
    out_of_band = OutOfBand(world.writer, world.memberships, world.log, world.reader.server_name)
    client = Client(world, BOB, lists={"all": window(filters={"room_types": ["m.space"]})})
    await client.ask()
    version = ROOM_VERSIONS["11"]
    await out_of_band.record(far, version, Told(BOB, "invite", EventId("$invite"), eve, [create, member]))
    assert (await client.room(far))["invite_state"] == [create, member]
    await out_of_band.record(far, version, Told(BOB, "leave", EventId("$leave"), eve))
    answer = await client.ask()
    assert answer["lists"] == {"all": {"count": 0}}
    (event,) = answer["rooms"][far]["required_state"]
    assert (event["state_key"], event["sender"], event["content"]) == (BOB, eve, {"membership": "leave"})
    assert (await client.ask())["rooms"] == {}


async def test_whoever_waits_long_looks_at_nothing_twice(world: SlidingWorld) -> None:
    (room_id,) = await rooms_of(world, 1)
    client = Client(world, lists={"all": window()}, extensions={"account_data": {"enabled": True}})
    pos = (await client.ask())["pos"]
    waiting = asyncio.ensure_future(client.ask(timeout=30_000))
    await settle()
    await world.ask(ALICE, "PUT", f"rooms/{room_id}/typing/{ALICE}", {"typing": True})
    await settle()
    # Memory does not reach back to the position any more, but to where this request has looked.
    base = next(iter(world.sliding.connections._known.values())).base
    assert base.looked_at == world.log.position > base.position
    world.log._ring_floor = world.log.position
    del world.log._ring[:]
    await world.send(ALICE, room_id, "news")
    assert bodies((await asyncio.wait_for(waiting, 5))["rooms"][room_id]["timeline"]) == ["news"]
    # Whoever asks again with more wanted is told what was passed by.
    answer = await client.ask(pos=pos, extensions={"typing": {"enabled": True}})
    assert bodies(answer["rooms"][room_id]["timeline"]) == ["news"]
    assert answer["extensions"]["typing"]["rooms"][room_id]["content"] == {"user_ids": [ALICE]}


async def test_device_lists_are_not_passed_by_while_nobody_asks_for_them(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB, **ENCRYPTED)
    await log_in(world, BOB)
    client = Client(world, lists={"all": window()})
    pos = (await client.ask())["pos"]
    waiting = asyncio.ensure_future(client.ask(timeout=1_000))
    await settle()
    await upload_keys(world, BOB)
    await world.ask(ALICE, "PUT", f"rooms/{room_id}/typing/{ALICE}", {"typing": True})
    await settle()
    world.clock.advance(1_000)
    await waiting
    answer = await client.ask(pos=pos, extensions={"e2ee": {"enabled": True}})
    assert answer["extensions"]["e2ee"]["device_lists"]["changed"] == [BOB]
