from typing import Any

import pytest

from tests.unit.server.rooms.stacks import Network, Stack, copied_bytes, decoded
from tests.unit.server.rooms.test_receiver import shared_room
from watchword.base.errors import Forbidden, NotFound
from watchword.protocol.events import event_id_of
from watchword.protocol.ids import EventId
from watchword.server.federation.ports import (
    MissingEvents,
)


async def test_who_missed_the_end_of_our_stay_learns_it_from_us(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    for number in range(5):
        await b.say(room_id, f"said alone {number}", "bob")
    b.owed.clear()
    await b.change(room_id, "leave", b.user("bob"), "bob")
    await network.settle()
    assert b.user("bob") not in (await a.room(room_id)).members.joined
    assert await a.bodies(room_id, "alice") == [f"said alone {number}" for number in range(5)]


async def test_whose_last_user_was_kicked_learns_what_came_before_the_kick(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    before = await a.say(room_id, "before the kick")
    a.owed.clear()
    await a.change(room_id, "kick", b.user("bob"))
    after = await a.say(room_id, "after the kick")
    await network.settle()
    assert (await b.room(room_id)).members.membership[b.user("bob")] == "leave"
    assert await b.bodies(room_id, "bob") == ["before the kick"]
    rooms = a.rooms.remote.for_servers
    assert await rooms.event(b.name, before)
    with pytest.raises(NotFound):
        await rooms.event(b.name, after)
    with pytest.raises(Forbidden):
        await rooms.state_ids(b.name, room_id, after)
    with pytest.raises(Forbidden):
        await rooms.backfill(b.name, room_id, [before, after], 10)


async def test_whose_last_user_was_kicked_learns_what_was_said_beside_his_join(
    network: Network, a: Stack, b: Stack, c: Stack
) -> None:
    room_id = await shared_room(network, a, c)
    beside = [await a.say(room_id, f"beside the join {number}") for number in range(2)]
    a.owed.clear()
    await b.join(room_id, "bob", c)
    await network.settle()
    assert (await a.membership(room_id, b.user("bob")), await b.stored(beside[0])) == ("join", None)
    await a.change(room_id, "kick", b.user("bob"))
    await network.settle()
    assert (await b.room(room_id)).members.membership[b.user("bob")] == "leave"
    rooms = a.rooms.remote.for_servers
    assert await rooms.state_ids(b.name, room_id, beside[0])
    assert await rooms.backfill(b.name, room_id, [beside[1]], 10)


async def test_only_servers_in_the_room_may_read_it(network: Network, a: Stack, b: Stack, c: Stack) -> None:
    room_id = await shared_room(network, a, b)
    event_id = await a.say(room_id, "hello")
    rooms = a.rooms.remote.for_servers
    wanted = MissingEvents([], [event_id], 10, 0)
    for ask in (
        rooms.backfill(c.name, room_id, [event_id], 10),
        rooms.missing_events(c.name, room_id, wanted),
        rooms.state(c.name, room_id, event_id),
        rooms.state_ids(c.name, room_id, event_id),
        rooms.event_auth(c.name, room_id, event_id),
    ):
        with pytest.raises(Forbidden):
            await ask
    with pytest.raises(NotFound):
        await rooms.event(c.name, event_id)
    with pytest.raises(NotFound):
        await rooms.event(b.name, EventId("$none"))
    with pytest.raises(NotFound):
        await rooms.state(b.name, room_id, EventId("$none"))
    other = await a.create()
    foreign = await a.say(other, "foreign")
    with pytest.raises(NotFound):
        await rooms.state_ids(b.name, room_id, foreign)
    assert decoded(await rooms.backfill(b.name, room_id, [foreign], 10)) == []


async def test_the_state_before_an_event_and_its_chain_are_whole(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    before = await a.state(room_id)
    event_id = await a.send(room_id, "m.room.topic", {"topic": "x"}, "")
    await a.send(room_id, "m.room.topic", {"topic": "y"}, "")
    rooms = a.rooms.remote.for_servers
    ids, chain_ids = await rooms.state_ids(b.name, room_id, event_id)
    assert set(ids) == set(before.values())
    state, chain = await rooms.state(b.name, room_id, event_id)
    version = (await a.room(room_id)).version
    assert {event_id_of(each, version) for each in decoded(state)} == set(ids)
    assert {event_id_of(each, version) for each in decoded(chain)} == set(chain_ids)
    given = {*ids, *chain_ids}
    for each in (*decoded(state), *decoded(chain)):
        assert set(each["auth_events"]) <= given
    auth = decoded(await rooms.event_auth(b.name, room_id, event_id))
    stored = await a.stored(event_id)
    assert stored is not None
    assert set(stored.pdu.auth_events) <= {event_id_of(each, version) for each in auth}


async def test_earlier_events_are_given_in_their_order(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    said = [await a.say(room_id, str(number)) for number in range(30)]
    rooms = a.rooms.remote.for_servers
    version = (await a.room(room_id)).version

    def ids(events: Any) -> list[EventId]:
        return [event_id_of(each, version) for each in decoded(events)]

    assert ids(await rooms.backfill(b.name, room_id, [said[-1]], 5)) == said[:-6:-1]
    assert ids(await rooms.missing_events(b.name, room_id, MissingEvents([said[20]], [said[25]], 10, 0))) == said[21:25]
    assert ids(await rooms.missing_events(b.name, room_id, MissingEvents([], [said[25]], 3, 0))) == said[22:25]
    stored = await a.stored(said[23])
    assert stored is not None
    wanted = MissingEvents([], [said[25]], 10, stored.pdu.depth)
    assert ids(await rooms.missing_events(b.name, room_id, wanted)) == said[23:25]


async def test_what_a_server_may_not_see_is_redacted_not_left_out(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    await a.send(room_id, "m.room.history_visibility", {"history_visibility": "joined"}, "")
    secret = await a.say(room_id, "secret")
    await b.join(room_id, "bob", a)
    seen = await a.say(room_id, "seen")
    rooms = a.rooms.remote.for_servers
    pdus = decoded(await rooms.backfill(b.name, room_id, [seen], 10))
    messages = [each["content"] for each in pdus if each["type"] == "m.room.message"]
    assert messages == [{"msgtype": "m.text", "body": "seen"}, {}]
    assert copied_bytes(await rooms.event(b.name, secret))["content"] == {}
    assert copied_bytes(await rooms.event(b.name, seen))["content"]["body"] == "seen"
