"""What comes beside the rooms: told once, in its scope, and nothing is lost while nobody asks for it."""

import asyncio
from typing import Any

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, PHONE, World
from tests.unit.server.sync.answers import ENCRYPTED, log_in, tell_device, upload_keys
from tests.unit.server.sync.sliding.windows import Client, SlidingWorld, subscription, window
from watchword.protocol.ids import RoomId
from watchword.server.rooms.thread_subscriptions import ThreadSubscriptions
from watchword.server.rooms.tokens import parse_sync_token
from watchword.server.rooms.view import Reader
from watchword.storage import Position

ON = {"enabled": True}


def client(world: SlidingWorld, *names: str, user_id: Any = ALICE, **scope: Any) -> Client:
    return Client(world, user_id, lists={"all": window()}, extensions={name: {**ON, **scope} for name in names})


async def extension(asked: Client, name: str, **changes: Any) -> Any:
    return (await asked.ask(**changes))["extensions"].get(name)


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def test_what_is_not_asked_for_is_not_told(world: SlidingWorld) -> None:
    await world.room()
    asked = Client(world, lists={"all": window()}, extensions={"e2ee": {"enabled": False}, "other": ON, "typing": {}})
    assert (await asked.ask())["extensions"] == {}


# To-device


async def test_messages_to_a_device_are_told_until_they_are_acknowledged(world: SlidingWorld) -> None:
    await log_in(world, ALICE)
    asked = client(world, "to_device")
    first = await extension(asked, "to_device")
    assert first["events"] == []
    for number in range(3):
        await tell_device(world, BOB, ALICE, number)
    for _ in range(2):
        page = await extension(asked, "to_device", extensions={"to_device": {**ON, "since": first["next_batch"], "limit": 2}})
        assert [event["content"]["n"] for event in page["events"]] == [0, 1]
    rest = await extension(asked, "to_device", extensions={"to_device": {**ON, "since": page["next_batch"]}})
    assert [event["content"]["n"] for event in rest["events"]] == [2]
    # What was acknowledged is gone (nobody waits for that), also for a connection that begins anew.
    async with world.database.write():
        pass
    anew = Client(world, conn_id="new", extensions={"to_device": ON})
    assert [event["content"]["n"] for event in (await extension(anew, "to_device"))["events"]] == [2]


async def test_a_message_ends_the_wait(world: SlidingWorld) -> None:
    await log_in(world, ALICE)
    asked = client(world, "to_device")
    since = (await extension(asked, "to_device"))["next_batch"]
    waiting = asyncio.ensure_future(asked.ask(timeout=30_000, extensions={"to_device": {**ON, "since": since}}))
    await settle()
    assert not waiting.done()
    await tell_device(world, BOB, ALICE, 7)
    assert len((await asyncio.wait_for(waiting, 5))["extensions"]["to_device"]["events"]) == 1


async def test_a_since_of_the_future_acknowledges_nothing(world: SlidingWorld) -> None:
    await log_in(world, ALICE)
    await tell_device(world, BOB, ALICE, 1)
    asked = Client(world, extensions={"to_device": {**ON, "since": "999999"}})
    assert len((await extension(asked, "to_device"))["events"]) == 1


# End-to-end encryption


async def test_key_counts_are_always_told(world: SlidingWorld) -> None:
    await log_in(world, ALICE)
    asked = client(world, "e2ee")
    counts = {"device_one_time_keys_count": {"signed_curve25519": 0}, "device_unused_fallback_key_types": []}
    assert await extension(asked, "e2ee") == counts
    assert await extension(asked, "e2ee") == counts


