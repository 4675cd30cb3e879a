"""The state before and after any event: on the line, and where something is laid over it."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.world import ALICE, BOB, World
from watchword.protocol.events import StateKey
from watchword.protocol.ids import EventId, RoomId
from watchword.server.rooms import records
from watchword.server.rooms.history import apply_overlay, difference, state_after, state_before
from watchword.server.rooms.stored import StoredEvent

TOPIC: StateKey = ("m.room.topic", "")
STATES = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["", "x"])), st.sampled_from(["$1", "$2"]).map(EventId)
)


async def stored(stack: Stack, event_id: EventId) -> StoredEvent:
    event = await stack.stored(event_id)
    assert event is not None
    return event


async def before(stack: Stack, room_id: RoomId, event_id: EventId, *, at_hand: bool = False) -> Mapping[StateKey, EventId]:
    room, event = await stack.room(room_id), await stored(stack, event_id)
    async with stack.database.read() as tx:
        return await state_before(tx, room.room_nid, event, room if at_hand else None)


async def after(stack: Stack, room_id: RoomId, event_id: EventId, *, at_hand: bool = False) -> Mapping[StateKey, EventId]:
    room, event = await stack.room(room_id), await stored(stack, event_id)
    async with stack.database.read() as tx:
        return await state_after(tx, room.room_nid, event, room if at_hand else None)


# Differences of states


@given(STATES, STATES)
def test_what_two_states_differ_in_laid_over_the_one_gives_the_other(
    old: dict[StateKey, EventId], new: dict[StateKey, EventId]
) -> None:
    assert apply_overlay(old, difference(old, new)) == new


@given(STATES, STATES)
def test_a_difference_says_nothing_of_what_is_the_same(old: dict[StateKey, EventId], new: dict[StateKey, EventId]) -> None:
    assert all(old.get(key) != event_id for key, event_id in difference(old, new).items())


@given(STATES)
def test_a_state_differs_from_itself_in_nothing(state: dict[StateKey, EventId]) -> None:
    assert difference(state, state) == difference(state, dict(state)) == {}


def test_laying_over_leaves_the_state_below_as_it_is() -> None:
    below = {TOPIC: EventId("$1")}
    apply_overlay(below, {TOPIC: None})
    assert below == {TOPIC: "$1"}


# On the line


async def test_the_state_before_each_event_is_what_all_before_it_made(a: Stack) -> None:
    room_id = await a.create()
    for number in range(5):
        await a.send(room_id, "m.room.topic", {"topic": str(number)}, str(number % 2))
        await a.say(room_id, "x")
    state: dict[StateKey, EventId] = {}
    for event in await a.read(room_id, "alice"):
        event_id = EventId(event["event_id"])
        assert await before(a, room_id, event_id) == state
        if "state_key" in event:
            state[event["type"], event["state_key"]] = event_id
        assert await after(a, room_id, event_id) == state


async def test_the_room_in_memory_spares_the_way_to_the_same_state(a: Stack) -> None:
    room_id = await a.create()
    for number in range(4):
        await a.send(room_id, "m.room.topic", {"topic": str(number)}, str(number % 2))
        await a.say(room_id, "x")
    for event in await a.read(room_id, "alice"):
        event_id = EventId(event["event_id"])
        assert await before(a, room_id, event_id, at_hand=True) == await before(a, room_id, event_id)
        assert await after(a, room_id, event_id, at_hand=True) == await after(a, room_id, event_id)


async def test_looking_back_leaves_the_room_in_memory_as_it_is(a: Stack) -> None:
    room_id = await a.create()
    first = await a.send(room_id, "m.room.topic", {"topic": "1"}, "")
    second = await a.send(room_id, "m.room.topic", {"topic": "2"}, "")
    await after(a, room_id, first, at_hand=True)
    assert (await a.state(room_id))[TOPIC] == second


async def test_a_message_changes_no_state(world: World) -> None:
    room_id = await world.public_room(BOB)
    room = await world.registry.find(room_id)
    assert room is not None
    (event,) = (await world.reader.found([await world.send(ALICE, room_id)])).values()
    async with world.database.read() as tx:
        assert await state_before(tx, room.room_nid, event) == await state_after(tx, room.room_nid, event)


# Beside the line


@pytest.mark.parametrize("version", ["1", "2", "12"])
@pytest.mark.parametrize("at_hand", [False, True])
async def test_the_state_before_an_event_on_a_fork_is_that_of_where_it_forked(
    network: Network, a: Stack, b: Stack, version: str, at_hand: bool
) -> None:
    room_id, event_id, state = await forked(network, a, b, version)
    assert await before(a, room_id, event_id, at_hand=at_hand) == state


@pytest.mark.parametrize("at_hand", [False, True])
async def test_the_state_after_an_event_on_a_fork_has_only_that_event_more(
    network: Network, a: Stack, b: Stack, at_hand: bool
) -> None:
    room_id, event_id, state = await forked(network, a, b, "12")
    member = ("m.room.member", b.user("bob"))
    assert await after(a, room_id, event_id, at_hand=at_hand) == {**state, member: event_id}


async def forked(network: Network, a: Stack, b: Stack, version: str) -> tuple[RoomId, EventId, Mapping[StateKey, EventId]]:
    """Bob's new name, sent before he heard of three changes of the topic: the room, the event, the state he knew."""
    room_id = await a.create(version=version)
    await a.send(room_id, "m.room.topic", {"topic": "known"}, "")
    await b.join(room_id, "bob", a)
    await network.settle()
    state = await b.state(room_id)
    network.part(a, b)
    for number in range(3):
        await a.send(room_id, "m.room.topic", {"topic": str(number)}, "")
    await a.send(room_id, "m.room.name", {"name": "new"}, "")
    name = {"membership": "join", "displayname": "B"}
    event_id = await b.send(room_id, "m.room.member", name, b.user("bob"), user="bob")
    network.heal()
    await network.settle()
    await a.say(room_id, "joined again")
    return room_id, event_id, state


async def test_a_rejected_event_changes_nothing(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    await b.join(room_id, "bob", a)
    await network.settle()
    raw = await b.crafted(room_id, b.user("bob"), {"topic": "mine"}, kind="m.room.topic", state_key="")
    (event_id,) = await a.receive(b, [raw])
    event = await stored(a, EventId(event_id))
    assert event.flags & records.REJECTED
    assert await after(a, room_id, event.event_id) == await before(a, room_id, event.event_id) == await a.state(room_id)


async def test_the_state_before_an_outlier_is_not_known(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create()
    await b.join(room_id, "bob", a)
    create = (await b.state(room_id))["m.room.create", ""]
    assert (await stored(b, create)).ordering is None
    assert await before(b, room_id, create) == {}
