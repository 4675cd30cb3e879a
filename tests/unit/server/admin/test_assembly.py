"""Administration, put together."""

from tests.unit.server.admin.world import AdminWorld
from watchword.server.admin.assembly import Administration


async def test_all_parts_write_to_the_same_log(world: AdminWorld) -> None:
    admin = world.server.admin
    assert isinstance(admin, Administration)
    assert admin.door.audit is admin.audit
    assert world.server.accounts.audit is admin.audit
    assert world.server.rooms.doors.audit is admin.audit


async def test_starting_again_changes_nothing(world: AdminWorld) -> None:
    await world.server.admin.start()
    assert world.server.moderation.bans.blocked_rooms == set()
