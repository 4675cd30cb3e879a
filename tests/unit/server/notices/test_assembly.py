from pathlib import Path

from tests.unit.server.rooms.world import HERE, open_world
from watchword.protocol.ids import UserId
from watchword.server.notices.assembly import OwnAccount

NOTICES = UserId(f"@notices:{HERE}")


async def test_the_servers_own_user_is_made_once_and_nobody_can_log_in_as_him(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        own = OwnAccount(world.accounts)
        await own.ensure(NOTICES, "The server", None)
        await own.ensure(NOTICES, "The new server", "mxc://here.example/x")
        account = await world.accounts.reader.account(NOTICES)
        assert account is not None
        assert account.password_hash is None
        assert await world.accounts.reader.profile(NOTICES) == {
            "displayname": "The new server",
            "avatar_url": "mxc://here.example/x",
        }
        assert await world.accounts.reader.devices(NOTICES) == []
