"""Redactions that come before their target, that may not be, and that somebody's kick or ban carries with it."""

from typing import Any

import pytest

from tests.unit.server.rooms.relating import children, event, ids, react, redact, reply, threads
from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.world import ALICE, BOB, EVE, World
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.changes import EventAppended
from watchword.server.rooms.append import Fork, NewPdu
from watchword.server.rooms.commands import SendEvent
from watchword.server.rooms.decide import draft_event
from watchword.server.rooms.view import Reader
from watchword.storage import Position


async def kept_back(world: World, room_id: RoomId, **content: Any) -> NewPdu:
    """An event that another server made and that has not come yet."""
    async with world.registry.locked(room_id) as room:
        assert room is not None
        command = SendEvent(room_id, EVE, "m.room.message", {"body": "late", **content})
        return await world.writer.build(room, draft_event(room, command, world.clock.now_ms()))


async def arrive(world: World, room_id: RoomId, late: NewPdu) -> EventId:
    async with world.registry.locked(room_id) as room:
        assert room is not None
        fork = Fork(room.state, room.state, {**room.extremities, late.pdu.event_id: late.pdu.depth})
        async with world.writer.appending(room) as (tx, durable):
            await world.appender.append(tx, room, NewPdu(late.pdu, late.json, fork=fork))
    await durable()
    return late.pdu.event_id


async def shown(world: World, room_id: RoomId, user_id: UserId = ALICE) -> list[str]:
    """The IDs of what /messages gives, oldest first."""
    return ids(await world.messages(user_id, room_id))[::-1]


async def test_a_redaction_is_hidden_until_its_target_comes(world: World) -> None:
    room_id = await world.public_room(BOB)
    late = await kept_back(world, room_id)
    before = (await world.sync(BOB))["next_batch"]
    redaction = await redact(world, ALICE, room_id, late.pdu.event_id)
    said = await world.send(ALICE, room_id, "meanwhile")
    assert redaction not in await shown(world, room_id)
    assert await world.refused(ALICE, "GET", f"rooms/{room_id}/event/{redaction}") == (404, "M_NOT_FOUND")
    first = await world.sync(BOB, before)
    assert ids({"chunk": first["rooms"]["join"][room_id]["timeline"]["events"]}) == [said]
    target = await arrive(world, room_id, late)
    second = await world.sync(BOB, first["next_batch"])
    told = second["rooms"]["join"][room_id]["timeline"]["events"]
    # It takes effect, and is news to those who were told of what came after it.
    assert ids({"chunk": told}) == [target, redaction]
    assert told[0]["content"] == {}
    assert told[0]["unsigned"]["redacted_because"]["event_id"] == redaction
    assert (await shown(world, room_id))[-3:] == [said, target, redaction]
    assert (await event(world, ALICE, room_id, redaction))["redacts"] == target


async def test_the_room_goes_on_after_what_was_hidden(world: World) -> None:
    room_id = await world.public_room(BOB)
    late = await kept_back(world, room_id)
    redaction = await redact(world, ALICE, room_id, late.pdu.event_id)
    for step in ("hidden", "shown"):
        room = await world.registry.find(room_id)
        assert room is not None
        ends = dict(room.extremities)
        assert redaction in ends
        world.registry.evict(room)
        again = await world.registry.find(room_id)
        assert again is not None
        assert again.extremities == ends
        if step == "hidden":
            await arrive(world, room_id, late)
    said = await world.send(ALICE, room_id, "on")
    room = await world.registry.find(room_id)
    assert room is not None
    world.registry.evict(room)
    again = await world.registry.find(room_id)
    assert again is not None
    assert again.extremities.keys() == {said}


async def test_the_state_before_a_redaction_is_that_of_its_first_place(world: World) -> None:
    room_id = await world.public_room(BOB, name="one")
    late = await kept_back(world, room_id)
    redaction = await redact(world, ALICE, room_id, late.pdu.event_id)
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "two"})
    await arrive(world, room_id, late)
    room = await world.registry.find(room_id)
    async with world.database.read() as tx:
        stored = await world.events.one(tx, redaction)
    assert room is not None
    assert stored is not None
    state = await world.reader.state_before(room, stored)
    name = (await world.reader.found((state["m.room.name", ""],)))[state["m.room.name", ""]]
    assert name.pdu.content == {"name": "one"}


