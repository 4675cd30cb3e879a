import orjson

from tests.unit.server.rooms.stacks import Stack
from watchword.protocol.events import event_id_of
from watchword.protocol.ids import EventId
from watchword.server.rooms.incoming import RoomKind, Verified, encoded, read_event
from watchword.server.rooms.join_answers import JoinAnswers


async def test_a_nameless_room_keeps_some_members_that_name_it(a: Stack) -> None:
    room_id = await a.create()
    room = await a.room(room_id)
    raw = await a.crafted(room_id, a.user("anna"), {"membership": "join"}, kind="m.room.member", state_key=a.user("anna"))
    pdu = read_event(raw, RoomKind(room_id, room.version))
    answers = JoinAnswers(a.database, a.rooms.events, a.name)
    join = Verified(pdu, encoded(pdu, room.version))
    body = orjson.loads(await answers.encode(room, join, dict(room.state), [a.name], omit_members=True))
    members = [each["state_key"] for each in body["state"] if each["type"] == "m.room.member"]
    assert members == [a.user("alice")]
    await a.send(room_id, "m.room.name", {"name": "Named"}, "")
    body = orjson.loads(await answers.encode(room, join, dict(room.state), [a.name], omit_members=True))
    assert all(each["type"] != "m.room.member" for each in body["state"])
    whole = orjson.loads(await answers.encode(room, join, dict(room.state), [a.name], omit_members=False))
    assert {event_id_of(each, room.version) for each in whole["state"]} == set(room.state.values())
    # Without omission, what is in the state is in the chain too, if it authorises anything.
    assert {each["type"] for each in whole["auth_chain"]} >= {"m.room.power_levels", "m.room.member"}


async def test_the_state_before_an_unknown_event_is_empty(a: Stack) -> None:
    room = await a.room(await a.create())
    assert await JoinAnswers(a.database, a.rooms.events, a.name).state_before(room, EventId("$none")) == {}
