"""What happens at start, before anything is delivered."""

from pathlib import Path

from tests.unit.server.appservices.house import BOT, Bridge, living
from watchword.protocol.ids import UserId
from watchword.storage import Position


async def test_the_service_has_its_own_user(tmp_path: Path, bridge: Bridge) -> None:
    for _ in range(2):
        async with living(tmp_path, bridge) as house:
            account = await house.server.accounts.reader.account(UserId(BOT))
            assert account is not None
            assert account.appservice_id == "irc"


async def test_a_service_that_was_taken_away_does_not_hold_the_log(tmp_path: Path, bridge: Bridge) -> None:
    async with living(tmp_path, bridge) as house, house.server.world.database.write() as tx:
        await house.server.log.move_cursor(tx, "appservice:gone", Position(1))
    async with living(tmp_path, bridge) as house, house.server.world.database.read() as view:
        assert "appservice:gone" not in await house.server.log.cursors(view, "appservice:")
