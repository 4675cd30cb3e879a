"""What rules that ask for more than the event are told."""

from typing import Any

import pytest

from tests.unit.server.push.world import ALICE, BOB, PushWorld
from tests.unit.server.rooms.world import CAROL
from watchword.protocol.default_push_rules import predefined
from watchword.protocol.ids import EventId
from watchword.server.push.commands import PushSettings

RELATED = "im.nheko.msc3664.related_event_match"


async def silent_but_for(world: PushWorld, condition: dict[str, Any]) -> None:
    """Let BOB hear loudly of what this holds for."""
    body = {"actions": ["notify", {"set_tweak": "highlight"}], "conditions": [condition]}
    await world.ask(BOB, "PUT", "pushrules/global/override/x", body)


def reply_to(event_id: EventId, /, **more: Any) -> dict[str, Any]:
    return {"m.relates_to": {"m.in_reply_to": {"event_id": event_id}, **more}}


async def test_a_rule_may_ask_whose_event_is_replied_to(world: PushWorld) -> None:
    room = await world.public_room(BOB, CAROL)
    own, other = await world.send(BOB, room), await world.send(CAROL, room)
    await silent_but_for(world, {"kind": RELATED, "rel_type": "m.in_reply_to", "key": "sender", "pattern": BOB})
    await world.send(ALICE, room, "to carol", **reply_to(other))
    assert await world.unread(BOB, room) == (2, 0)
    await world.send(ALICE, room, "to bob", **reply_to(own))
    assert await world.unread(BOB, room) == (3, 1)


async def test_a_reply_within_a_thread_for_old_clients_is_none(world: PushWorld) -> None:
    room = await world.public_room(BOB, CAROL)
    own = await world.send(BOB, room)
    await silent_but_for(world, {"kind": RELATED, "rel_type": "m.in_reply_to", "key": "sender", "pattern": BOB})
    await world.send(ALICE, room, "fallback", **reply_to(own, rel_type="m.thread", event_id=own, is_falling_back=True))
    assert (await world.counts(BOB, room)).threads == {own: (1, 0)}


async def test_a_rule_may_ask_what_is_in_the_event(world: PushWorld) -> None:
    room = await world.public_room(BOB, CAROL)
    cake = await world.send(CAROL, room, "there is cake")
    await silent_but_for(world, {"kind": RELATED, "rel_type": "m.in_reply_to", "key": "content.body", "pattern": "cake"})
    await world.send(ALICE, room, "thanks", **reply_to(cake))
    await world.send(ALICE, room, "unknown", **reply_to(EventId("$unknown")))
    assert await world.unread(BOB, room) == (3, 1)


async def test_a_rule_tells_nothing_of_what_the_reader_may_not_see(world: PushWorld) -> None:
    state = [{"type": "m.room.history_visibility", "state_key": "", "content": {"history_visibility": "joined"}}]
    room = await world.public_room(CAROL, initial_state=state)
    cake = await world.send(CAROL, room, "there is cake")
    await world.join(BOB, room)
    await silent_but_for(world, {"kind": RELATED, "rel_type": "m.in_reply_to", "key": "content.body", "pattern": "cake"})
    await world.send(ALICE, room, "thanks", **reply_to(cake))
    assert await world.unread(BOB, room) == (1, 0)


async def test_events_of_other_rooms_are_not_looked_at(world: PushWorld) -> None:
    here, there = await world.two_rooms(BOB)
    cake = await world.send(ALICE, there, "there is cake")
    await silent_but_for(world, {"kind": RELATED, "rel_type": "m.in_reply_to", "key": "content.body", "pattern": "cake"})
    await world.send(ALICE, here, "thanks", **reply_to(cake))
    assert await world.unread(BOB, here) == (1, 0)


@pytest.mark.parametrize("replies", [False, True])
async def test_replies_are_loud_where_the_operator_wants_it(world: PushWorld, replies: bool) -> None:
    world.push_settings = PushSettings(predefined(replies=replies), plain_http=True)
    world.rebuild_push()
    room = await world.public_room(BOB, CAROL)
    own = await world.send(BOB, room)
    await world.send(ALICE, room, "to bob", **reply_to(own))
    assert await world.unread(BOB, room) == (1, int(replies))