async def test_it_is_sent_out_once(world: World) -> None:
    room_id = await world.public_room(BOB)
    late = await kept_back(world, room_id)
    since = world.log.position
    redaction = await redact(world, ALICE, room_id, late.pdu.event_id)
    await arrive(world, room_id, late)
    changes = [logged.change for logged in world.log.recent(since, Position(world.log.position))]
    told = [change for change in changes if isinstance(change, EventAppended) and change.event_id == redaction]
    assert [change.sender_is_local for change in told] == [True, False]


async def test_one_that_may_not_redact_stays_hidden(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    await b.join(room_id, "bob", a)
    await network.settle()
    said = await a.say(room_id, "mine")
    await network.settle()
    # BOB's server does not ask whether he may.
    room = await b.room(room_id)
    command = SendEvent(room_id, b.user("bob"), "m.room.redaction", {}, None, said)
    redaction = await b.rooms.writer.build(room, draft_event(room, command, b.clock.now_ms()))
    assert await a.receive(b, [dict(redaction.pdu.json)]) == {redaction.pdu.event_id: None}
    assert redaction.pdu.event_id in (await a.room(room_id)).extremities
    view, found = await a.rooms.reader.one_event(room_id, said, Reader(a.user("alice")))
    assert found.pdu.content["body"] == "mine"
    async with a.database.read() as tx:
        hidden = await a.rooms.events.one(tx, redaction.pdu.event_id)
    assert hidden is not None
    assert not hidden.is_shown
    assert not view.sees(hidden)


@pytest.mark.parametrize("version", ["1", "2"])
async def test_in_the_first_versions_redactions_are_shown_at_once(world: World, version: str) -> None:
    room_id = await world.public_room(BOB, room_version=version)
    redaction = await redact(world, ALICE, room_id, "$late:there.example")
    assert redaction in await shown(world, room_id)


async def test_a_target_that_is_redacted_on_arrival_breaks_its_relation(world: World) -> None:
    room_id = await world.public_room(BOB)
    root = await world.send(ALICE, room_id, "root")
    late = await kept_back(world, room_id, **{"m.relates_to": {"rel_type": "m.thread", "event_id": root}})
    await redact(world, ALICE, room_id, late.pdu.event_id)
    await arrive(world, room_id, late)
    assert ids(await children(world, ALICE, room_id, root)) == []
    assert ids(await threads(world, ALICE, room_id)) == []


async def test_a_redaction_that_relates_is_a_relation_once_it_is_shown(world: World) -> None:
    room_id = await world.public_room(BOB)
    root = await world.send(ALICE, room_id, "root")
    late = await kept_back(world, room_id)
    content = {"m.relates_to": {"rel_type": "m.reference", "event_id": root}}
    command = SendEvent(room_id, ALICE, "m.room.redaction", content, None, late.pdu.event_id)
    redaction = await world.writer.send(command)
    assert ids(await children(world, ALICE, room_id, root)) == []
    await arrive(world, room_id, late)
    assert ids(await children(world, ALICE, room_id, root)) == [redaction]


async def test_a_reaction_is_redacted_and_its_event_shown_so_to_all_at_once(world: World) -> None:
    room_id = await world.public_room(BOB)
    said = await world.send(ALICE, room_id)
    reaction = await react(world, BOB, room_id, said)
    await redact(world, BOB, room_id, reaction)
    assert (await event(world, ALICE, room_id, reaction))["content"] == {}
    assert ids(await children(world, ALICE, room_id, said)) == []
    # The event itself is untouched; a reply to it still counts.
    await reply(world, BOB, room_id, said)
    assert ids(await threads(world, ALICE, room_id)) == [said]
