"""What appending an event does to the room: redactions, state on its line, what memory keeps."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.unit.server.rooms.world import ALICE, BOB, CAROL, EVE, World, bodies
from watchword.protocol.ids import EventId, RoomId
from watchword.server.rooms.append import Fork, NewPdu
from watchword.server.rooms.commands import SendEvent
from watchword.server.rooms.decide import authorise, draft_event


async def redact(world: World, user_id: str, room_id: RoomId, event_id: str, txn_id: str = "r", **body: Any) -> EventId:
    answer = await world.ask(user_id, "PUT", f"rooms/{room_id}/redact/{quote(event_id, safe='')}/{txn_id}", body)  # type: ignore[arg-type]
    return EventId(answer["event_id"])


async def event(world: World, user_id: Any, room_id: RoomId, event_id: str) -> Any:
    return await world.ask(user_id, "GET", f"rooms/{room_id}/event/{quote(event_id, safe='')}")


# Redactions


@pytest.mark.parametrize("version", ["1", "2", "3", "9", "10", "11", "12"])
async def test_ones_own_event_is_redacted_for_everybody(world: World, version: str) -> None:
    room_id = await world.public_room(BOB, room_version=version)
    said = await world.say(BOB, room_id, "oops")
    redaction = await redact(world, BOB, room_id, said, reason="typo")
    for user_id in (ALICE, BOB):
        seen = await event(world, user_id, room_id, said)
        assert seen["content"] == {}
        because = seen["unsigned"]["redacted_because"]
        assert (because["event_id"], because["sender"], because["content"]["reason"]) == (redaction, BOB, "typo")
    shown = await event(world, ALICE, room_id, redaction)
    assert shown["redacts"] == shown["content"]["redacts"] == said


async def test_a_redaction_may_be_sent_as_an_event(world: World) -> None:
    room_id = await world.public_room(BOB)
    said = await world.say(BOB, room_id, "oops")
    await world.ask(BOB, "PUT", f"rooms/{room_id}/send/m.room.redaction/t", {"redacts": said})
    assert (await event(world, ALICE, room_id, said))["content"] == {}
    path = f"rooms/{room_id}/send/m.room.redaction/u"
    assert await world.refused(BOB, "PUT", path, {}) == (400, "M_MISSING_PARAM")


async def test_a_moderator_redacts_what_others_said(world: World) -> None:
    room_id = await world.public_room(BOB)
    said = await world.say(BOB, room_id, "rude")
    await redact(world, ALICE, room_id, said)
    assert (await event(world, BOB, room_id, said))["content"] == {}


@pytest.mark.parametrize("version", ["2", "9", "12"])
async def test_nobody_else_redacts_what_others_said(world: World, version: str) -> None:
    room_id = await world.public_room(BOB, CAROL, room_version=version)
    said = await world.say(BOB, room_id, "fine")
    path = f"rooms/{room_id}/redact/{said}/t"
    assert await world.refused(CAROL, "PUT", path, {}) == (403, "M_FORBIDDEN")
    path = f"rooms/{room_id}/send/m.room.redaction/t"
    assert await world.refused(CAROL, "PUT", path, {"redacts": said}) == (403, "M_FORBIDDEN")
    assert (await event(world, CAROL, room_id, said))["content"]["body"] == "fine"


async def test_a_redaction_in_the_dress_of_state_is_judged_like_any_other(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL, power_level_content_override={"state_default": 0})
    said = await world.say(BOB, room_id, "fine")
    path = f"rooms/{room_id}/state/m.room.redaction/x"
    assert await world.refused(CAROL, "PUT", path, {"redacts": said}) == (403, "M_FORBIDDEN")


async def test_an_event_of_another_room_is_not_redacted(world: World) -> None:
    first, second = await world.public_room(BOB), await world.public_room(BOB)
    said = await world.say(BOB, first, "here")
    assert await world.refused(ALICE, "PUT", f"rooms/{second}/redact/{said}/t", {}) == (404, "M_NOT_FOUND")
    assert (await event(world, BOB, first, said))["content"]["body"] == "here"


async def test_a_redaction_repeated_with_its_transaction_id_is_the_same(world: World) -> None:
    room_id = await world.room()
    said = await world.say(ALICE, room_id)
    assert await redact(world, ALICE, room_id, said, "t1") == await redact(world, ALICE, room_id, said, "t1")


async def test_a_redaction_waits_for_its_target(world: World) -> None:
    """The target comes from another server, after its redaction: here it is built first and kept back."""
    room_id = await world.room()
    async with world.registry.locked(room_id) as room:
        assert room is not None
        command = SendEvent(room_id, EVE, "m.room.message", {"body": "late"})
        late = await world.writer.build(room, draft_event(room, command, world.clock.now_ms()))
    await redact(world, ALICE, room_id, late.pdu.event_id)
    async with world.registry.locked(room_id) as room:
        assert room is not None
        fork = Fork(room.state, room.state, {**room.extremities, late.pdu.event_id: late.pdu.depth})
        async with world.writer.appending(room) as (tx, durable):
            await world.appender.append(tx, room, NewPdu(late.pdu, late.json, fork=fork))
    await durable()
    assert (await event(world, ALICE, room_id, late.pdu.event_id))["content"] == {}


async def test_redacting_power_levels_keeps_them(world: World) -> None:
    room_id = await world.public_room(BOB, room_version="11", power_level_content_override={"users_default": 10})
    await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "before"})
    levels = next(pdu for pdu in (await world.messages(ALICE, room_id))["chunk"] if pdu["type"] == "m.room.power_levels")
    await redact(world, ALICE, room_id, levels["event_id"])
    kept = await world.ask(ALICE, "GET", f"rooms/{room_id}/state/m.room.power_levels")
    assert kept["users"] == {ALICE: 100}
    assert kept["users_default"] == 10
    await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "after"})
    assert await world.refused(BOB, "PUT", f"rooms/{room_id}/state/m.room.topic/", {"topic": "b"}) == (403, "M_FORBIDDEN")


async def test_redacting_a_join_rule_and_a_history_visibility_leaves_what_the_version_keeps(world: World) -> None:
    room_id = await world.public_room(BOB)
    for pdu in (await world.messages(ALICE, room_id))["chunk"]:
        if pdu["type"] in ("m.room.join_rules", "m.room.history_visibility"):
            await redact(world, ALICE, room_id, pdu["event_id"], pdu["type"])
    await world.join(CAROL, room_id)
    assert (await world.ask(CAROL, "GET", f"rooms/{room_id}/state/m.room.join_rules")) == {"join_rule": "public"}


async def test_redacting_state_does_not_bring_back_what_was_before(world: World) -> None:
    room_id = await world.room(name="first")
    second = await world.set_state(ALICE, room_id, "m.room.name", {"name": "second"})
    await redact(world, ALICE, room_id, second)
    assert await world.ask(ALICE, "GET", f"rooms/{room_id}/state/m.room.name") == {}


@pytest.mark.parametrize("cached", [True, False])
async def test_what_was_redacted_is_not_shown_as_previous_content_either(world: World, cached: bool) -> None:
    room_id = await world.room()
    first = await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "secret"})
    second = await world.set_state(ALICE, room_id, "m.room.topic", {"topic": "open"})
    assert (await event(world, ALICE, room_id, second))["unsigned"]["prev_content"] == {"topic": "secret"}
    await redact(world, ALICE, room_id, first)
    if not cached:
        world.events._cache.clear()
    unsigned = (await event(world, ALICE, room_id, second))["unsigned"]
    assert (unsigned["prev_content"], unsigned["replaces_state"]) == ({}, first)
    assert "secret" not in str(await world.sync(ALICE))


async def test_redacting_an_event_breaks_the_relation_it_had(world: World) -> None:
    room_id = await world.room()
    root = await world.say(ALICE, room_id, "root", "t1")
    relation = {"m.relates_to": {"rel_type": "m.annotation", "event_id": root, "key": "+"}}
    answer = await world.ask(ALICE, "PUT", f"rooms/{room_id}/send/m.reaction/t2", relation)

    async def relations() -> int:
        async with world.database.read() as tx:
            row = await tx.fetch_one("SELECT COUNT(*) FROM event_relations")
        assert row is not None
        return int(row[0])

    assert await relations() == 1
    await redact(world, ALICE, room_id, answer["event_id"])
    assert await relations() == 0


# State


async def test_an_event_replaces_the_state_before_it(world: World) -> None:
    room_id = await world.room(name="one")
    second = await world.set_state(ALICE, room_id, "m.room.name", {"name": "two"})
    third = await world.set_state(ALICE, room_id, "m.room.name", {"name": "three"})
    unsigned = (await event(world, ALICE, room_id, third))["unsigned"]
    assert (unsigned["replaces_state"], unsigned["prev_content"]) == (second, {"name": "two"})


async def test_memory_does_not_keep_the_whole_history_of_an_address(world: World) -> None:
    room_id = await world.room()
    for number in range(5):
        last = await world.set_state(ALICE, room_id, "m.room.topic", {"topic": str(number)})
    stored = world.events.cached(last)
    assert stored is not None
    assert stored.replaced is not None
    assert stored.replaced.replaced is None


async def test_an_event_on_a_fork_moves_the_state_to_what_was_resolved(world: World) -> None:
    room_id = await world.room(name="one")
    room = await world.registry.find(room_id)
    assert room is not None
    draft = draft_event(room, SendEvent(room_id, ALICE, "m.room.message", {"body": "x"}), world.clock.now_ms())
    assert authorise(room, draft) is None
    late = await world.writer.build(room, draft)
    before = dict(room.state)
    await world.set_state(ALICE, room_id, "m.room.name", {"name": "two"})
    async with world.registry.locked(room_id) as locked, world.writer.appending(room) as (tx, durable):
        assert locked is room
        # As if resolution had decided for the state of the other branch.
        fork = Fork(before, before, {**room.extremities, late.pdu.event_id: late.pdu.depth})
        await world.appender.append(tx, room, NewPdu(late.pdu, late.json, fork=fork))
    await durable()
    assert (await world.ask(ALICE, "GET", f"rooms/{room_id}/state/m.room.name"))["name"] == "one"
    world.registry.evict(room)
    assert (await world.ask(ALICE, "GET", f"rooms/{room_id}/state/m.room.name"))["name"] == "one"
    again = await world.registry.find(room_id)
    assert again is not None
    assert len(again.extremities) == 2
    await world.say(ALICE, room_id, "merge")
    assert len((await world.registry.find(room_id)).extremities) == 1  # type: ignore[union-attr]
    assert bodies(await world.timeline(room_id)) == ["x", "merge"]
