"""Receipts, which never go backwards, and typing, which ends by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, EVE, World, open_world
from watchword.base.clock import ManualClock
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.changes import TypingChanged
from watchword.server.rooms.ephemeral import READ, READ_PRIVATE, TYPING_MS_MAX, Receipt, Typing
from watchword.server.rooms.records import ReceiptRow
from watchword.storage import Position

ROOM, OTHER = RoomId("!r:here.example"), RoomId("!o:here.example")


async def receipts(world: World, room_id: RoomId, reader: UserId, after: int = 0) -> list[ReceiptRow]:
    room = await world.registry.find(room_id)
    assert room is not None
    return list(await world.ephemeral.receipts_since(room, reader, Position(after), world.log.position))


async def own(world: World, room_id: RoomId, user_id: UserId) -> dict[tuple[str, str], EventId]:
    room = await world.registry.find(room_id)
    assert room is not None
    rows = await world.ephemeral.receipts_of_user(room, user_id)
    return {(row.receipt_type, row.thread_id): row.event_id for row in rows}


async def read(world: World, user_id: UserId, room_id: RoomId, event_id: str, kind: str = READ, **body: str) -> None:
    await world.ask(user_id, "POST", f"rooms/{room_id}/receipt/{kind}/{event_id}", body)


# Receipts


async def test_a_receipt_moves_forward(world: World) -> None:
    room_id = await world.public_room(BOB)
    one, two = await world.send(ALICE, room_id), await world.send(ALICE, room_id)
    await read(world, BOB, room_id, one)
    await read(world, BOB, room_id, two)
    assert await own(world, room_id, BOB) == {(READ, ""): two}


async def test_a_receipt_never_moves_backwards(world: World) -> None:
    room_id = await world.public_room(BOB)
    one, two = await world.send(ALICE, room_id), await world.send(ALICE, room_id)
    await read(world, BOB, room_id, two)
    await read(world, BOB, room_id, one)
    assert await own(world, room_id, BOB) == {(READ, ""): two}


@pytest.mark.parametrize("again", ["the same", "an older one"])
async def test_a_receipt_that_does_not_move_is_news_to_nobody(world: World, again: str) -> None:
    room_id = await world.public_room(BOB)
    one, two = await world.send(ALICE, room_id), await world.send(ALICE, room_id)
    await read(world, BOB, room_id, two)
    before = world.log.position
    await read(world, BOB, room_id, two if again == "the same" else one)
    assert world.log.position == before


async def test_the_two_types_of_receipt_move_apart(world: World) -> None:
    room_id = await world.public_room(BOB)
    one, two = await world.send(ALICE, room_id), await world.send(ALICE, room_id)
    await read(world, BOB, room_id, one)
    await read(world, BOB, room_id, two, READ_PRIVATE)
    assert await own(world, room_id, BOB) == {(READ, ""): one, (READ_PRIVATE, ""): two}


async def test_each_thread_has_its_own_receipt(world: World) -> None:
    room_id = await world.public_room(BOB)
    root = await world.send(ALICE, room_id)
    relation: dict[str, Any] = {"m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    reply = await world.send(ALICE, room_id, **relation)
    await read(world, BOB, room_id, reply)
    await read(world, BOB, room_id, root, thread_id="main")
    await read(world, BOB, room_id, reply, thread_id=root)
    assert await own(world, room_id, BOB) == {(READ, ""): reply, (READ, "main"): root, (READ, root): reply}


async def test_a_threaded_receipt_never_moves_backwards(world: World) -> None:
    room_id = await world.public_room(BOB)
    one, two = await world.send(ALICE, room_id), await world.send(ALICE, room_id)
    await read(world, BOB, room_id, two, thread_id="main")
    await read(world, BOB, room_id, one, thread_id="main")
    assert await own(world, room_id, BOB) == {(READ, "main"): two}


async def test_a_public_receipt_is_seen_by_others(world: World) -> None:
    room_id = await world.public_room(BOB)
    one = await world.send(ALICE, room_id)
    await read(world, BOB, room_id, one)
    (row,) = await receipts(world, room_id, ALICE)
    assert (row.user_id, row.receipt_type, row.event_id, row.ts) == (BOB, READ, one, world.clock.now_ms())


async def test_a_private_receipt_is_seen_by_oneself_alone(world: World) -> None:
    room_id = await world.public_room(BOB)
    await read(world, BOB, room_id, await world.send(ALICE, room_id), READ_PRIVATE)
    assert await receipts(world, room_id, ALICE) == []
    assert len(await receipts(world, room_id, BOB)) == 1


async def test_only_receipts_that_moved_in_the_span_are_given(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    one = await world.send(ALICE, room_id)
    await read(world, BOB, room_id, one)
    before = world.log.position
    await read(world, CAROL, room_id, one)
    assert [row.user_id for row in await receipts(world, room_id, ALICE, before)] == [CAROL]


async def test_a_room_remembers_where_a_receipt_last_moved(world: World) -> None:
    room_id = await world.public_room(BOB)
    await read(world, BOB, room_id, await world.send(ALICE, room_id))
    room = await world.registry.find(room_id)
    assert room is not None
    assert room.receipts_position == world.log.position


async def test_who_is_not_in_the_room_sets_no_receipt(world: World) -> None:
    room_id = await world.public_room()
    one = await world.send(ALICE, room_id)
    assert await world.refused(BOB, "POST", f"rooms/{room_id}/receipt/{READ}/{one}", {}) == (403, "M_FORBIDDEN")


async def test_a_receipt_for_an_unknown_event_is_refused(world: World) -> None:
    room_id = await world.public_room()
    assert await world.refused(ALICE, "POST", f"rooms/{room_id}/receipt/{READ}/$none", {}) == (404, "M_NOT_FOUND")


async def test_a_receipt_for_an_event_of_another_room_is_refused(world: World) -> None:
    room_id, elsewhere = await world.public_room(), await world.public_room()
    one = await world.send(ALICE, elsewhere)
    assert await world.refused(ALICE, "POST", f"rooms/{room_id}/receipt/{READ}/{one}", {}) == (404, "M_NOT_FOUND")


async def test_a_thread_that_is_neither_main_nor_an_event_is_refused(world: World) -> None:
    room_id = await world.public_room()
    path = f"rooms/{room_id}/receipt/{READ}/{await world.send(ALICE, room_id)}"
    assert await world.refused(ALICE, "POST", path, {"thread_id": "elsewhere"}) == (400, "M_INVALID_PARAM")


async def test_an_event_of_a_thread_is_no_thread_of_its_own(world: World) -> None:
    room_id = await world.public_room()
    root = await world.send(ALICE, room_id)
    relation: dict[str, Any] = {"m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    reply = await world.send(ALICE, room_id, **relation)
    path = f"rooms/{room_id}/receipt/{READ}"
    for event_id, thread_id, status in (
        (reply, reply, 400),
        (reply, "main", 400),
        (reply, root, 200),
        (root, root, 200),
        (root, "main", 200),
    ):
        assert (await world.tried(ALICE, "POST", f"{path}/{event_id}", {"thread_id": thread_id}))[0] == status


@pytest.mark.parametrize(("hops", "status"), [(1, 200), (2, 200), (3, 200), (4, 400)])
async def test_the_thread_of_an_event_is_found_within_three_hops(world: World, hops: int, status: int) -> None:
    room_id = await world.public_room()
    root = await world.send(ALICE, room_id)
    relation: dict[str, Any] = {"m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    last = await world.send(ALICE, room_id, **relation)
    for _ in range(hops):
        relation = {"m.relates_to": {"rel_type": "m.reference", "event_id": last}}
        last = await world.send(ALICE, room_id, **relation)
    path = f"rooms/{room_id}/receipt/{READ}/{last}"
    assert (await world.tried(ALICE, "POST", path, {"thread_id": root}))[0] == status


async def test_a_receipt_of_somebody_elsewhere_for_an_event_we_do_not_have_is_kept(world: World) -> None:
    room_id = await world.public_room()
    room = await world.registry.find(room_id)
    assert room is not None
    room.members.set(EVE, "join")
    await world.ephemeral.receive_receipt(Receipt(room_id, EVE, READ, EventId("$unseen"), None), 7)
    (row,) = await receipts(world, room_id, ALICE)
    assert (row.user_id, row.event_id, row.ordering, row.ts) == (EVE, "$unseen", None, 7)


async def test_a_receipt_of_somebody_elsewhere_who_is_not_in_the_room_is_ignored(world: World) -> None:
    room_id = await world.public_room()
    await world.ephemeral.receive_receipt(Receipt(room_id, EVE, READ, await world.send(ALICE, room_id), None), 7)
    assert await receipts(world, room_id, ALICE) == []


async def test_a_receipt_of_somebody_elsewhere_for_an_unknown_room_is_ignored(world: World) -> None:
    before = world.log.position
    await world.ephemeral.receive_receipt(Receipt(OTHER, EVE, READ, EventId("$one"), None), 7)
    assert world.log.position == before


# Typing: the list


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def typing(clock: ManualClock) -> Typing:
    return Typing(clock)


def test_who_starts_typing_is_on_the_list(typing: Typing) -> None:
    assert typing.set(ROOM, BOB, 1_000)
    assert typing.set(ROOM, ALICE, 1_000)
    assert typing.users(ROOM) == [ALICE, BOB]


def test_typing_in_one_room_is_not_typing_in_another(typing: Typing) -> None:
    typing.set(ROOM, BOB, 1_000)
    assert typing.users(OTHER) == []


def test_who_stops_typing_is_not_on_the_list(typing: Typing) -> None:
    typing.set(ROOM, BOB, 1_000)
    assert typing.set(ROOM, BOB, 0)
    assert typing.users(ROOM) == []


def test_stopping_what_was_not_begun_changes_nothing(typing: Typing) -> None:
    assert not typing.set(ROOM, BOB, 0)


def test_going_on_typing_does_not_change_the_list(typing: Typing) -> None:
    typing.set(ROOM, BOB, 1_000)
    assert not typing.set(ROOM, BOB, 1_000)


def test_typing_ends_when_its_time_is_over(typing: Typing, clock: ManualClock) -> None:
    typing.set(ROOM, BOB, 1_000)
    clock.advance(999)
    assert typing.users(ROOM) == [BOB]
    clock.advance(1)
    assert typing.users(ROOM) == []
    assert typing.expired() == [(ROOM, BOB)]


def test_going_on_typing_puts_the_end_off(typing: Typing, clock: ManualClock) -> None:
    typing.set(ROOM, BOB, 1_000)
    clock.advance(900)
    typing.set(ROOM, BOB, 1_000)
    clock.advance(900)
    assert typing.users(ROOM) == [BOB]
    assert not typing.is_expired(ROOM, BOB)


def test_nobody_types_longer_than_the_bound(typing: Typing, clock: ManualClock) -> None:
    typing.set(ROOM, BOB, 10**12)
    clock.advance(TYPING_MS_MAX)
    assert typing.users(ROOM) == []


def test_the_list_of_a_room_is_bounded(typing: Typing) -> None:
    changed = [typing.set(ROOM, UserId(f"@u{number}:here.example"), 1_000) for number in range(1_100)]
    assert sum(changed) == len(typing.users(ROOM)) == 1_000


def test_a_room_in_which_nobody_types_any_more_costs_nothing(typing: Typing) -> None:
    typing.set(ROOM, BOB, 1_000)
    typing.set(ROOM, BOB, 0)
    assert not typing.rooms


# Typing: through the door


async def test_typing_moves_the_list_of_its_room(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.ask(BOB, "PUT", f"rooms/{room_id}/typing/{BOB}", {"typing": True, "timeout": 1_000})
    assert world.typing.users(room_id) == [BOB]
    assert world.typing.moved_at(room_id) == world.log.position


async def test_going_on_typing_is_news_to_nobody(world: World) -> None:
    room_id = await world.public_room(BOB)
    await world.ask(BOB, "PUT", f"rooms/{room_id}/typing/{BOB}", {"typing": True, "timeout": 1_000})
    before = world.log.position
    await world.ask(BOB, "PUT", f"rooms/{room_id}/typing/{BOB}", {"typing": True, "timeout": 1_000})
    assert world.log.position == before


async def test_who_is_not_in_the_room_does_not_type_in_it(world: World) -> None:
    room_id = await world.public_room()
    path = f"rooms/{room_id}/typing/{BOB}"
    assert await world.refused(BOB, "PUT", path, {"typing": True, "timeout": 1_000}) == (403, "M_FORBIDDEN")


async def test_nobody_types_for_another(world: World) -> None:
    room_id = await world.public_room(BOB)
    path = f"rooms/{room_id}/typing/{ALICE}"
    assert await world.refused(BOB, "PUT", path, {"typing": True, "timeout": 1_000}) == (403, "M_FORBIDDEN")


async def test_typing_of_somebody_elsewhere_who_is_not_in_the_room_is_ignored(world: World) -> None:
    room_id = await world.public_room()
    await world.ephemeral.receive_typing(room_id, EVE, 1_000)
    assert world.typing.users(room_id) == []


async def test_typing_of_somebody_elsewhere_in_the_room_counts(world: World) -> None:
    room_id = await world.public_room()
    room = await world.registry.find(room_id)
    assert room is not None
    room.members.set(EVE, "join")
    await world.ephemeral.receive_typing(room_id, EVE, 1_000)
    assert world.typing.users(room_id) == [EVE]


@asynccontextmanager
async def keeping_time(world: World) -> AsyncIterator[None]:
    task = asyncio.create_task(world.ephemeral.run())
    await asyncio.sleep(0)
    yield
    task.cancel()
    await asyncio.wait([task])


async def until_moved(world: World, position: int) -> None:
    async with asyncio.timeout(5):
        await world.log.wait(Position(position))


async def test_who_falls_silent_is_taken_off_the_list_aloud(world: World) -> None:
    room_id = await world.public_room(BOB)
    async with keeping_time(world):
        await world.ephemeral.set_typing(room_id, BOB, 1_500)
        before = world.log.position
        world.clock.advance(2_000)
        await until_moved(world, before)
    ((_, change),) = await world.log.read(before, 10)
    assert change == TypingChanged(room_id, BOB, False, 0)
    assert not world.typing.rooms


async def test_after_a_restart_typing_of_before_is_ended_aloud(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.users(ALICE)
        room_id = await world.public_room()
        await world.ephemeral.set_typing(room_id, ALICE, 1_000)
        before = world.log.position
    async with open_world(tmp_path) as world:
        await until_moved(world, before)
        ((_, change),) = await world.log.read(before, 10)
        assert isinstance(change, TypingChanged)
        assert (change.room_id, change.user_id, change.typing) == (room_id, ALICE, False)


async def test_after_a_restart_typing_that_had_ended_is_not_ended_again(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.users(ALICE)
        room_id = await world.public_room()
        await world.ephemeral.set_typing(room_id, ALICE, 1_000)
        await world.ephemeral.set_typing(room_id, ALICE, 0)
        before = world.log.position
    async with open_world(tmp_path) as world:
        assert world.log.position == before


async def in_thread(world: World, room_id: RoomId, root: str, rel_type: str = "m.thread") -> EventId:
    """Say something that relates to an event."""
    content: dict[str, Any] = {"m.relates_to": {"rel_type": rel_type, "event_id": root}}
    return await world.send(ALICE, room_id, **content)


async def test_a_threaded_receipt_is_for_an_event_of_the_thread(world: World) -> None:
    room_id = await world.public_room(BOB)
    root, other = await world.send(ALICE, room_id), await world.send(ALICE, room_id)
    reply = await in_thread(world, room_id, root)
    edit = await in_thread(world, room_id, reply, "m.replace")
    reaction = await in_thread(world, room_id, root, "m.annotation")
    for event_id, good, bad in (
        (root, ("main", root), (other,)),
        (other, ("main", other), (root,)),
        (reply, (root,), ("main", other)),
        (edit, (root,), ("main", reply)),
        (reaction, ("main",), (root,)),
    ):
        path = f"rooms/{room_id}/receipt/m.read/{event_id}"
        for thread_id in good:
            await world.ask(BOB, "POST", path, {"thread_id": thread_id})
        for thread_id in bad:
            assert await world.refused(BOB, "POST", path, {"thread_id": thread_id}) == (400, "M_INVALID_PARAM")
