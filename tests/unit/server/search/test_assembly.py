"""Search put together."""

from tests.unit.server.rooms.world import ALICE
from tests.unit.server.search.world import SearchWorld


async def test_the_parts_know_each_other(world: SearchWorld) -> None:
    room_id = await world.public_room()
    await world.send(ALICE, room_id, "tea")
    assert await world.texts(ALICE, "tea") == ["tea"]
    assert await world.people(ALICE, "alice") == [ALICE]
    assert world.search.people.follower is world.search.messages.follower
