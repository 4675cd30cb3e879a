"""The parts of sliding sync know one another, and presence hears of its clients."""

from pathlib import Path

from tests.unit.server.rooms.world import ALICE, BOB
from tests.unit.server.sync.sliding.windows import Client, open_sliding


async def test_who_syncs_is_seen_unless_he_says_otherwise(tmp_path: Path) -> None:
    async with open_sliding(tmp_path, presence=True) as world:
        await world.users(ALICE, BOB)
        await Client(world, lists={}).ask()
        await Client(world, BOB, lists={}).ask(set_presence="offline")
        alice, bob = world.accounts.presence.content(ALICE), world.accounts.presence.content(BOB)
        assert alice is not None
        assert alice["presence"] == "online"
        assert bob is None or bob["presence"] == "offline"
