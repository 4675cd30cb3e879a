"""Rooms put together: the parts share what they must, and the operator's choices reach them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from tests.unit.server.rooms.stacks import Network, Remote, Signatures, Stack
from watchword.base.entropy import SeededEntropy
from watchword.protocol.ids import EventId, RoomId
from watchword.server.accounts.user_data import UserData
from watchword.server.changes import TypingChanged
from watchword.server.rooms.assembly import RoomLimits, RoomPorts, Rooms, assemble_rooms
from watchword.server.rooms.commands import SendEvent, Transaction
from watchword.server.rooms.sent import REMEMBERED_MS


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    network = Network()
    made = await Stack.start(network, tmp_path, "a.example", "alice")
    yield made
    await made.database.close()


def again(stack: Stack, *, rooms_max: int = 100, events_max: int = 1_000) -> Rooms:
    """The same server once more: on the same database, with nothing in memory."""
    ports = RoomPorts(
        stack.rooms.writer.identity,
        stack.rooms.membership.accounts,
        cast("UserData", None),
        Remote(stack.network, stack.name),
        Signatures(stack.network),
    )
    limits = RoomLimits("11", rooms_max, events_max)
    return assemble_rooms(stack.database, stack.log, stack.clock, SeededEntropy(9), ports, limits)


async def said(rooms: Rooms, stack: Stack, room_id: RoomId, txn_id: str = "t") -> EventId:
    transaction = Transaction(stack.user("alice"), "PHONE", "send", txn_id)
    command = SendEvent(room_id, stack.user("alice"), "m.room.message", {"body": "x"}, None, None, transaction)
    return await rooms.writer.send(command)


async def forget_old(stack: Stack) -> None:
    async with stack.database.write() as tx:
        await stack.rooms.forget_old(tx)


# What the parts share


async def test_what_one_part_writes_the_others_read(stack: Stack) -> None:
    room_id = await stack.create()
    event_id = await stack.say(room_id, "hello")
    assert stack.rooms.events.cached(event_id) is not None
    assert await stack.rooms.reader.room(room_id) is stack.rooms.registry.at_hand(room_id)
    assert await stack.bodies(room_id, "alice") == ["hello"]


async def test_what_one_server_wrote_it_reads_after_a_restart(stack: Stack) -> None:
    room_id = await stack.create()
    before = await stack.state(room_id)
    room = await again(stack).reader.room(room_id)
    assert room is not None
    assert room.state == before


# What the operator chose


async def test_the_doors_know_the_version_that_the_operator_chose(stack: Stack) -> None:
    assert again(stack).doors.default_room_version == "11"


async def test_the_bound_of_rooms_in_memory_is_the_operators(stack: Stack) -> None:
    made = [await stack.create() for _ in range(4)]
    rooms = again(stack, rooms_max=2)
    for room_id in made:
        assert await rooms.reader.room(room_id) is not None
    assert sum(rooms.registry.at_hand(room_id) is not None for room_id in made) == 2


async def test_the_bound_of_events_in_memory_is_the_operators(stack: Stack) -> None:
    room_id = await stack.create()
    sent = [await stack.say(room_id, str(number)) for number in range(6)]
    rooms = again(stack, events_max=3)
    await rooms.reader.found(sent)
    assert sum(rooms.events.cached(event_id) is not None for event_id in sent) == 3


# Starting


async def test_started_again_it_knows_what_devices_sent_lately(stack: Stack) -> None:
    room_id = await stack.create()
    event_id = await said(stack.rooms, stack, room_id)
    rooms = again(stack)
    await rooms.start()
    assert rooms.sent.of(event_id) == Transaction(stack.user("alice"), "PHONE", "send", "t")
    assert await said(rooms, stack, room_id) == event_id


async def test_started_again_it_ends_the_typing_of_before(stack: Stack) -> None:
    room_id, alice = await stack.create(), stack.user("alice")
    await stack.rooms.ephemeral.set_typing(room_id, alice, 1_000)
    before = stack.log.position
    await again(stack).start()
    await stack.log.wait(before)
    ((_, change),) = await stack.log.read(before, 10)
    assert isinstance(change, TypingChanged)
    assert (change.room_id, change.user_id, change.typing) == (room_id, alice, False)


# Forgetting


async def test_a_transaction_of_the_last_day_is_not_forgotten(stack: Stack) -> None:
    room_id = await stack.create()
    event_id = await said(stack.rooms, stack, room_id)
    stack.clock.advance(REMEMBERED_MS)
    await forget_old(stack)
    assert await said(again(stack), stack, room_id) == event_id


async def test_an_older_transaction_is_forgotten(stack: Stack) -> None:
    room_id = await stack.create()
    event_id = await said(stack.rooms, stack, room_id)
    stack.clock.advance(REMEMBERED_MS + 1)
    await forget_old(stack)
    assert await said(again(stack), stack, room_id) != event_id
