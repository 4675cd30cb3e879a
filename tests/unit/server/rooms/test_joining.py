import pytest

from tests.unit.server.rooms.stacks import Network, Stack, same_state
from tests.unit.server.rooms.test_receiver import shared_room
from watchword.protocol.ids import EventId, RoomId


@pytest.mark.parametrize("version", ["1", "2", "3", "5", "6", "9", "10", "11", "12"])
async def test_a_user_joins_through_the_room_s_server_in_every_version(
    version: str, network: Network, a: Stack, b: Stack
) -> None:
    room_id = await a.create(version=version)
    await b.join(room_id, "bob", a)
    await network.settle()
    assert await same_state(room_id, a, b)
    assert await a.membership(room_id, a.user("alice")) == "join"
    assert (await a.room(room_id)).members.servers == {"a.example": 1, "b.example": 1}
    assert (await b.room(room_id)).members.servers == {"a.example": 1, "b.example": 1}
    await b.say(room_id, "from b", "bob")
    await network.settle()
    await a.say(room_id, "from a")
    await network.settle()
    assert (await a.bodies(room_id, "alice")) == ["from b", "from a"]
    assert (await b.bodies(room_id, "bob")) == ["from b", "from a"]
    assert all(reason is None for answer in (*a.answers, *b.answers) for reason in answer.values())


async def left_unheard(network: Network, a: Stack, b: Stack, version: str) -> tuple[RoomId, EventId]:
    """A room of a that b's users have left, which a has not heard; and the leave of the first."""
    room_id = await shared_room(network, a, b, version=version)
    await b.join(room_id, "bea")
    await network.settle()
    network.part(a, b)
    await b.change(room_id, "leave", b.user("bea"), "bea")
    leave = (await b.state(room_id))[("m.room.member", b.user("bea"))]
    await b.change(room_id, "leave", b.user("bob"), "bob")
    b.owed.clear()
    network.heal()
    return room_id, leave


# In version 1 depth alone decides, and the leaves may be deeper than the join: then they give way.
@pytest.mark.parametrize("version", ["2", "9", "11", "12"])
async def test_a_rejoin_does_not_undo_what_the_resident_has_missed(version: str, network: Network, a: Stack, b: Stack) -> None:
    room_id, leave = await left_unheard(network, a, b, version)
    await b.join(room_id, "bob", a)
    for _ in range(2):
        assert (await b.state(room_id))[("m.room.member", b.user("bea"))] == leave
        assert (await b.room(room_id)).members.joined_local == {b.user("bob")}
        assert len((await b.room(room_id)).extremities) == 2
        await b.restarted()
    assert await b.membership(room_id, b.user("bea")) == "leave"
    await b.say(room_id, "again", "bob")
    await network.settle()
    await a.say(room_id, "welcome")
    await network.settle()
    assert (await a.state(room_id))[("m.room.member", b.user("bea"))] == leave
    assert await same_state(room_id, a, b)
    assert len((await a.room(room_id)).extremities) == len((await b.room(room_id)).extremities) == 1
    assert all(reason is None for answer in (*a.answers, *b.answers) for reason in answer.values())


async def test_a_rejoin_keeps_no_end_that_the_resident_has(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    last = await b.say(room_id, "last words", "bob")
    await network.settle()
    # It ends with a message: the kick is on another branch.
    raw = await a.crafted(
        room_id, a.user("alice"), {"membership": "leave"}, kind="m.room.member", state_key=b.user("bob"),
        prev_events=(await a.stored(last)).pdu.prev_events,  # type: ignore[union-attr]
        auth_events=[(await a.state(room_id))[key] for key in (
            ("m.room.power_levels", ""), ("m.room.member", a.user("alice")), ("m.room.member", b.user("bob"))
        )],
    )  # fmt: skip
    assert list((await a.receive(a, [raw])).values()) == [None]
    assert list((await b.receive(a, [raw])).values()) == [None]
    assert len((await b.room(room_id)).extremities) == 2
    await a.say(room_id, "and on")
    asked = network.times("event")
    await b.join(room_id, "bob", a)
    assert network.times("event") == asked + 1
    assert len((await b.room(room_id)).extremities) == 1
    assert await same_state(room_id, a, b)


async def test_an_end_that_would_not_allow_the_join_gives_way(network: Network, a: Stack, b: Stack) -> None:
    room_id = await a.create(version="12", preset="private_chat")
    await a.change(room_id, "invite", b.user("bob"))
    await b.join(room_id, "bob", a)
    await network.settle()
    network.part(a, b)
    await b.change(room_id, "leave", b.user("bob"), "bob")
    b.owed.clear()
    network.heal()
    await b.join(room_id, "bob", a)
    assert await b.membership(room_id, b.user("bob")) == "join"
    assert len((await b.room(room_id)).extremities) == 1
    await network.settle()
    assert await same_state(room_id, a, b)
