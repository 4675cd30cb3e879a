from tests.unit.server.rooms.stacks import Stack
from watchword.protocol.ids import RoomAlias
from watchword.server.federation.ports import (
    PublicRoomsQuery,
    Receiver,
    RoomAcls,
    RoomsForServers,
)


async def test_the_parts_fit_the_ports_of_federation(a: Stack) -> None:
    rooms: RoomsForServers = a.rooms.remote.for_servers
    receiver: Receiver = a.rooms.remote.receiver
    acls: RoomAcls = a.rooms.remote.acls
    assert rooms
    assert receiver
    assert acls


async def test_aliases_and_the_directory_are_told(a: Stack, b: Stack) -> None:
    room_id = await a.create(alias="#x:a.example", is_public=True, name="Listed")
    rooms = a.rooms.remote.for_servers
    assert await rooms.resolve_alias(RoomAlias("#x:a.example")) == (room_id, ["a.example"])
    assert await rooms.resolve_alias(RoomAlias("#y:a.example")) is None
    page = await rooms.public_rooms(b.name, PublicRoomsQuery(10, None, None, None))
    assert [each["name"] for each in page["chunk"]] == ["Listed"]
