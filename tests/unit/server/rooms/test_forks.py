"""Forks within one server's view: crafted events, and what becomes of the state."""

import time

import pytest

from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.test_receiver import shared_room
from watchword.protocol.ids import EventId, UserId
from watchword.server.rooms.append import NewPdu
from watchword.server.rooms.forks import Forks
from watchword.storage.database import Tx


@pytest.mark.parametrize("version", ["1", "2", "6", "12"])
async def test_a_state_event_beside_a_message_keeps_both(version: str, network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b, version=version)
    fork = list((await a.room(room_id)).extremities)
    levels = (await a.room(room_id)).levels()
    await a.say(room_id, "message")
    member = (await a.room(room_id)).state[("m.room.member", b.user("bob"))]
    raw = await b.crafted(
        room_id,
        b.user("bob"),
        {"membership": "leave"},
        kind="m.room.member",
        state_key=b.user("bob"),
        prev_events=fork,
    )
    assert list((await a.receive(b, [raw])).values()) == [None]
    room = await a.room(room_id)
    assert room.members.membership[b.user("bob")] == "leave"
    assert room.state[("m.room.member", b.user("bob"))] != member
    assert len(room.extremities) == 2
    assert len(room.forks) == 2
    assert levels.users == room.levels().users
    await a.restarted()
    again = await a.room(room_id)
    assert again.state == room.state
    assert again.forks == room.forks


async def test_a_topic_from_before_its_sender_lost_the_right_loses(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    content = dict((await a.room(room_id)).content("m.room.power_levels"))
    await a.send(room_id, "m.room.power_levels", {**content, "users": {b.user("bob"): 50}}, "")
    await network.settle()
    fork = list((await a.room(room_id)).extremities)
    levels = (await b.room(room_id)).state[("m.room.power_levels", "")]
    member = (await b.room(room_id)).state[("m.room.member", b.user("bob"))]
    await a.send(room_id, "m.room.power_levels", content, "")
    before = await a.state(room_id)
    raw = await b.crafted(
        room_id,
        b.user("bob"),
        {"topic": "late"},
        kind="m.room.topic",
        state_key="",
        prev_events=fork,
        auth_events=[levels, member],
    )
    await a.receive(b, [raw])
    # Soft-failed: allowed where it was sent, not any more.
    assert await a.state(room_id) == before
    assert len((await a.room(room_id)).extremities) == 1


async def test_a_small_conflict_in_a_large_room_costs_little(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    room = await a.room(room_id)
    database = a.rooms.writer.database
    number = 2_000
    async with database.write() as tx:
        await _fill(a, tx, room_id, number)
    fork = list(room.extremities)
    await a.send(room_id, "m.room.topic", {"topic": "one"}, "")
    raw = await b.crafted(
        room_id, b.user("bob"), {"membership": "leave"}, kind="m.room.member", state_key=b.user("bob"), prev_events=fork
    )
    started = time.process_time()
    assert list((await a.receive(b, [raw])).values()) == [None]
    assert time.process_time() - started < 0.2
    assert len((await a.room(room_id)).state) > number


async def _fill(stack: Stack, tx: Tx, room_id: EventId | str, number: int) -> None:
    """Members without ceremony: each a join that follows the one before."""
    room = await stack.room(room_id)  # type: ignore[arg-type]
    writer = stack.rooms.writer
    for index in range(number):
        user = UserId(f"@u{index}:{stack.name}")
        raw = await stack.crafted(
            room.room_id,
            user,
            {"membership": "join"},
            kind="m.room.member",
            state_key=user,
            auth_events=[room.state[("m.room.power_levels", "")], room.state[("m.room.join_rules", "")]],
        )
        from watchword.protocol import canonical_json
        from watchword.protocol.events import parse_pdu

        await writer.appender.append(tx, room, NewPdu(parse_pdu(raw, room.version), canonical_json.encode(raw)))


async def test_the_state_after_an_unknown_event_is_not_known(network: Network, a: Stack) -> None:
    room_id = await a.create()
    room = await a.room(room_id)
    forks = Forks(a.rooms.events)
    async with a.database.read() as tx:
        assert await forks.state_before(tx, room, [EventId("$nothing")]) is None
        assert await forks.state_before(tx, room, list(room.extremities)) is room.state
        (end,) = room.extremities
        assert await forks.state_after(tx, room, end) is room.state
        for event_id in room.state.values():
            assert await forks.state_after(tx, room, event_id) is not None