async def test_device_lists_tell_whose_devices_changed_in_any_room(world: SlidingWorld) -> None:
    await log_in(world, ALICE)
    await log_in(world, BOB)
    shared = await world.public_room(BOB, **ENCRYPTED)
    await world.room()
    asked = Client(world, lists={"all": window((0, 0))}, extensions={"e2ee": ON})
    assert list((await asked.ask())["rooms"]) != [shared]
    await upload_keys(world, BOB)
    assert (await extension(asked, "e2ee"))["device_lists"] == {"changed": [BOB], "left": []}
    assert "device_lists" not in await extension(asked, "e2ee")
    await world.join(CAROL, shared)
    assert (await extension(asked, "e2ee"))["device_lists"] == {"changed": [CAROL], "left": []}
    await world.leave(BOB, shared)
    assert (await extension(asked, "e2ee"))["device_lists"] == {"changed": [], "left": [BOB]}


async def test_encrypting_joining_and_leaving_change_whose_keys_are_needed(world: SlidingWorld) -> None:
    for user_id in (ALICE, BOB):
        await log_in(world, user_id)
    room_id = await world.public_room(BOB)
    asked, bobs = client(world, "e2ee"), client(world, "e2ee", user_id=BOB)
    await asked.ask()
    await bobs.ask()
    await world.set_state(ALICE, room_id, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    assert (await extension(asked, "e2ee"))["device_lists"]["changed"] == [ALICE, BOB]
    await bobs.ask()
    await world.leave(BOB, room_id)
    await world.join(CAROL, room_id)
    # Who came later is none of his business.
    assert (await extension(bobs, "e2ee"))["device_lists"] == {"changed": [], "left": [ALICE]}
    await world.leave(CAROL, room_id)
    await world.join(BOB, room_id)
    assert (await extension(bobs, "e2ee"))["device_lists"]["changed"] == [ALICE, BOB]


async def test_who_has_no_device_has_no_keys_and_no_messages(world: SlidingWorld) -> None:
    asked: Any = {"to_device": ON, "e2ee": ON}
    body = {"extensions": asked}
    path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
    assert (await world.ask(ALICE, "POST", path, body, device=None))["extensions"] == {}


# Account data


async def put(world: World, name: str, number: int, room_id: RoomId | None = None) -> None:
    where = "" if room_id is None else f"rooms/{room_id}/"
    await world.ask(ALICE, "PUT", f"user/{ALICE}/{where}account_data/{name}", {"n": number})


def contents(events: Any) -> dict[str, int]:
    return {event["type"]: event["content"].get("n") for event in events}


async def test_account_data_is_told_whole_and_then_what_changed(world: SlidingWorld) -> None:
    room_id = await world.room()
    await put(world, "a.global", 1)
    await put(world, "a.room", 1, room_id)
    asked = client(world, "account_data")
    told = await extension(asked, "account_data")
    assert contents(told["global"]) == {"a.global": 1, "m.push_rules": None}
    assert contents(told["rooms"][room_id]) == {"a.room": 1}
    assert await extension(asked, "account_data") is None
    await put(world, "a.global", 2)
    assert await extension(asked, "account_data") == {"global": [{"type": "a.global", "content": {"n": 2}}], "rooms": {}}
    await put(world, "b.room", 3, room_id)
    told = await extension(asked, "account_data")
    assert (told["global"], contents(told["rooms"][room_id])) == ([], {"b.room": 3})


async def test_what_was_deleted_is_told_to_those_who_had_it(world: SlidingWorld) -> None:
    await put(world, "a.global", 1)
    asked = client(world, "account_data")
    await asked.ask()
    await world.ask(ALICE, "PUT", f"user/{ALICE}/account_data/a.global", {})
    room_id = await world.room()
    await put(world, "a.room", 1, room_id)
    told = await extension(asked, "account_data")
    assert told["global"] == [{"type": "a.global", "content": {}}]
    assert contents(told["rooms"][room_id]) == {"a.room": 1}
    anew = Client(world, conn_id="new", extensions={"account_data": ON})
    assert contents((await extension(anew, "account_data"))["global"]) == {"m.push_rules": None}


async def test_account_data_of_a_room_outside_the_window_is_told_when_it_comes_in(world: SlidingWorld) -> None:
    old, new = await world.room(), await world.room()
    asked = Client(world, lists={"all": window((0, 0))}, extensions={"account_data": ON})
    await asked.ask()
    await put(world, "a.room", 1, old)
    assert await extension(asked, "account_data") is None
    await world.send(ALICE, old)
    assert contents((await extension(asked, "account_data"))["rooms"][old]) == {"a.room": 1}
    await put(world, "a.room", 2, new)
    await asked.ask()
    await world.send(ALICE, new)
    assert contents((await extension(asked, "account_data"))["rooms"][new]) == {"a.room": 2}
    assert await extension(asked, "account_data") is None


async def test_an_extension_that_is_turned_on_later_tells_everything(world: SlidingWorld) -> None:
    room_id = await world.room()
    await put(world, "a.room", 1, room_id)
    event_id = await world.send(ALICE, room_id)
    await world.ask(ALICE, "POST", f"rooms/{room_id}/receipt/m.read/{event_id}", {})
    asked = Client(world, lists={"all": window()})
    await asked.ask()
    told = (await asked.ask(extensions={"account_data": ON, "receipts": ON}))["extensions"]
    assert contents(told["account_data"]["rooms"][room_id]) == {"a.room": 1}
    assert list(told["receipts"]["rooms"][room_id]["content"]) == [event_id]
    assert (await asked.ask())["extensions"] == {}


async def test_what_was_lost_on_its_way_is_told_again(world: SlidingWorld) -> None:
    room_id = await world.room()
    asked = client(world, "account_data", "receipts")
    pos = (await asked.ask())["pos"]
    await put(world, "a.room", 1, room_id)
    event_id = await world.send(ALICE, room_id)
    await world.ask(ALICE, "POST", f"rooms/{room_id}/receipt/m.read/{event_id}", {})
    first = (await asked.ask())["extensions"]
    assert first.keys() == {"account_data", "receipts"}
    assert (await asked.ask(pos=pos))["extensions"] == first


# Scope


async def test_lists_and_rooms_say_of_which_rooms_an_extension_speaks(world: SlidingWorld) -> None:
    one, two = await world.room(), await world.room()
    for room_id in (one, two):
        await put(world, "a.room", 1, room_id)

    async def told(**scope: Any) -> set[RoomId]:
        asked = Client(
            world,
            lists={"top": window((0, 0))},
            room_subscriptions={one: subscription()},
            extensions={"account_data": {**ON, **scope}},
        )
        return set((await extension(asked, "account_data"))["rooms"])

    assert await told() == {one, two}
    assert await told(lists=["*"], rooms=["*"]) == {one, two}
    assert await told(lists=["top"], rooms=[]) == {two}
    assert await told(lists=[], rooms=[one]) == {one}
    assert await told(lists=["other"], rooms=[two]) == set()


# Receipts


async def test_receipts_are_told_and_private_ones_to_oneself_alone(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB)
    event_id = await world.send(ALICE, room_id)
    await world.ask(BOB, "POST", f"rooms/{room_id}/receipt/m.read/{event_id}", {})
    asked, bobs = client(world, "receipts"), client(world, "receipts", user_id=BOB)
    told = await extension(asked, "receipts")
    assert set(told["rooms"][room_id]["content"][event_id]["m.read"]) == {BOB}
    await bobs.ask()
    assert await extension(asked, "receipts") is None
    other = await world.send(ALICE, room_id)
    await asked.ask()
    await bobs.ask()
    await world.ask(BOB, "POST", f"rooms/{room_id}/receipt/m.read.private/{other}", {})
    assert await extension(asked, "receipts") is None
    told = await extension(bobs, "receipts")
    assert set(told["rooms"][room_id]["content"][other]["m.read.private"]) == {BOB}


async def test_of_old_receipts_only_those_at_events_that_are_shown_are_told_and_ones_own(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB, CAROL)
    old = await world.send(ALICE, room_id)
    for user_id in (ALICE, BOB):
        await world.ask(user_id, "POST", f"rooms/{room_id}/receipt/m.read/{old}", {})
    new = await world.send(ALICE, room_id)
    await world.ask(CAROL, "POST", f"rooms/{room_id}/receipt/m.read/{new}", {})
    asked = Client(world, lists={"all": window(limit=1)}, extensions={"receipts": ON})
    content = (await extension(asked, "receipts"))["rooms"][room_id]["content"]
    assert content.keys() == {old, new}
    assert set(content[old]["m.read"]) == {ALICE}


async def test_reading_on_tells_the_counts_in_the_form_in_use(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB)
    event_id = await world.send(BOB, room_id)
    asked = client(world)
    await asked.ask()
    await world.ask(ALICE, "POST", f"rooms/{room_id}/receipt/m.read/{event_id}", {})
    assert await asked.room(room_id) == {"notification_count": 0, "highlight_count": 0}


# Typing


async def test_typing_is_told_as_a_list_until_it_is_empty(world: SlidingWorld) -> None:
    room_id = await world.public_room(BOB)
    asked = client(world, "typing")
    assert await extension(asked, "typing") is None
    waiting = asyncio.ensure_future(asked.ask(timeout=30_000))
    await settle()
    await world.ask(BOB, "PUT", f"rooms/{room_id}/typing/{BOB}", {"typing": True, "timeout": 30_000})
    told = (await asyncio.wait_for(waiting, 5))["extensions"]["typing"]
    assert told == {"rooms": {room_id: {"type": "m.typing", "content": {"user_ids": [BOB]}}}}
    late = Client(world, CAROL, lists={"all": window()}, extensions={"typing": ON})
    await world.join(CAROL, room_id)
    assert (await extension(late, "typing"))["rooms"][room_id]["content"]["user_ids"] == [BOB]
    await world.ask(BOB, "PUT", f"rooms/{room_id}/typing/{BOB}", {"typing": False})
    assert (await extension(asked, "typing"))["rooms"][room_id]["content"]["user_ids"] == []
    late = Client(world, CAROL, conn_id="later", lists={"all": window()}, extensions={"typing": ON})
    assert await extension(late, "typing") is None


# Thread subscriptions


async def test_thread_subscriptions_are_told_as_they_change(world: SlidingWorld) -> None:
    room_id = await world.room()
    roots = [await world.send(ALICE, room_id, str(number)) for number in range(3)]
    threads = ThreadSubscriptions(world.reader, world.log, world.names)
    reader = Reader(ALICE, PHONE)
    for root in roots:
        await threads.subscribe(reader, room_id, root, None)
    name = "io.element.msc4308.thread_subscriptions"
    asked = Client(world, extensions={name: {**ON, "limit": 2}})
    told = await extension(asked, name)
    assert told["subscribed"][room_id].keys() == {roots[1], roots[2]}
    assert {one["automatic"] for one in told["subscribed"][room_id].values()} == {False}
    rest = await threads.changes(ALICE, Position(0), parse_sync_token(told["prev_batch"]), 10)
    assert [row.root_id for row in rest] == [roots[0]]
    assert await extension(asked, name) is None
    waiting = asyncio.ensure_future(asked.ask(timeout=30_000))
    await settle()
    assert not waiting.done()
    await threads.unsubscribe(reader, room_id, roots[0])
    told = (await asyncio.wait_for(waiting, 5))["extensions"][name]
    assert told == {"unsubscribed": {room_id: {roots[0]: {"bump_stamp": world.log.position}}}}


async def test_thread_subscriptions_answer_to_both_names(world: SlidingWorld) -> None:
    room_id = await world.room()
    root = await world.send(ALICE, room_id)
    await ThreadSubscriptions(world.reader, world.log, world.names).subscribe(Reader(ALICE, PHONE), room_id, root, None)
    asked = Client(world, extensions={"thread_subscriptions": ON})
    assert root in (await extension(asked, "thread_subscriptions"))["subscribed"][room_id]
    for wrong in ({**ON, "limit": 0}, {**ON, "limit": "1"}):
        assert (await world.refused(ALICE, "POST", asked.form, {"extensions": {"thread_subscriptions": wrong}}))[0] == 400
