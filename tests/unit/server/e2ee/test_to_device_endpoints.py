import pytest

from tests.unit.server.e2ee.world import World
from watchword.base.errors import Refusal


async def test_names_that_are_too_long_are_refused(world: World) -> None:
    for path in ("sendToDevice/m.test/" + "x" * 256, "sendToDevice/" + "x" * 256 + "/t"):
        with pytest.raises(Refusal, match="M_INVALID_PARAM"):
            await world.ask("PUT", path, {"messages": {}})


async def test_messages_must_be_there(world: World) -> None:
    with pytest.raises(Refusal, match="M_MISSING_PARAM"):
        await world.ask("PUT", "sendToDevice/m.test/t", {})
