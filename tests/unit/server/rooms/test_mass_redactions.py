"""Kicks and bans that take what was said with them; redactions with what relates to them."""

import asyncio
from typing import Any

import pytest

from tests.unit.server.rooms.relating import edit, event, react, redact, refer, reply
from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.world import ALICE, BOB, CAROL, World
from watchword.base import limits
from watchword.protocol.ids import EventId, RoomId
from watchword.server.rooms.commands import ChangeMembership

FLAG = "org.matrix.msc4293.redact_events"


async def finish(world: World) -> None:
    while await world.relations.mass_redactions.step():
        pass


async def is_redacted(world: World, room_id: RoomId, event_id: EventId) -> bool:
    return "redacted_because" in (await event(world, ALICE, room_id, event_id))["unsigned"]


# Kicks and bans


@pytest.mark.parametrize("flag", ["redact_events", FLAG])
@pytest.mark.parametrize("action", ["kick", "ban"])
async def test_a_kick_or_ban_takes_what_was_said_with_it(world: World, action: str, flag: str) -> None:
    room_id = await world.public_room(BOB, CAROL)
    said = [await world.send(BOB, room_id, text) for text in ("spam", "more")]
    reaction = await react(world, BOB, room_id, said[0])
    other = await world.send(CAROL, room_id, "fine")
    await world.ask(ALICE, "POST", f"rooms/{room_id}/{action}", {"user_id": BOB, "reason": "spam", flag: True})
    await finish(world)
    for event_id in (*said, reaction):
        shown = await event(world, ALICE, room_id, event_id)
        assert shown["content"] == {}
        because = shown["unsigned"]["redacted_because"]
        assert (because["type"], because["state_key"], because["content"]["reason"]) == ("m.room.member", BOB, "spam")
    assert not await is_redacted(world, room_id, other)
    assert await world.relations.mass_redactions.step() is False


async def test_only_the_last_stay_is_meant(world: World) -> None:
    room_id = await world.public_room(BOB)
    before = await world.send(BOB, room_id, "before")
    await world.leave(BOB, room_id)
    await world.join(BOB, room_id)
    said = await world.send(BOB, room_id, "now")
    await world.ask(BOB, "PUT", f"profile/{BOB}/displayname", {"displayname": "Bobby"})
    await world.writer.renew_member(ChangeMembership(room_id, BOB, BOB, "join", {"displayname": "Bobby"}))
    renamed = await world.send(BOB, room_id, "renamed")
    await world.ask(ALICE, "POST", f"rooms/{room_id}/ban", {"user_id": BOB, "redact_events": True})
    await finish(world)
    assert [await is_redacted(world, room_id, each) for each in (before, said, renamed)] == [False, True, True]


@pytest.mark.parametrize("body", [{}, {FLAG: False}, {"redact_events": False}])
async def test_without_the_flag_nothing_is_redacted(world: World, body: dict[str, Any]) -> None:
    room_id = await world.public_room(BOB)
    said = await world.send(BOB, room_id)
    await world.ask(ALICE, "POST", f"rooms/{room_id}/ban", {"user_id": BOB, **body})
    await finish(world)
    assert not await is_redacted(world, room_id, said)
    status = await world.refused(ALICE, "POST", f"rooms/{room_id}/ban", {"user_id": BOB, FLAG: "yes"})
    assert status == (400, "M_BAD_JSON")


async def test_who_may_not_redact_takes_nothing_with_his_ban(world: World) -> None:
    levels = {"users": {ALICE: 100, CAROL: 50}, "redact": 60}
    room_id = await world.public_room(BOB, CAROL, power_level_content_override=levels, room_version="11")
    said = await world.send(BOB, room_id)
    await world.ask(CAROL, "POST", f"rooms/{room_id}/ban", {"user_id": BOB, FLAG: True})
    await finish(world)
    assert not await is_redacted(world, room_id, said)


async def test_nobody_redacts_himself_by_leaving(world: World) -> None:
    room_id = await world.public_room(BOB)
    said = await world.send(ALICE, room_id)
    path = f"rooms/{room_id}/state/m.room.member/{ALICE}"
    await world.ask(ALICE, "PUT", path, {"membership": "leave", FLAG: True})
    await finish(world)
    assert "redacted_because" not in (await event(world, BOB, room_id, said))["unsigned"]


