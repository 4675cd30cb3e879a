import pytest

from tests.unit.server.rooms.stacks import Network, Stack
from watchword.base.errors import Forbidden
from watchword.protocol.ids import RoomId, ServerName
from watchword.server.rooms.servers_acl import RoomAcls


async def test_the_current_acl_decides_also_after_a_restart(a: Stack) -> None:
    room_id = await a.create()
    acls = RoomAcls(a.rooms.registry)
    bad = ServerName("bad.example")
    assert await acls.may_take_part(room_id, bad)
    await a.send(room_id, "m.room.server_acl", {"allow": ["*"], "deny": ["BAD.*"]}, "")
    assert not await acls.may_take_part(room_id, bad)
    assert await acls.may_take_part(room_id, ServerName("good.example"))
    await a.restarted()
    assert not await RoomAcls(a.rooms.registry).may_take_part(room_id, bad)
    with pytest.raises(Forbidden):
        await acls.check(await a.room(room_id), bad)
    await a.send(room_id, "m.room.server_acl", {"allow": ["*"]}, "")
    assert await acls.may_take_part(room_id, bad)


async def test_nobody_takes_part_in_a_room_that_is_not_here(network: Network, a: Stack) -> None:
    assert not await RoomAcls(a.rooms.registry).may_take_part(RoomId("!none:x.example"), a.name)
