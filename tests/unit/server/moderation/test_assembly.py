from pathlib import Path

from tests.unit.server.moderation.world import open_world
from tests.unit.server.rooms.world import ALICE, EVE
from watchword.server.moderation.assembly import ModerationGround, assemble_moderation


async def test_the_lists_that_are_named_are_applied(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.users(ALICE)
        room_id = await world.room(ALICE)
        rule = {"entity": EVE, "recommendation": "m.ban", "reason": ""}
        await world.set_state(ALICE, room_id, "m.policy.rule.user", rule, "1")
        ground = ModerationGround(world.database, world.log, world.clock, world.reader, world.membership, world.bans)
        await assemble_moderation(ground).lists.start()
        assert not world.bans.bans_user(EVE)
        await assemble_moderation(ground, [room_id]).lists.start()
        assert world.bans.bans_user(EVE)
