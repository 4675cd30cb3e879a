"""Sending: transaction IDs, pipelining, commits that fail, what may be sent."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, LAPTOP, PHONE, World, bodies, open_world
from watchword.base.errors import Refusal, StorageError
from watchword.protocol.ids import RoomId, UserId
from watchword.server.rooms.commands import ChangeMembership, SendEvent, Transaction
from watchword.storage import Database


class FragileDatabase:
    """A database whose disk can be taken away: commits fail then, as a whole batch."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lose_disk(self, lost: bool = True) -> None:
        writer: Any = self._database._writer  # type: ignore[attr-defined]
        writer.set_commit_hook((lambda: True) if lost else None)

    def read(self) -> Any:
        return self._database.read()

    def write(self, *, wait: bool = True) -> Any:
        return self._database.write(wait=wait)

    async def close(self) -> None:
        await self._database.close()


class HeldDatabase(FragileDatabase):
    """A database whose pen can be held, so that whoever writes must wait for it."""

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        async with self._database.write(wait=False):
            yield


@pytest.fixture
async def fragile(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, wrap=HeldDatabase) as opened:
        await opened.users(ALICE, BOB)
        yield opened


async def stored(world: World, room_id: RoomId) -> list[str]:
    return bodies(await world.timeline(room_id))


# Transaction IDs


async def test_a_repeated_transaction_id_gives_the_same_event(world: World) -> None:
    room_id = await world.room()
    first = await world.say(ALICE, room_id, "one", "t1")
    assert await world.say(ALICE, room_id, "one again", "t1") == first
    assert await world.say(ALICE, room_id, "two", "t2") != first
    assert await stored(world, room_id) == ["one", "two"]


async def test_a_repeated_transaction_id_gives_the_same_event_when_both_come_at_once(world: World) -> None:
    room_id = await world.room()
    given = await asyncio.gather(*(world.say(ALICE, room_id, "one", "t1") for _ in range(10)))
    assert len(set(given)) == 1
    assert await stored(world, room_id) == ["one"]


async def test_another_device_may_use_the_same_transaction_id(world: World) -> None:
    room_id = await world.room()
    assert await world.say(ALICE, room_id, "one", "t1") != await world.say(ALICE, room_id, "two", "t1", device=LAPTOP)


async def test_another_endpoint_may_use_the_same_transaction_id(world: World) -> None:
    first, second = await world.room(), await world.room()
    assert await world.say(ALICE, first, "one", "t1") != await world.say(ALICE, second, "one", "t1")
    path = f"rooms/{first}/send/m.sticker/t1"
    assert (await world.ask(ALICE, "PUT", path, {"body": "x"}))["event_id"] != await world.say(ALICE, first, "one", "t1")


