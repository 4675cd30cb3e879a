from dataclasses import replace
from pathlib import Path

from tests.unit.server.rooms.world import ALICE, PHONE, open_world
from watchword.edge.requester import Requester


async def test_a_suspended_user_replaces_no_room(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.users(ALICE)
        room_id = await world.room()
        suspended = replace(Requester(ALICE, PHONE, 1), is_suspended=True)
        body = {"new_version": "12"}
        refused = await world.refused(ALICE, "POST", f"rooms/{room_id}/upgrade", body, requester=suspended)
        assert refused == (403, "M_USER_SUSPENDED")
