from tests.unit.server.rooms.stacks import Network, Stack
from tests.unit.server.rooms.test_receiver import shared_room
from watchword.protocol.ids import EventId, RoomId
from watchword.server.rooms import records, tables
from watchword.server.rooms.incoming import RoomKind, Verified, encoded, read_event
from watchword.server.rooms.intake import NOT_HERE, Intake, Terms


def intake_of(stack: Stack) -> Intake:
    return stack.rooms.remote.receiver.intake


async def verified(stack: Stack, room_id: RoomId, raw: dict[str, object]) -> Verified:
    version = (await stack.room(room_id)).version
    pdu = read_event(raw, RoomKind(room_id, version))
    return Verified(pdu, encoded(pdu, version))


async def test_what_must_be_had_first_is_named_and_nothing_is_stored(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    bob = b.user("bob")
    floating = await verified(a, room_id, await b.crafted(room_id, bob, {}, prev_events=[EventId("$earlier")]))
    taken = await intake_of(a).take(room_id, floating)
    assert (taken.is_waiting, list(taken.missing_prev), list(taken.missing_auth)) == (True, ["$earlier"], [])
    unauthorised = await verified(a, room_id, await b.crafted(room_id, bob, {}, auth_events=[EventId("$auth")]))
    taken = await intake_of(a).take(room_id, unauthorised)
    assert list(taken.missing_auth) == ["$auth"]
    assert await a.stored(floating.pdu.event_id) is None
    assert await a.stored(unauthorised.pdu.event_id) is None


async def test_an_event_with_a_told_state_leaves_a_gap(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    event = await verified(a, room_id, await b.crafted(room_id, b.user("bob"), {}, prev_events=[EventId("$earlier")]))
    told = await a.state(room_id)
    taken = await intake_of(a).take(room_id, event, Terms(told, wants_before=True))
    await taken.durable()
    assert (taken.reason, taken.before) == (None, told)
    room = await a.room(room_id)
    assert event.pdu.event_id in room.extremities
    async with a.database.read() as tx:
        missing = await tables.missing_before(tx, room.room_nid, records.FOREVER, 10)
    assert [event_id for event_id, _ in missing] == ["$earlier"]


async def test_an_event_rejected_by_the_state_before_it_may_be_named_again(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    member = (await a.state(room_id))[("m.room.member", b.user("bob"))]
    await a.change(room_id, "kick", b.user("bob"))
    levels = (await a.state(room_id))[("m.room.power_levels", "")]
    raw = await b.crafted(
        room_id,
        b.user("bob"),
        {"body": "x"},
        prev_events=list((await a.room(room_id)).extremities),
        auth_events=[levels, member],
    )
    event = await verified(a, room_id, raw)
    taken = await intake_of(a).take(room_id, event)
    assert taken.reason == "The sender is not in the room."
    await taken.durable()
    stored = await a.stored(event.pdu.event_id)
    assert stored is not None
    assert stored.flags & records.REJECTED
    assert not stored.flags & records.UNAUTHORISED
    again = await intake_of(a).take(room_id, event)
    assert again.reason == "The event was rejected."


async def test_nothing_is_taken_into_a_room_that_we_are_not_in(network: Network, a: Stack, b: Stack) -> None:
    room_id = await shared_room(network, a, b)
    event = await verified(a, room_id, await a.crafted(room_id, a.user("alice"), {}))
    await b.change(room_id, "leave", b.user("bob"), "bob")
    assert (await intake_of(b).take(room_id, event)).reason == NOT_HERE
    assert (await intake_of(b).take(RoomId("!none:x.example"), event)).reason == NOT_HERE


async def test_a_room_is_created_once(a: Stack) -> None:
    room_id = await a.create(version="10")
    second = await a.crafted(
        room_id, a.user("alice"), {"creator": "x"}, kind="m.room.create", state_key="", prev_events=[], auth_events=[]
    )
    taken = await intake_of(a).take(room_id, await verified(a, room_id, second))
    assert taken.reason == "A room is created once."
