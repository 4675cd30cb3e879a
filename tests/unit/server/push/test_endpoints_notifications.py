import pytest

from tests.unit.server.push.world import ALICE, BOB, PushWorld


async def test_nobody_was_notified_of_nothing(world: PushWorld) -> None:
    assert await world.ask(BOB, "GET", "notifications") == {"notifications": []}


async def test_there_is_a_token_only_if_there_is_more(world: PushWorld) -> None:
    room = await world.public_room(BOB)
    await world.send(ALICE, room)
    await world.send(ALICE, room)
    assert "next_token" in await world.ask(BOB, "GET", "notifications", limit=1)
    assert "next_token" not in await world.ask(BOB, "GET", "notifications", limit=2)


@pytest.mark.parametrize("query", [{"from": "nonsense"}, {"limit": "0"}, {"limit": "many"}])
async def test_refusals(world: PushWorld, query: dict[str, str]) -> None:
    assert await world.refused(BOB, "GET", "notifications", **query) == (400, "M_INVALID_PARAM")
