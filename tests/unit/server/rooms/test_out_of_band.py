from tests.unit.server.rooms.stacks import Stack
from watchword.protocol.ids import EventId, RoomId, UserId
from watchword.protocol.room_versions import V1, V6, V11
from watchword.server.rooms.out_of_band import OutOfBand, Told

ROOM = RoomId("!far:z.example")
ZOE = UserId("@zoe:z.example")


def out_of_band(stack: Stack) -> OutOfBand:
    return stack.rooms.remote.receiver.out_of_band


async def test_an_invite_is_kept_with_what_was_shown_and_without_a_room_to_write_in(a: Stack) -> None:
    told = Told(a.user("alice"), "invite", EventId("$1"), ZOE, [{"type": "m.room.name"}])
    assert await out_of_band(a).record(ROOM, V6, told)
    room = await a.room(ROOM)
    assert (room.version, room.is_alive, room.members.invited) == (V6, False, {a.user("alice")})
    row = await a.rooms.reader.membership_of(a.user("alice"), ROOM)
    assert row is not None
    assert (row.membership, row.sender, row.stripped) == ("invite", ZOE, b'[{"type":"m.room.name"}]')
    await out_of_band(a).record(ROOM, V6, Told(a.user("alice"), "leave", EventId("$2"), a.user("alice")))
    assert await a.membership(ROOM, a.user("alice")) == "leave"
    await a.restarted()
    assert (await a.room(ROOM)).members.membership == {a.user("alice"): "leave"}


async def test_a_version_that_was_only_claimed_is_corrected(a: Stack) -> None:
    assert (await out_of_band(a).ensure_room(ROOM, V1)).version is V1
    assert (await out_of_band(a).ensure_room(ROOM, V11)).version is V11
    await a.restarted()
    assert (await a.room(ROOM)).version is V11


async def test_nothing_is_recorded_out_of_band_in_a_room_that_we_are_in(a: Stack) -> None:
    room_id = await a.create()
    version = (await a.room(room_id)).version
    assert not await out_of_band(a).record(room_id, version, Told(a.user("anna"), "invite", EventId("$1"), ZOE, []))
    assert await a.membership(room_id, a.user("anna")) is None
