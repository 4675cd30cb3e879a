from tests.unit.server.rooms.stacks import Stack
from watchword.server.rooms.pages import Backfill
from watchword.server.rooms.ports import RemoteRooms


async def test_the_parts_fit_the_ports_of_this_feature(a: Stack) -> None:
    memberships: RemoteRooms = a.rooms.remote.memberships
    backfill: Backfill = a.rooms.remote.backfill
    assert memberships
    assert backfill
    assert a.rooms.remote.edus is a.rooms.ephemeral
