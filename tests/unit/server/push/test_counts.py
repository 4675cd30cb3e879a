import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.push.world import ALICE, BOB, PushWorld, open_push_world
from tests.unit.server.rooms.world import CAROL
from watchword.base import limits
from watchword.protocol.ids import EventId, UserId
from watchword.server.push import counts
from watchword.server.push.commands import Unread
from watchword.server.rooms.commands import SendEvent
from watchword.storage import Database, ReadTx, Tx


def mention(user_id: UserId) -> dict[str, Any]:
    return {"m.mentions": {"user_ids": [user_id]}}


def in_thread(root: EventId) -> dict[str, Any]:
    return {"m.relates_to": {"rel_type": "m.thread", "event_id": root}}


async def test_messages_of_others_count(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    assert await world.unread(BOB, room) == (0, 0)
    await world.send(ALICE, room)
    await world.send(ALICE, room, **mention(BOB))
    assert await world.unread(BOB, room) == (2, 1)
    await world.send(ALICE, room)
    assert await world.unread(BOB, room) == (3, 1)


async def test_one_s_own_messages_do_not_count_and_read_what_was_before(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    await world.send(ALICE, room)
    assert await world.unread(BOB, room) == (1, 0)
    await world.send(BOB, room)
    assert await world.unread(BOB, room) == (0, 0)
    await world.send(ALICE, room)
    assert await world.unread(BOB, room) == (1, 0)


async def test_what_was_before_the_join_does_not_count(world: PushWorld) -> None:
    room = await world.public_room()
    await world.send(ALICE, room)
    await world.join(BOB, room)
    assert await world.unread(BOB, room) == (0, 0)
    await world.send(ALICE, room)
    assert await world.unread(BOB, room) == (1, 0)


async def test_who_is_not_in_the_room_has_nothing_unread(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    await world.send(ALICE, room)
    assert await world.unread(BOB, room) == (1, 0)
    await world.leave(BOB, room)
    await world.send(ALICE, room)
    assert await world.unread(BOB, room) == (0, 0)
    await world.join(BOB, room)
    assert await world.unread(BOB, room) == (0, 0)


@pytest.mark.parametrize("kind", ["m.read", "m.read.private"])
async def test_a_receipt_clears_what_was_up_to_it(world: PushWorld, kind: str) -> None:
    room = await world.public_room(BOB)
    first = await world.send(ALICE, room)
    last = await world.send(ALICE, room, **mention(BOB))
    assert await world.unread(BOB, room) == (2, 1)
    await world.read(BOB, room, first, kind)
    assert await world.unread(BOB, room) == (1, 1)
    await world.read(BOB, room, last, kind)
    assert await world.unread(BOB, room) == (0, 0)
    await world.send(ALICE, room)
    assert await world.unread(BOB, room) == (1, 0)


async def test_the_more_advanced_of_two_receipts_counts(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    first = await world.send(ALICE, room)
    last = await world.send(ALICE, room)
    await world.read(BOB, room, last, "m.read.private")
    await world.read(BOB, room, first, "m.read")
    assert await world.unread(BOB, room) == (0, 0)


async def test_threads_count_by_themselves(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    root = await world.send(ALICE, room)
    reply = await world.send(ALICE, room, **in_thread(root), **mention(BOB))
    assert await world.counts(BOB, room) == Unread(1, 0, {root: (1, 1)})
    await world.read(BOB, room, root, thread_id="main")
    assert await world.counts(BOB, room) == Unread(0, 0, {root: (1, 1)})
    await world.read(BOB, room, reply, thread_id=root)
    assert await world.counts(BOB, room) == Unread()


async def test_an_unthreaded_receipt_clears_every_thread(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    root = await world.send(ALICE, room)
    await world.send(ALICE, room, **in_thread(root))
    last = await world.send(ALICE, room)
    assert (await world.counts(BOB, room)).threads
    await world.read(BOB, room, last)
    assert await world.counts(BOB, room) == Unread()


async def test_an_answer_in_a_thread_reads_that_thread_alone(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    root = await world.send(ALICE, room)
    await world.send(ALICE, room, **in_thread(root))
    await world.send(BOB, room, **in_thread(root))
    assert await world.counts(BOB, room) == Unread(1, 0, {})


async def test_what_relates_to_an_event_of_a_thread_belongs_to_it(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    root = await world.send(ALICE, room)
    reply = await world.send(ALICE, room, **in_thread(root))
    related: dict[str, Any] = {"m.relates_to": {"rel_type": "m.reference", "event_id": reply}}
    await world.send(ALICE, room, **related)
    lost: dict[str, Any] = {"m.relates_to": {"rel_type": "m.reference", "event_id": "$nowhere"}}
    await world.send(ALICE, room, **lost)
    assert await world.counts(BOB, room) == Unread(2, 0, {root: (2, 0)})


async def test_redacted_events_count_no_more(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    first = await world.send(ALICE, room)
    await world.send(ALICE, room)
    assert await world.unread(BOB, room) == (2, 0)
    await world.writer.send(SendEvent(room, ALICE, "m.room.redaction", {"redacts": first}, redacts=first))
    assert await world.unread(BOB, room) == (1, 0)
    other = await world.send(ALICE, room)
    await world.writer.send(SendEvent(room, ALICE, "m.room.redaction", {"redacts": other}, redacts=other))
    assert await world.unread(BOB, room) == (1, 0)


async def test_events_of_ignored_users_do_not_count(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    await world.send(ALICE, room)
    assert await world.unread(BOB, room) == (1, 0)
    content: dict[str, Any] = {"ignored_users": {ALICE: {}}}
    await world.ask(BOB, "PUT", f"user/{BOB}/account_data/m.ignored_user_list", content)
    assert await world.unread(BOB, room) == (0, 0)


async def test_changed_rules_count_anew(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    await world.send(ALICE, room)
    await world.send(ALICE, room, "cake")
    assert await world.unread(BOB, room) == (2, 0)
    await world.ask(BOB, "PUT", f"pushrules/global/room/{room}", {"actions": []})
    assert await world.unread(BOB, room) == (0, 0)
    rule = {"actions": ["notify", {"set_tweak": "highlight"}], "pattern": "cake"}
    await world.ask(BOB, "PUT", "pushrules/global/content/cake", rule)
    assert await world.unread(BOB, room) == (1, 1)


async def test_a_rule_may_ask_for_the_display_name(world: PushWorld) -> None:
    room = await world.public_room()
    await world.ask(BOB, "PUT", f"profile/{BOB}/displayname", {"displayname": "Robert"})
    rule = {"actions": ["notify", {"set_tweak": "highlight"}], "conditions": [{"kind": "contains_display_name"}]}
    await world.ask(BOB, "PUT", "pushrules/global/override/name", rule)
    await world.join(BOB, room)
    await world.send(ALICE, room, "Dear robert, hello")
    await world.send(ALICE, room, "Dear all")
    assert await world.unread(BOB, room) == (2, 1)


async def test_a_mention_of_the_room_needs_power(world: PushWorld) -> None:
    room = await world.public_room(BOB, CAROL)
    everybody: dict[str, Any] = {"m.mentions": {"room": True}}
    await world.send(CAROL, room, **everybody)
    assert await world.unread(BOB, room) == (1, 0)
    await world.send(ALICE, room, **everybody)
    assert await world.unread(BOB, room) == (2, 1)


async def test_counts_are_the_same_after_a_restart(world: PushWorld, tmp_path: Path) -> None:
    room = await world.public_room(BOB)
    root = await world.send(ALICE, room)
    await world.read(BOB, room, root)
    await world.send(ALICE, room, **in_thread(root))
    await world.send(ALICE, room, **mention(BOB))
    expected = Unread(1, 1, {root: (1, 0)})
    assert await world.counts(BOB, room) == expected
    async with open_push_world(tmp_path) as restarted:
        assert await restarted.counts(BOB, room) == expected
        await restarted.send(ALICE, room)
        assert await restarted.counts(BOB, room) == Unread(2, 1, {root: (1, 0)})


async def test_a_room_that_left_memory_goes_on_where_it_was(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    await world.send(ALICE, room)
    assert await world.unread(BOB, room) == (1, 0)
    world.registry.evict(await world.at(room))
    await world.send(ALICE, room)
    world.registry.evict(await world.at(room))
    assert await world.unread(BOB, room) == (2, 0)


async def test_a_receipt_far_back_counts_what_is_not_remembered(world: PushWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "unread_marks_max", 4)
    room = await world.public_room(BOB)
    events = [await world.send(ALICE, room) for _ in range(10)]
    assert await world.unread(BOB, room) == (10, 0)
    await world.read(BOB, room, events[0])
    assert await world.unread(BOB, room) == (9, 0)
    await world.read(BOB, room, events[8])
    assert await world.unread(BOB, room) == (1, 0)


async def test_no_more_than_the_newest_events_are_looked_at(world: PushWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "unread_events_max", 3)
    room = await world.public_room(BOB)
    for _ in range(5):
        await world.send(ALICE, room)
    world.registry.evict(await world.at(room))
    assert await world.unread(BOB, room) == (3, 0)


async def test_nothing_new_needs_no_database(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    await world.send(ALICE, room)
    await world.unread(BOB, room)
    found = await world.at(room)
    await world.sqlite.close()
    assert await world.push.unread.unread(BOB, found) == Unread(1, 0)


async def test_two_devices_that_ask_at_once_count_once(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    for _ in range(3):
        await world.send(ALICE, room)
        answers = await asyncio.gather(*(world.unread(BOB, room) for _ in range(4)))
        assert len(set(answers)) == 1
    assert await world.unread(BOB, room) == (3, 0)
    world.registry.evict(await world.at(room))
    world.rebuild_push()
    assert set(await asyncio.gather(world.unread(BOB, room), world.unread(BOB, room))) == {(3, 0)}


class Slow:
    """A database that lets others go first, as one over the network does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadTx]:
        await asyncio.sleep(0)
        async with self._database.read() as tx:
            yield tx
        await asyncio.sleep(0)

    def write(self, *, wait: bool = True) -> AbstractAsyncContextManager[Tx]:
        return self._database.write(wait=wait)

    async def close(self) -> None:
        await self._database.close()


@pytest.fixture
async def slow_world(tmp_path: Path) -> AsyncIterator[PushWorld]:
    async with open_push_world(tmp_path, wrap=Slow) as opened:
        await opened.users(ALICE, BOB)
        yield opened


async def test_counts_hold_while_everything_moves(slow_world: PushWorld) -> None:
    world = slow_world
    room = await world.public_room(BOB)
    events = [await world.send(ALICE, room) for _ in range(4)]

    async def reading() -> None:
        for event in events:
            await world.read(BOB, room, event)
            await world.unread(BOB, room)

    async def writing() -> None:
        for _ in range(20):
            await world.send(ALICE, room)
            await world.unread(BOB, room)

    await asyncio.gather(reading(), writing(), *(world.unread(BOB, room) for _ in range(20)))
    expected = await world.unread(BOB, room)
    assert expected[0] == 20
    world.rebuild_push()
    assert await world.unread(BOB, room) == expected


async def test_two_devices_of_a_slow_database_count_once(slow_world: PushWorld) -> None:
    world = slow_world
    room = await world.public_room(BOB)
    for number in range(1, 4):
        await world.send(ALICE, room)
        assert set(await asyncio.gather(*(world.unread(BOB, room) for _ in range(4)))) == {(number, 0)}
        world.registry.evict(await world.at(room))


async def test_an_answer_is_given_although_nothing_stands_still(slow_world: PushWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "_ATTEMPTS", 1)
    world = slow_world
    room = await world.public_room(BOB)
    event = await world.send(ALICE, room)
    answer, _ = await asyncio.gather(world.unread(BOB, room), world.read(BOB, room, event))
    assert answer in ((0, 0), (1, 0))
    assert await world.unread(BOB, room) == (0, 0)


async def test_a_room_read_to_its_end_needs_no_events(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    await world.read(BOB, room, await world.send(ALICE, room))
    world.registry.evict(await world.at(room))
    world.rebuild_push()
    assert await world.unread(BOB, room) == (0, 0)
    await world.send(ALICE, room)
    assert await world.unread(BOB, room) == (1, 0)


async def test_a_state_change_alone_leaves_the_counts(world: PushWorld) -> None:
    room = await world.public_room(BOB, CAROL)
    await world.send(ALICE, room)
    assert await world.unread(BOB, room) == (1, 0)
    await world.leave(CAROL, room)
    await world.set_state(ALICE, room, "m.room.topic", {"topic": "new"})
    assert await world.unread(BOB, room) == (1, 0)
    last = await world.send(ALICE, room)
    await world.read(BOB, room, last)
    assert await world.unread(BOB, room) == (0, 0)
