"""Threads that a user is subscribed to, and what that does to what he hears."""

from typing import Any

import pytest

from tests.unit.server.push.world import ALICE, BOB, Gateway, PushWorld, pusher, set_pusher
from tests.unit.server.rooms.world import CAROL
from watchword.base import limits
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.server.push.threads import SubscribedThreads


async def subscribe(world: PushWorld, user_id: UserId, room: RoomId, root: EventId, method: str = "PUT") -> None:
    path = f"/_matrix/client/unstable/io.element.msc4306/rooms/{room}/thread/{root}/subscription"
    await world.ask(user_id, method, path, {} if method == "PUT" else None)


async def in_thread(world: PushWorld, room: RoomId, root: EventId, text: str = "hello", **content: Any) -> EventId:
    relation = {"rel_type": "m.thread", "event_id": root}
    return await world.send(ALICE, room, text, **{"m.relates_to": relation, **content})


async def test_who_never_said_anything_of_threads_takes_no_part(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    root = await world.send(ALICE, room)
    threads = SubscribedThreads(world.relations.subscriptions, world.log)
    threads.listen()
    assert await threads.of(BOB) is None
    await subscribe(world, BOB, room, root)
    assert await threads.of(BOB) == frozenset({root})
    await subscribe(world, BOB, room, root, "DELETE")
    assert await threads.of(BOB) == frozenset()
    assert await threads.of(CAROL) is None


async def test_many_subscriptions_are_read_in_pages(world: PushWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "push_subscriptions_page", 2)
    room = await world.public_room(BOB)
    roots = {await world.send(ALICE, room, str(number)) for number in range(4)}
    for root in roots:
        await subscribe(world, BOB, room, root)
    assert await SubscribedThreads(world.relations.subscriptions, world.log).of(BOB) == frozenset(roots)


async def test_threads_notify_as_ever_whoever_takes_no_part(world: PushWorld) -> None:
    room = await world.public_room(BOB, CAROL)
    root = await world.send(ALICE, room)
    await in_thread(world, room, root)
    assert (await world.counts(BOB, room)).threads == {root: (1, 0)}


async def test_only_subscribed_threads_notify_who_takes_part(world: PushWorld) -> None:
    room = await world.public_room(BOB, CAROL)
    first, second = [await world.send(ALICE, room, text) for text in ("one", "two")]
    await subscribe(world, BOB, room, first)
    await in_thread(world, room, first)
    await in_thread(world, room, second)
    counts = await world.counts(BOB, room)
    assert counts.threads == {first: (1, 0)}
    assert counts.notifications == 2
    await subscribe(world, BOB, room, second)
    assert (await world.counts(BOB, room)).threads == {first: (1, 0), second: (1, 0)}


async def test_a_mention_in_another_thread_is_heard(world: PushWorld) -> None:
    room = await world.public_room(BOB, CAROL)
    first, second = [await world.send(ALICE, room, text) for text in ("one", "two")]
    await subscribe(world, BOB, room, first)
    await in_thread(world, room, second, "hello", **{"m.mentions": {"user_ids": [BOB]}})
    assert (await world.counts(BOB, room)).threads == {second: (1, 1)}


async def test_a_subscribed_thread_is_heard_in_a_room_that_is_else_silent(world: PushWorld) -> None:
    room = await world.public_room(BOB, CAROL)
    root = await world.send(ALICE, room)
    await world.ask(BOB, "PUT", f"pushrules/global/room/{room}", {"actions": []})
    await subscribe(world, BOB, room, root)
    await in_thread(world, room, root)
    await world.send(ALICE, room)
    counts = await world.counts(BOB, room)
    assert (counts.notifications, counts.threads) == (0, {root: (1, 0)})


async def test_the_rules_may_be_switched_off(world: PushWorld) -> None:
    room = await world.public_room(BOB, CAROL)
    first, second = [await world.send(ALICE, room, text) for text in ("one", "two")]
    await subscribe(world, BOB, room, first)
    path = "pushrules/global/postcontent/.io.element.msc4306.rule.unsubscribed_thread"
    await world.ask(BOB, "PUT", f"{path}/enabled", {"enabled": False})
    await in_thread(world, room, second)
    assert (await world.counts(BOB, room)).threads == {second: (1, 0)}
    assert await world.refused(BOB, "PUT", "pushrules/global/postcontent/mine", {"actions": []}) == (400, "M_INVALID_PARAM")
    assert (await world.ask(BOB, "GET", path))["enabled"] is False


async def test_gateways_hear_of_subscribed_threads_alone(world: PushWorld, gateway: Gateway) -> None:
    room = await world.public_room(BOB, CAROL)
    first, second = [await world.send(ALICE, room, text) for text in ("one", "two")]
    await subscribe(world, BOB, room, first)
    await set_pusher(world, BOB, pusher(gateway))
    async with world.pushing():
        await in_thread(world, room, second)
        told = await in_thread(world, room, first)
        assert await gateway.events(1) == [told]
    assert gateway.told[0]["devices"][0]["tweaks"] == {"sound": "default"}