async def test_long_stays_are_worked_through_in_steps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "member_redaction_events_at_once", 3)
    room_id = await world.public_room(BOB)
    said = [await world.send(BOB, room_id, str(number)) for number in range(7)]
    await world.ask(ALICE, "POST", f"rooms/{room_id}/ban", {"user_id": BOB, FLAG: True})
    assert await world.relations.mass_redactions.step()
    done = [await is_redacted(world, room_id, each) for each in said]
    assert (done[0], done[-1]) == (True, False)
    # A restart between two steps changes nothing: what is left stands in the database.
    await finish(world)
    assert all([await is_redacted(world, room_id, each) for each in said])


async def test_bans_of_other_servers_count(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    await b.join(room_id, "bob", a)
    await network.settle()
    said = await b.say(room_id, "spam", "bob")
    await network.settle()
    command = ChangeMembership(room_id, a.user("alice"), b.user("bob"), "ban", {FLAG: True})
    await a.rooms.writer.change_membership(command)
    await network.settle()
    for stack in (a, b):
        while await stack.rooms.relations.mass_redactions.step():
            pass
        async with stack.database.read() as tx:
            stored = await stack.rooms.events.one(tx, said)
        assert stored is not None
        assert stored.pdu.content == {}
        assert stored.redacted_because is not None
        assert stored.redacted_because.pdu.type == "m.room.member"


# With relations


async def test_what_relates_is_redacted_too(world: World) -> None:
    room_id = await world.public_room(BOB)
    said = await world.send(ALICE, room_id)
    edited = await edit(world, ALICE, room_id, said)
    reaction = await react(world, BOB, room_id, said)
    vote = await refer(world, BOB, room_id, said)
    types = ["m.replace", "m.annotation"]
    await redact(world, ALICE, room_id, said, reason="oops", **{"org.matrix.msc3912.with_relations": types})
    await finish(world)
    assert [await is_redacted(world, room_id, each) for each in (said, edited, reaction, vote)] == [True, True, True, False]
    because = (await event(world, ALICE, room_id, reaction))["unsigned"]["redacted_because"]
    assert (because["type"], because["sender"], because["content"]["reason"]) == ("m.room.redaction", ALICE, "oops")
    # The redaction does not carry the wish.
    shown = (await event(world, ALICE, room_id, said))["unsigned"]["redacted_because"]["content"]
    assert shown == {"reason": "oops", "redacts": said}


async def test_what_comes_later_is_redacted_too(world: World) -> None:
    room_id = await world.public_room(BOB)
    said = await world.send(ALICE, room_id)
    await redact(world, ALICE, room_id, said, with_rel_types=["*"])
    await finish(world)
    late = await reply(world, BOB, room_id, said)
    await finish(world)
    assert await is_redacted(world, room_id, late)


async def test_what_one_may_not_redact_stays(world: World) -> None:
    room_id = await world.public_room(BOB, CAROL)
    said = await world.send(BOB, room_id)
    own, other = await react(world, BOB, room_id, said), await react(world, CAROL, room_id, said)
    await redact(world, BOB, room_id, said, with_rel_types=["m.annotation"])
    await finish(world)
    assert [await is_redacted(world, room_id, each) for each in (own, other)] == [True, False]


@pytest.mark.parametrize("types", ["m.thread", [1], ["x"] * 51])
async def test_types_must_be_a_list_of_some_strings(world: World, types: object) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    body = {"org.matrix.msc3912.with_relations": types}
    assert await world.refused(ALICE, "PUT", f"rooms/{room_id}/redact/{said}/t", body) == (400, "M_BAD_JSON")


async def test_an_empty_list_redacts_the_event_alone(world: World) -> None:
    room_id = await world.public_room()
    said = await world.send(ALICE, room_id)
    reaction = await react(world, ALICE, room_id, said)
    await redact(world, ALICE, room_id, said, with_rel_types=[])
    await finish(world)
    assert not await is_redacted(world, room_id, reaction)


async def test_the_loop_waits_for_work(world: World) -> None:
    room_id = await world.public_room(BOB)
    said = await world.send(BOB, room_id)
    running = asyncio.ensure_future(world.relations.mass_redactions.run())
    await asyncio.sleep(0)
    await world.ask(ALICE, "POST", f"rooms/{room_id}/ban", {"user_id": BOB, FLAG: True})
    for _ in range(200):
        await asyncio.sleep(0.005)
        if await is_redacted(world, room_id, said):
            break
    assert await is_redacted(world, room_id, said)
    running.cancel()