async def test_transaction_ids_survive_a_restart(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.users(ALICE)
        room_id = await world.room()
        first = await world.say(ALICE, room_id, "one", "t1")
    async with open_world(tmp_path) as world:
        assert await world.say(ALICE, room_id, "one", "t1") == first
        assert await stored(world, room_id) == ["one"]
        (event,) = (await world.messages(ALICE, room_id, limit=1))["chunk"]
        assert event["unsigned"]["transaction_id"] == "t1"


async def test_a_transaction_id_that_memory_forgot_is_found_on_disk(world: World) -> None:
    room_id = await world.room()
    first = await world.say(ALICE, room_id, "one", "t1")
    world.sent._events.clear()
    assert await world.say(ALICE, room_id, "one", "t1") == first
    assert await world.say(ALICE, room_id, "two", "t2") != first
    assert await stored(world, room_id) == ["one", "two"]


async def test_a_transaction_id_that_is_too_long_is_refused(world: World) -> None:
    room_id = await world.room()
    path = f"rooms/{room_id}/send/m.room.message/{'t' * 256}"
    assert await world.refused(ALICE, "PUT", path, {"body": "x"}) == (400, "M_INVALID_PARAM")


# State that is so already


async def _topic(world: World, room_id: RoomId, topic: str, by: UserId = ALICE) -> str:
    answer = await world.ask(by, "PUT", f"rooms/{room_id}/state/m.room.topic", {"topic": topic})
    return str(answer["event_id"])


async def test_state_that_is_so_already_is_not_sent_again(world: World) -> None:
    room_id = await world.room()
    first = await _topic(world, room_id, "tea")
    position = world.log.position
    assert await _topic(world, room_id, "tea") == first
    assert world.log.position == position
    other = await _topic(world, room_id, "cake")
    assert await _topic(world, room_id, "tea") not in (first, other)


async def test_state_set_twice_at_once_is_sent_once(world: World) -> None:
    room_id = await world.room()
    assert len(set(await asyncio.gather(*(_topic(world, room_id, "tea") for _ in range(5))))) == 1


async def test_state_that_was_redacted_is_set_again(world: World) -> None:
    room_id = await world.room()
    path = f"rooms/{room_id}/state/m.odd"
    first = (await world.ask(ALICE, "PUT", path, {}))["event_id"]
    await world.ask(ALICE, "PUT", f"rooms/{room_id}/redact/{first}/t", {})
    assert (await world.ask(ALICE, "PUT", path, {}))["event_id"] != first


async def test_whoever_may_not_set_state_is_refused_though_it_is_so_already(world: World) -> None:
    room_id = await world.public_room(BOB)
    levels = await world.ask(ALICE, "GET", f"rooms/{room_id}/state/m.room.power_levels")
    path = f"rooms/{room_id}/state/m.room.power_levels"
    await world.ask(ALICE, "PUT", path, {**levels, "events": {"m.room.topic": 0}})
    await _topic(world, room_id, "tea", BOB)
    await world.ask(ALICE, "PUT", path, levels)
    body = {"topic": "tea"}
    assert (await world.refused(BOB, "PUT", f"rooms/{room_id}/state/m.room.topic", body))[0] == 403


# Pipelining


async def test_events_of_one_room_share_commits_and_follow_one_another(world: World) -> None:
    commits: list[None] = []
    room_id = await world.room()

    def count() -> bool:
        commits.append(None)
        return False

    world.sqlite._writer.set_commit_hook(count)
    await asyncio.gather(*(world.send(ALICE, room_id, str(number)) for number in range(40)))
    world.sqlite._writer.set_commit_hook(None)
    assert len(commits) <= 4
    timeline = await world.timeline(room_id)
    assert sorted(bodies(timeline), key=int) == [str(number) for number in range(40)]
    depths = [event["depth"] for event in timeline]
    assert depths == list(range(1, len(timeline) + 1))
    assert all(len(event["prev_events"]) == 1 for event in timeline[1:])


async def test_rooms_do_not_wait_for_one_another(world: World) -> None:
    first, second = await world.room(), await world.room()
    async with world.registry.locked(first):
        await asyncio.wait_for(world.send(ALICE, second), 5)


# Failing commits


async def test_a_failed_commit_is_told_and_leaves_nothing(fragile: World) -> None:
    room_id = await fragile.room()
    await fragile.say(ALICE, room_id, "kept", "t1")
    database: Any = fragile.database
    database.lose_disk()
    results = await asyncio.gather(
        *(fragile.say(ALICE, room_id, f"lost {number}", f"lost {number}") for number in range(5)), return_exceptions=True
    )
    assert all(isinstance(result, StorageError) for result in results)
    database.lose_disk(False)
    assert await fragile.say(ALICE, room_id, "after", "lost 1") is not None
    assert await stored(fragile, room_id) == ["kept", "after"]
    depths = [event["depth"] for event in await fragile.timeline(room_id)]
    assert depths == list(range(1, len(depths) + 1))


async def test_nothing_is_built_on_an_event_whose_commit_failed_meanwhile(fragile: World) -> None:
    """The second holds the room's lock already and waits for the pen, while the first one's commit is under way."""
    room_id = await fragile.room()
    room = await fragile.registry.find(room_id)
    assert room is not None
    ends = list(room.extremities)
    database: Any = fragile.database
    at_disk, may_fail = threading.Event(), threading.Event()

    def failing_once() -> bool:
        fails = not at_disk.is_set()
        at_disk.set()
        may_fail.wait(10)
        return fails

    database._database._writer.set_commit_hook(failing_once)
    sends = [asyncio.ensure_future(fragile.send(ALICE, room_id, "lost"))]
    await asyncio.to_thread(at_disk.wait)
    sends.append(asyncio.ensure_future(fragile.send(ALICE, room_id, "waiting for the pen")))
    for _ in range(20):
        await asyncio.sleep(0)
    may_fail.set()
    results = await asyncio.gather(*sends, return_exceptions=True)
    assert all(isinstance(result, StorageError) for result in results)
    await fragile.send(ALICE, room_id, "after")
    (after,) = [event for event in await fragile.timeline(room_id) if event["type"] == "m.room.message"]
    assert (after["content"]["body"], after["prev_events"]) == ("after", ends)


async def test_state_of_a_failed_commit_is_not_the_rooms(fragile: World) -> None:
    room_id = await fragile.room(name="before")
    database: Any = fragile.database
    database.lose_disk()
    with pytest.raises(StorageError):
        await fragile.set_state(ALICE, room_id, "m.room.name", {"name": "lost"})
    database.lose_disk(False)
    assert (await fragile.ask(ALICE, "GET", f"rooms/{room_id}/state/m.room.name"))["name"] == "before"
    assert (await fragile.sync())["next_batch"] == f"s{fragile.log.position}"


async def test_a_room_whose_creation_was_not_committed_does_not_exist(fragile: World) -> None:
    database: Any = fragile.database
    database.lose_disk()
    with pytest.raises(StorageError):
        await fragile.room(room_alias_name="lobby")
    database.lose_disk(False)
    assert fragile.registry._rooms == {}
    assert (await fragile.ask(ALICE, "GET", "joined_rooms"))["joined_rooms"] == []
    await fragile.room(room_alias_name="lobby")


async def test_the_repetition_of_a_request_is_not_acknowledged_before_the_first_is_durable(fragile: World) -> None:
    room_id = await fragile.room()
    transaction = Transaction(ALICE, PHONE, "send", "t1")
    command = SendEvent(room_id, ALICE, "m.room.message", {"body": "x"}, transaction=transaction)
    database: Any = fragile.database
    database.lose_disk()
    results = await asyncio.gather(*(fragile.writer.send(command) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, StorageError) for result in results)
    database.lose_disk(False)
    event_id = await fragile.writer.send(command)
    assert event_id in {stored.event_id for stored in (await fragile.reader.found((event_id,))).values()}


async def test_being_joined_already_is_not_acknowledged_before_the_join_is_durable(fragile: World) -> None:
    room_id = await fragile.room(preset="public_chat")
    database: Any = fragile.database
    database.lose_disk()
    command = ChangeMembership(room_id, BOB, BOB, "join")
    results = await asyncio.gather(*(fragile.writer.change_membership(command) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, StorageError) for result in results)
    database.lose_disk(False)
    assert (await fragile.ask(BOB, "GET", "joined_rooms"))["joined_rooms"] == []


async def test_a_request_given_up_while_it_waits_for_the_pen_loses_nothing_that_goes_before_it(fragile: World) -> None:
    """The room is dropped from memory then; it must not be read back before what it said is on disk."""
    room_id = await fragile.room()
    database: Any = fragile.database
    first = asyncio.ensure_future(fragile.send(ALICE, room_id, "first"))
    await asyncio.sleep(0)
    async with database.held():
        given_up = asyncio.ensure_future(fragile.send(ALICE, room_id, "given up"))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait([given_up])
    await asyncio.gather(first, *(fragile.send(ALICE, room_id, f"after {number}") for number in range(3)))
    timeline = await fragile.timeline(room_id)
    assert bodies(timeline) == ["first", "after 0", "after 1", "after 2"]
    assert [event["depth"] for event in timeline] == list(range(1, len(timeline) + 1))
    assert all(len(event["prev_events"]) == 1 for event in timeline[1:])


async def test_rooms_may_come_and_go_in_memory_while_their_commits_are_under_way(tmp_path: Path) -> None:
    async with open_world(tmp_path, rooms_max=1) as world:
        await world.users(ALICE)
        rooms = [await world.room() for _ in range(4)]
        for _ in range(3):
            await asyncio.gather(*(world.send(ALICE, room_id, "x") for _ in range(3) for room_id in rooms))
        for room_id in rooms:
            timeline = await world.timeline(room_id)
            assert len(bodies(timeline)) == 9
            assert [event["depth"] for event in timeline] == list(range(1, len(timeline) + 1))
            assert all(len(event["prev_events"]) == 1 for event in timeline[1:])
        await world.room()
        assert len(world.registry._rooms) == 1


# What may be sent


async def test_whoever_is_not_in_the_room_may_not_send(world: World) -> None:
    room_id = await world.room()
    with pytest.raises(Refusal, match="M_FORBIDDEN"):
        await world.say(BOB, room_id)
    with pytest.raises(Refusal, match="M_FORBIDDEN"):
        await world.say(BOB, RoomId("!nowhere:here.example"))


@pytest.mark.parametrize("body", ["x" * 65_536, "\0" * 12_000])
async def test_an_event_that_is_too_large_is_refused(world: World, body: str) -> None:
    room_id = await world.room()
    path = f"rooms/{room_id}/send/m.room.message/t"
    assert await world.refused(ALICE, "PUT", path, {"body": body}) == (413, "M_TOO_LARGE")
    assert await stored(world, room_id) == []


async def test_an_event_just_small_enough_is_sent(world: World) -> None:
    room_id = await world.room()
    await world.say(ALICE, room_id, "x" * 64_500)


@pytest.mark.parametrize("kind", ["m." + "x" * 254, "m." + "ü" * 127])
async def test_types_and_state_keys_longer_than_255_bytes_are_refused(world: World, kind: str) -> None:
    room_id = await world.room()
    assert await world.refused(ALICE, "PUT", f"rooms/{room_id}/send/{quote(kind)}/t", {}) == (413, "M_TOO_LARGE")
    assert await world.refused(ALICE, "PUT", f"rooms/{room_id}/state/m.x/{quote(kind)}", {}) == (413, "M_TOO_LARGE")


@pytest.mark.parametrize("version", ["1", "5", "6", "12"])
@pytest.mark.parametrize("value", [1.5, 2**53, -(2**53)])
async def test_numbers_outside_canonical_json_are_refused_from_version_6(world: World, version: str, value: object) -> None:
    room_id = await world.room(room_version=version)
    path = f"rooms/{room_id}/send/m.room.message/t"
    if int(version) >= 6:
        assert await world.refused(ALICE, "PUT", path, {"n": {"deep": [value]}}) == (400, "M_BAD_JSON")
    else:
        await world.ask(ALICE, "PUT", path, {"n": value})


async def test_lone_surrogates_are_refused_and_nul_is_carried(world: World) -> None:
    room_id = await world.room()
    with pytest.raises(Refusal, match="M_BAD_JSON"):
        await world.send(ALICE, room_id, "\ud800")
    await world.send(ALICE, room_id, "a\0b")
    assert await stored(world, room_id) == ["a\0b"]
    assert bodies((await world.messages(ALICE, room_id))["chunk"]) == ["a\0b"]


async def test_after_a_refused_event_the_room_goes_on(world: World) -> None:
    room_id = await world.room()
    await world.refused(ALICE, "PUT", f"rooms/{room_id}/send/m.room.message/t", {"body": 1.5})
    await world.say(ALICE, room_id, "next", "t")
    assert await stored(world, room_id) == ["next"]


@pytest.mark.parametrize("version", [str(number) for number in range(1, 13)])
async def test_rooms_of_every_version_take_events(world: World, version: str) -> None:
    room_id = await world.room(room_version=version, preset="public_chat")
    await world.join(BOB, room_id)
    event_id = await world.say(BOB, room_id, "hello")
    assert (await world.ask(ALICE, "GET", f"rooms/{room_id}/event/{event_id}"))["content"]["body"] == "hello"
    assert event_id.endswith(":here.example") is (int(version) < 3)


async def test_a_sent_event_carries_its_transaction_id_for_its_own_device_alone(world: World) -> None:
    room_id = await world.public_room(BOB)
    event_id = await world.say(ALICE, room_id, "one", "t1")
    path = f"rooms/{room_id}/event/{event_id}"
    assert (await world.ask(ALICE, "GET", path))["unsigned"]["transaction_id"] == "t1"
    assert "transaction_id" not in (await world.ask(ALICE, "GET", path, device=LAPTOP))["unsigned"]
    assert "transaction_id" not in (await world.ask(BOB, "GET", path))["unsigned"]
    assert "transaction_id" not in (await world.ask(ALICE, "GET", path, device=None))["unsigned"]


async def test_reading_while_writing_is_never_half_of_an_event(world: World) -> None:
    """A reader in the middle of many writers sees a prefix of the room."""
    room_id = await world.room()

    async def read() -> list[str]:
        return bodies((await world.messages(ALICE, room_id, dir="f", limit=1000))["chunk"])

    writers = [asyncio.ensure_future(world.send(ALICE, room_id, str(number))) for number in range(20)]
    seen = []
    for _ in range(60):
        seen.append(await read())
        await asyncio.sleep(0)
    await asyncio.gather(*writers)
    whole = await read()
    assert len(whole) == 20
    assert all(whole[: len(part)] == part for part in seen)


# What relates to other events


async def react(world: World, room_id: RoomId, target: str, txn_id: str, user_id: UserId = BOB, **more: str) -> Any:
    content = {"m.relates_to": {"rel_type": "m.annotation", "event_id": target, "key": "👍", **more}}
    path = f"rooms/{room_id}/send/m.reaction/{txn_id}"
    return await world.ask(user_id, "PUT", path, content)


async def test_the_same_reaction_twice_is_refused_until_the_first_is_redacted(world: World) -> None:
    room_id = await world.public_room(BOB)
    said, other = await world.send(ALICE, room_id), await world.send(ALICE, room_id)
    first = (await react(world, room_id, said, "1"))["event_id"]
    with pytest.raises(Refusal) as refused:
        await react(world, room_id, said, "2")
    assert (refused.value.status, refused.value.errcode) == (400, "M_DUPLICATE_ANNOTATION")
    # Another key, another event, another sender, another type are something else.
    await react(world, room_id, said, "3", key="👎")
    await react(world, room_id, other, "4")
    await react(world, room_id, said, "5", ALICE)
    content = {"m.relates_to": {"rel_type": "m.annotation", "event_id": said, "key": "👍"}}
    await world.ask(BOB, "PUT", f"rooms/{room_id}/send/org.example/6", content)
    await world.ask(BOB, "PUT", f"rooms/{room_id}/redact/{first}/7", {})
    await react(world, room_id, said, "8")


async def test_of_two_equal_reactions_at_once_one_is_refused(world: World) -> None:
    room_id = await world.public_room(BOB)
    said = await world.send(ALICE, room_id)
    answers = await asyncio.gather(*(react(world, room_id, said, str(n)) for n in range(4)), return_exceptions=True)
    assert sorted(isinstance(answer, Refusal) for answer in answers) == [False, True, True, True]


@pytest.mark.parametrize("remembered", [True, False])
async def test_a_reaction_repeated_with_its_transaction_id_is_the_same(world: World, remembered: bool) -> None:
    room_id = await world.public_room(BOB)
    said = await world.send(ALICE, room_id)
    first = await react(world, room_id, said, "1")
    if not remembered:
        world.sent._events.clear()
    assert await react(world, room_id, said, "1") == first


async def test_no_thread_begins_in_a_thread(world: World) -> None:
    room_id = await world.public_room(BOB)
    root = await world.send(ALICE, room_id)

    async def reply(target: str, txn_id: str) -> tuple[int, Any]:
        content = {"body": "re", "m.relates_to": {"rel_type": "m.thread", "event_id": target}}
        return await world.tried(BOB, "PUT", f"rooms/{room_id}/send/m.room.message/{txn_id}", content)

    status, body = await reply(root, "1")
    assert status == 200
    status, body = await reply(body["event_id"], "2")
    assert (status, body["errcode"]) == (400, "M_UNKNOWN")
    # Of what is not here nobody knows better.
    assert (await reply("$absent", "3"))[0] == 200
