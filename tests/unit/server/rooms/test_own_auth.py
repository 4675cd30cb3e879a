import pytest

from tests.unit.server.rooms.stacks import Stack
from watchword.protocol.events import Pdu
from watchword.protocol.ids import EventId
from watchword.server.rooms.own_auth import OwnAuth, causes_first, create_id_of, needed_for


async def events_of(stack: Stack, version: str = "12") -> list[Pdu]:
    room_id = await stack.create(version=version)
    found = await stack.rooms.reader.found((await stack.state(room_id)).values())
    return [event.pdu for event in found.values()]


@pytest.mark.parametrize("version", ["1", "11", "12"])
async def test_a_room_s_state_is_allowed_event_by_event(version: str, a: Stack) -> None:
    pdus = await events_of(a, version)
    room_version = (await a.room(pdus[0].room_id)).version
    auth = OwnAuth(room_version)
    ordered = causes_first(reversed(pdus), lambda pdu: needed_for(pdu, room_version))
    assert len(ordered) == len(pdus)
    for pdu in ordered:
        assert auth.lacks(pdu) == []
        assert auth.take(pdu) is None
    assert auth.rejected == set()


async def test_an_event_by_a_rejected_one_is_rejected(a: Stack) -> None:
    pdus = await events_of(a)
    version = (await a.room(pdus[0].room_id)).version
    auth = OwnAuth(version, {pdu.event_id: pdu for pdu in pdus})
    member = next(pdu for pdu in pdus if pdu.type == "m.room.member")
    other = next(pdu for pdu in pdus if member.event_id in pdu.auth_events)
    assert auth.judge(other) is None
    auth.rejected.add(member.event_id)
    assert auth.judge(other) == "An auth event was rejected."


async def test_what_is_needed_includes_the_create_event_that_the_room_id_names(a: Stack) -> None:
    pdus = await events_of(a)
    version = (await a.room(pdus[0].room_id)).version
    create = next(pdu for pdu in pdus if pdu.type == "m.room.create")
    assert create_id_of(create.room_id) == create.event_id
    assert needed_for(create, version) == []
    assert all(create.event_id in needed_for(pdu, version) for pdu in pdus if pdu is not create)
    assert OwnAuth(version).lacks(pdus[-1])


async def test_circles_are_left_out(a: Stack) -> None:
    pdus = await events_of(a)
    circle = {pdus[0].event_id: pdus[1].event_id, pdus[1].event_id: pdus[0].event_id, pdus[2].event_id: pdus[0].event_id}
    ordered = causes_first(pdus, lambda pdu: [circle[pdu.event_id]] if pdu.event_id in circle else [EventId("$absent")])
    assert ordered == pdus[3:]
