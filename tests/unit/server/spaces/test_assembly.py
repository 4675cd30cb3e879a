"""Spaces put together."""

from tests.unit.server.spaces.world import SpaceWorld


async def test_walks_and_summaries_remember_the_same_answers(world: SpaceWorld) -> None:
    assert world.spaces.walks.remote is world.spaces.remote
    assert world.spaces.walks.sight is world.spaces.sight
