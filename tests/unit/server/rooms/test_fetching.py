from functools import partial

import pytest

from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.test_receiver import shared_room
from watchword.base import limits
from watchword.base.clock import ManualClock
from watchword.protocol.ids import EventId
from watchword.protocol.signatures import SigningKey
from watchword.server.rooms import records
from watchword.server.rooms.fetching import Asking, Budget, CannotFetch, Fetching
from watchword.server.rooms.incoming import RoomKind, read_event


def fetching_of(stack: Stack) -> Fetching:
    return stack.rooms.remote.receiver.fetching


def _told(ids: list[EventId], _: object) -> tuple[list[EventId], list[EventId]]:
    return ids, []


async def test_a_budget_ends_by_count_and_by_time() -> None:
    clock = ManualClock()
    budget = Budget(clock, calls=1)
    budget.spend()
    with pytest.raises(CannotFetch):
        budget.spend()
    late = Budget(clock)
    clock.advance(10_000_000)
    with pytest.raises(CannotFetch):
        late.spend()


async def test_auth_events_are_fetched_judged_and_kept_as_outliers(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    await a.join(room_id, "anna")
    a.owed.clear()
    event_id = await a.say(room_id, "x", "anna")
    stored = await a.stored(event_id)
    assert stored is not None
    room = await b.room(room_id)
    await fetching_of(b).auth_events(Asking(a.name, room, Budget(b.clock)), [stored.pdu])
    member = await b.stored((await a.state(room_id))[("m.room.member", a.user("anna"))])
    assert member is not None
    assert member.flags == records.OUTLIER
    asked = len(network.asked)
    await fetching_of(b).auth_events(Asking(a.name, room, Budget(b.clock)), [stored.pdu])
    assert len(network.asked) == asked


async def test_an_auth_chain_that_is_not_given_is_fetched_event_by_event(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    await a.join(room_id, "anna")
    a.owed.clear()
    stored = await a.stored(await a.say(room_id, "x", "anna"))
    assert stored is not None
    network.lies[a.name, "event_auth"] = lambda _: []
    asking = Asking(a.name, await b.room(room_id), Budget(b.clock))
    await fetching_of(b).auth_events(asking, [stored.pdu])
    assert network.times("event") == 1
    assert await b.stored((await a.state(room_id))[("m.room.member", a.user("anna"))]) is not None


async def test_an_auth_event_that_nobody_has_ends_the_search(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    raw = await a.crafted(room_id, a.user("alice"), {}, auth_events=[EventId("$nothing")])
    room = await b.room(room_id)
    pdu = read_event(raw, RoomKind(room_id, room.version))
    with pytest.raises(CannotFetch):
        await fetching_of(b).auth_events(Asking(a.name, room, Budget(b.clock)), [pdu])


async def test_the_state_before_an_event_is_told_and_begins_as_the_room_does(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    await a.send(room_id, "m.room.topic", {"topic": "unheard"}, "")
    state = await a.state(room_id)
    event = await a.stored(await a.say(room_id, "x"))
    assert event is not None
    room = await b.room(room_id)
    assert await fetching_of(b).state_before(Asking(a.name, room, Budget(b.clock)), event.pdu) == state
    for ids in (
        [each for key, each in state.items() if key[0] != "m.room.create"],
        [*state.values(), await a.send(room_id, "m.room.topic", {"topic": "second"}, "")],
    ):
        network.lies[a.name, "state_ids"] = partial(_told, ids)
        with pytest.raises(CannotFetch):
            await fetching_of(b).state_before(Asking(a.name, room, Budget(b.clock)), event.pdu)


async def test_a_state_that_cannot_be_checked_for_lack_of_a_key_is_not_taken_in_parts(
    network: Network, a: Stack, b: Stack, c: Stack
) -> None:
    room_id = await shared_room(network, a, b)
    network.part(b, c)
    await c.join(room_id, "carol", a)
    network.part(a, b)
    for number in range(limits.missing_events_page_max):
        await a.say(room_id, f"unheard {number}")
    a.owed.clear()
    network.cut.discard(frozenset((a.name, b.name)))
    key = network.keys.pop(c.name)
    late = await a.say(room_id, "late")
    await network.settle()
    assert b.answers[-1][late] == "Keys that the state before the event is signed with could not be had."
    assert await b.stored(late) is None
    network.keys[c.name] = key
    later = await a.say(room_id, "later")
    await network.settle()
    assert b.answers[-1][later] is None
    assert (await b.state(room_id))[("m.room.member", c.user("carol"))] == (await a.state(room_id))[
        ("m.room.member", c.user("carol"))
    ]


async def test_what_is_not_signed_is_left_out_of_a_state(network: Network, a: Stack, b: Stack, c: Stack) -> None:
    room_id = await shared_room(network, a, b)
    network.part(b, c)
    await c.join(room_id, "carol", a)
    a.owed.clear()
    network.keys[c.name] = SigningKey(b"x" * 32, "1")
    event = await a.stored(await a.say(room_id, "x"))
    assert event is not None
    asking = Asking(a.name, await b.room(room_id), Budget(b.clock))
    state = dict(await a.state(room_id))
    del state[("m.room.member", c.user("carol"))]
    assert await fetching_of(b).state_before(asking, event.pdu) == state
